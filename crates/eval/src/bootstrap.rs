//! Is the difference between two runs more than luck? Paired bootstrap over questions (Efron and Tibshirani 1993;
//! for retrieval Sakai 2006): the same questions are drawn again with replacement, and the differences' percentiles
//! bound what another sample of questions would have given.

use serde::Serialize;

/// A mean with what 95 of 100 resamples give.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The observed mean.
    pub mean: f64,
    /// 2.5th percentile of the resampled means.
    pub low: f64,
    /// 97.5th percentile of the resampled means.
    pub high: f64,
}

/// Enough that the percentiles' third decimal stays put between seeds.
const RESAMPLES: usize = 2_000;
/// Fixed, so that equal inputs give equal intervals.
const SEED: u64 = 0x5EED_F11A_DEC4;

/// 95 % interval of the mean of one value a question; all zero without values.
pub fn mean_interval(values: &[f64]) -> Interval {
    let mut random = SplitMix(SEED);
    let n = values.len();
    if n == 0 {
        return Interval { mean: 0.0, low: 0.0, high: 0.0 };
    }
    let mut means: Vec<f64> =
        (0..RESAMPLES).map(|_| (0..n).map(|_| values[random.below(n)]).sum::<f64>() / n as f64).collect();
    means.sort_by(f64::total_cmp);
    let percentile = |share: f64| means[((share * RESAMPLES as f64) as usize).min(RESAMPLES - 1)];
    Interval { mean: crate::metrics::mean(values), low: percentile(0.025), high: percentile(0.975) }
}

/// 95 % interval of the mean of `treatment - baseline`, question by question; an interval that leaves out 0 is a
/// difference that another sample of questions would very likely show too.
///
/// # Panics
/// When the two do not hold the same questions, told by their number.
pub fn paired_interval(baseline: &[f64], treatment: &[f64]) -> Interval {
    assert_eq!(baseline.len(), treatment.len(), "a paired comparison needs both runs on the same questions");
    let differences: Vec<f64> = treatment.iter().zip(baseline).map(|(t, b)| t - b).collect();
    mean_interval(&differences)
}

/// `SplitMix64` (Steele, Lea and Flood 2014): small, and the same on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly from `0..n`; the bias of the multiplication is below 2^-40 for any question set.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_difference_leaves_out_zero_and_no_difference_does_not() {
        let baseline: Vec<f64> = (0..200).map(|i| f64::from(i % 10) / 10.0).collect();
        let better: Vec<f64> =
            baseline.iter().enumerate().map(|(i, v)| v + if i % 3 == 0 { 0.0 } else { 0.1 }).collect();
        let interval = paired_interval(&baseline, &better);
        assert!(interval.low > 0.05 && interval.high < 0.08, "{interval:?}");
        let noise: Vec<f64> =
            baseline.iter().enumerate().map(|(i, v)| v + if i % 2 == 0 { 0.1 } else { -0.1 }).collect();
        let interval = paired_interval(&baseline, &noise);
        assert!(interval.low < 0.0 && interval.high > 0.0, "{interval:?}");
    }

    #[test]
    fn equal_inputs_give_equal_intervals() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i * 7 % 11)).collect();
        assert_eq!(mean_interval(&values), mean_interval(&values));
        let interval = mean_interval(&values);
        assert!(interval.low < interval.mean && interval.mean < interval.high, "{interval:?}");
    }

    #[test]
    fn the_width_is_that_of_the_normal_approximation() {
        // 1,000 coins: the standard error is 0.5 / sqrt(1000) = 0.0158, so 95 % lie within 0.031 of the mean.
        let coins: Vec<f64> = (0..1_000).map(|i| f64::from(i % 2)).collect();
        let interval = mean_interval(&coins);
        assert!((interval.high - interval.low - 0.062).abs() < 0.006, "{interval:?}");
    }
}
