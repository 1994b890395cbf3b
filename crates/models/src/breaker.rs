//! When to try again, and when to leave a failing server alone. Pure: time and chance are passed in.

use std::time::{Duration, Instant};

/// Failures in a row after which the server is left alone,
const MAX_FAILURES: u32 = 5;
/// for so long; then one call may try it.
const REST: Duration = Duration::from_secs(30);

/// The first pause between two tries; each further one may be twice as long,
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// A circuit breaker: closed while calls succeed, open for a while after too many failures in a row.
#[derive(Default)]
pub(crate) struct Breaker {
    failures: u32,
    resting_until: Option<Instant>,
}

impl Breaker {
    /// Whether a call may be made now; else how many failures there were. After a rest only one call passes until
    /// its end is recorded.
    pub fn admit(&mut self, now: Instant) -> Result<(), u32> {
        match self.resting_until {
            Some(until) if now < until => Err(self.failures),
            Some(_) => {
                self.resting_until = Some(now + REST);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A call succeeded.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A call failed by the server's fault.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MAX_FAILURES {
            self.resting_until = Some(now + REST);
        }
    }
}

/// The pause before retry number `retry` (from 0): what the server asked for, else exponential with full jitter, so
/// that many clients do not come back together. `chance` is from 0 to 1.
pub(crate) fn pause(retry: u32, asked_for: Option<Duration>, chance: f64) -> Duration {
    if let Some(asked_for) = asked_for {
        return asked_for;
    }
    let ceiling = FIRST_PAUSE.saturating_mul(1 << retry.min(16)).min(LONGEST_PAUSE);
    // Half is certain: a retry at once would meet what it has just met.
    ceiling.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_server_is_left_alone_then_tried_once() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..MAX_FAILURES {
            assert_eq!(breaker.admit(start), Ok(()));
            breaker.failed(start);
        }
        assert_eq!(breaker.admit(start + REST / 2), Err(MAX_FAILURES));
        let later = start + REST;
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.admit(later), Err(MAX_FAILURES), "one at a time");
        breaker.failed(later);
        assert_eq!(breaker.admit(later + REST / 2), Err(MAX_FAILURES + 1));
        assert_eq!(breaker.admit(later + REST), Ok(()));
        breaker.succeeded();
        assert_eq!(breaker.admit(later + REST), Ok(()));
        assert_eq!(breaker.admit(later + REST), Ok(()));
    }

    #[test]
    fn a_success_forgets_the_failures() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..3 * MAX_FAILURES {
            breaker.failed(now);
            breaker.succeeded();
        }
        assert_eq!(breaker.admit(now), Ok(()));
    }

    #[test]
    fn pauses_grow_up_to_a_bound_and_the_servers_wish_counts() {
        assert_eq!(pause(0, None, 1.0), FIRST_PAUSE);
        assert_eq!(pause(1, None, 0.0), FIRST_PAUSE);
        assert_eq!(pause(60, None, 1.0), LONGEST_PAUSE);
        assert_eq!(pause(0, Some(Duration::from_secs(3)), 0.5), Duration::from_secs(3));
    }
}
