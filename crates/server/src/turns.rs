//! How often each key may call: a bucket of tokens a key, as large as its requests a minute.
//!
//! A full bucket lets a burst through, as a page makes one when it opens; after that tokens come back one by one,
//! evenly over the minute. Buckets live in memory: a restart fills them all, which costs little and forgets nobody.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<String, Bucket>>);

struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Turns {
    /// Takes one token of this key, or tells after how long there will be one.
    pub fn take(&self, key_id: &str, per_minute: NonZeroU32, now: Instant) -> Result<(), Duration> {
        let most = f64::from(per_minute.get());
        let per_second = most / 60.0;
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(key_id.to_owned()).or_insert(Bucket { tokens: most, filled_at: now });
        let passed = now.saturating_duration_since(bucket.filled_at).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * per_second).min(most);
        bucket.filled_at = now;
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / per_second));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_through_and_then_one_after_the_other() {
        let (turns, begun) = (Turns::default(), Instant::now());
        let ten = NonZeroU32::new(10).unwrap();
        let take = |key: &str, seconds: u64| turns.take(key, ten, begun + Duration::from_secs(seconds));
        for _ in 0..10 {
            assert_eq!(take("a", 0), Ok(()));
        }
        let wait = take("a", 0).unwrap_err();
        assert!((5.9..=6.1).contains(&wait.as_secs_f64()), "{wait:?}");
        assert_eq!(take("b", 0), Ok(()), "another key has its own");
        assert_eq!(take("a", 6), Ok(()));
        assert!(take("a", 6).is_err());
        for _ in 0..10 {
            assert_eq!(take("a", 10_000), Ok(()), "a bucket is full again after a while, and not fuller");
        }
        assert!(take("a", 10_000).is_err());
    }
}
