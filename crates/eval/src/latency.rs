//! How long single questions took.

use std::time::Duration;

use serde::Serialize;

/// Percentiles of single measurements, in ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// What 99 of 100 do not exceed.
    pub p99: f64,
}

impl Latency {
    /// Percentiles by the nearest-rank method: always a value that was measured. Zero without measurements.
    pub fn of(measured: &[Duration]) -> Self {
        let mut ms: Vec<f64> = measured.iter().map(|duration| duration.as_secs_f64() * 1000.0).collect();
        ms.sort_by(f64::total_cmp);
        let nearest_rank = |share: f64| {
            let rank = (share * ms.len() as f64).ceil() as usize;
            ms.get(rank.max(1) - 1).copied().unwrap_or_default()
        };
        Self { p50: nearest_rank(0.50), p99: nearest_rank(0.99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let measured: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(Latency::of(&measured), Latency { p50: 100.0, p99: 198.0 });
        assert_eq!(Latency::of(&measured[..1]), Latency { p50: 200.0, p99: 200.0 });
        assert_eq!(Latency::of(&[]), Latency::default());
    }
}
