//! How often a task is tried, and how long it waits in between.

use std::time::Duration;

/// Exponential backoff: the wait after attempt `n` is `first_delay × factor^(n - 1)`, at most `max_delay`, of which a part
/// chosen by `jitter` is random.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tidegate_workflow::Retry;
///
/// let retry = Retry { attempts: 4, first_delay: Duration::from_secs(1), jitter: 0.0, ..Retry::default() };
/// assert_eq!(retry.delay_after(3, 0), Duration::from_secs(4));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// How often the task is tried in all; 0 counts as 1.
    pub attempts: u32,
    /// The wait after the first failure.
    pub first_delay: Duration,
    /// By how much each wait is longer than the one before.
    pub factor: f64,
    /// The longest wait.
    pub max_delay: Duration,
    /// The random share of a wait, 0 to 1: at 0.5 a wait is between half and all of what the formula says.
    pub jitter: f64,
}

impl Default for Retry {
    /// Three attempts, waits of 1 s and 2 s, at most 60 s, half of it random.
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self { attempts: 3, first_delay: second, factor: 2.0, max_delay: 60 * second, jitter: 0.5 }
    }
}

impl Retry {
    /// One attempt.
    pub const NEVER: Self = Self {
        attempts: 1,
        first_delay: Duration::ZERO,
        factor: 1.0,
        max_delay: Duration::ZERO,
        jitter: 0.0,
    };

    /// The default with so many attempts in all.
    pub fn attempts(attempts: u32) -> Self {
        Self { attempts, ..Self::default() }
    }

    /// The wait after attempt `attempt`, counted from 1. The random part follows from `seed` and `attempt` alone, so that a
    /// simulation repeats.
    pub fn delay_after(&self, attempt: u32, seed: u64) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.first_delay.as_secs_f64() * self.factor.max(0.0).powi(exponent);
        let capped = seconds.min(self.max_delay.as_secs_f64());
        let jitter = self.jitter.clamp(0.0, 1.0) * unit(seed ^ u64::from(attempt).rotate_left(48));
        // NaN (0 × ∞) and what no Duration can hold become the longest wait.
        Duration::try_from_secs_f64(capped * (1.0 - jitter)).unwrap_or(self.max_delay)
    }
}

/// A number in [0, 1) that follows from the seed: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
fn unit(seed: u64) -> f64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap() {
        let retry = Retry {
            attempts: 9,
            jitter: 0.0,
            max_delay: Duration::from_secs(5),
            ..Retry::default()
        };
        let waits: Vec<u64> =
            (1..=4).map(|attempt| retry.delay_after(attempt, 0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5]);
    }

    #[test]
    fn jitter_takes_away_at_most_its_share_and_differs_by_seed() {
        let retry = Retry { first_delay: Duration::from_secs(8), ..Retry::default() };
        let waits: Vec<Duration> = (0..100).map(|seed| retry.delay_after(1, seed)).collect();
        assert!(waits.iter().all(|wait| (4.0..=8.0).contains(&wait.as_secs_f64())));
        assert!(waits.iter().collect::<std::collections::HashSet<_>>().len() > 90);
    }

    #[test]
    fn extreme_settings_give_the_longest_wait_and_no_panic() {
        let retry =
            Retry { factor: f64::MAX, max_delay: Duration::MAX, jitter: 0.0, ..Retry::default() };
        assert_eq!(retry.delay_after(u32::MAX, 7), Duration::MAX);
    }
}
