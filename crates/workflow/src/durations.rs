//! How long tasks of a kind take, learned from those that ran.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The weight of a new duration once many are known: the eighth that Jacobson's estimator of round trips gives it ("Congestion
/// Avoidance and Control", 1988).
const NEWEST: f64 = 0.125;

/// Mean and spread of the durations of each kind of task, newer ones counting more.
///
/// The first eight of a kind count alike; from then on each counts an eighth and what was known before seven eighths. Mean
/// and variance are kept by Finch's recurrence ("Incremental calculation of weighted mean and variance", 2009). A single
/// duration says nothing of the spread: half of it is taken for the deviation, as RFC 6298 does, which counts as one
/// observation among those that follow.
///
/// Plain data without a clock: the same observations give the same estimates. It knows at most as many kinds as
/// [`new`](Self::new) says; when there is one more, the quarter that was observed the longest ago is forgotten.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tidegate_workflow::Durations;
///
/// let mut durations = Durations::new(100);
/// for seconds in [8, 12] {
///     durations.observe("summarise", Duration::from_secs(seconds));
/// }
/// let estimate = durations.estimate("summarise").expect("it was observed");
/// assert_eq!(estimate.mean, Duration::from_secs(10));
/// assert!(estimate.low < Duration::from_secs(8) && Duration::from_secs(12) < estimate.high);
/// assert_eq!(durations.estimate("translate"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Durations {
    capacity: usize,
    observations: u64,
    kinds: BTreeMap<Arc<str>, Learned>,
}

/// What is known of one kind; times in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Learned {
    count: u64,
    mean: f64,
    variance: f64,
    /// Which observation of all was its last.
    last: u64,
}

/// How long a task will probably take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: Duration,
    /// Two deviations below the mean, or zero.
    pub low: Duration,
    /// Two deviations above the mean. Whatever the distribution is, at least three in four lie between both (Chebyshev).
    pub high: Duration,
}

impl Default for Durations {
    /// Of at most 1,024 kinds.
    fn default() -> Self {
        Self::new(1024)
    }
}

impl Durations {
    /// Nothing is known yet; at most so many kinds will be, and at least one.
    pub fn new(kinds: usize) -> Self {
        Self { capacity: kinds.max(1), observations: 0, kinds: BTreeMap::new() }
    }

    /// A task of this kind took so long.
    pub fn observe(&mut self, kind: &str, took: Duration) {
        self.observations += 1;
        let last = self.observations;
        let took = took.as_secs_f64();
        if let Some(learned) = self.kinds.get_mut(kind) {
            learned.observe(took, last);
            return;
        }
        // One that was read from a damaged file may be 0.
        if self.capacity.max(1) <= self.kinds.len() {
            // Many at once: a kind that is new costs no look at all of them.
            let mut last: Vec<u64> = self.kinds.values().map(|learned| learned.last).collect();
            let (_, oldest, _) = last.select_nth_unstable((self.capacity / 4).saturating_sub(1));
            let oldest = *oldest;
            self.kinds.retain(|_, learned| oldest < learned.last);
        }
        let first = Learned { count: 1, mean: took, variance: (took / 2.0).powi(2), last };
        self.kinds.insert(Arc::from(kind), first);
    }

    /// How long a task of this kind will take; `None` if none was observed.
    pub fn estimate(&self, kind: &str) -> Option<Estimate> {
        let Learned { mean, variance, .. } = self.kinds.get(kind)?;
        let spread = 2.0 * variance.sqrt();
        // What no duration can hold, or was read from a damaged file, is the longest or none.
        let seconds = |of: f64| Duration::try_from_secs_f64(of.max(0.0)).unwrap_or(Duration::MAX);
        Some(Estimate {
            mean: seconds(*mean),
            low: seconds(mean - spread),
            high: seconds(mean + spread),
        })
    }

    /// The mean of a kind, or what is said of a task of which nothing is known.
    pub(crate) fn guess(&self, kind: Option<&str>) -> f32 {
        let learned = kind.and_then(|kind| self.estimate(kind));
        learned.map_or(1.0, |learned| learned.mean.as_secs_f32())
    }

    /// How many kinds are known.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }
}

impl Learned {
    fn observe(&mut self, took: f64, last: u64) {
        self.count = self.count.saturating_add(1);
        let weight = NEWEST.max(1.0 / self.count as f64);
        let off = took - self.mean;
        let step = weight * off;
        self.mean += step;
        self.variance = (1.0 - weight) * (self.variance + off * step);
        self.last = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(seconds: &[f64]) -> Durations {
        let mut durations = Durations::new(4);
        for took in seconds {
            durations.observe("kind", Duration::from_secs_f64(*took));
        }
        durations
    }

    fn estimate(seconds: &[f64]) -> [f64; 3] {
        let Estimate { mean, low, high } =
            learned(seconds).estimate("kind").expect("it was observed");
        [mean, low, high].map(|of| of.as_secs_f64())
    }

    fn assert_near(found: [f64; 3], expected: [f64; 3]) {
        let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{found:?} is not {expected:?}");
    }

    #[test]
    fn a_single_duration_has_half_of_itself_for_a_deviation() {
        assert_near(estimate(&[10.0]), [10.0, 0.0, 20.0]);
    }

    #[test]
    fn the_first_eight_count_alike() {
        // Mean 5; variance 5, that of 2, 4, 6, 8, and the quarter of the first guess of 1: 5.25.
        let spread = 2.0 * 5.25_f64.sqrt();
        assert_near(estimate(&[2.0, 4.0, 6.0, 8.0]), [5.0, 5.0 - spread, 5.0 + spread]);
    }

    #[test]
    fn from_the_ninth_on_the_newest_counts_an_eighth() {
        // Eight of 8 s: mean 8, variance 16 / 8 = 2. Then 24 s: off 16, step 2, variance 7/8 × (2 + 16 × 2) = 29.75.
        let mut seconds = vec![8.0; 8];
        seconds.push(24.0);
        let spread = 2.0 * 29.75_f64.sqrt();
        assert_near(estimate(&seconds), [10.0, 0.0, 10.0 + spread]);
    }

    #[test]
    fn a_change_is_followed_within_a_few_dozen() {
        let mut seconds = vec![1.0; 100];
        seconds.extend([9.0; 30]);
        let [mean, low, high] = estimate(&seconds);
        // 9 - 8 × (7/8)^30 = 8.85
        assert!((8.8..8.9).contains(&mean) && low < mean && mean < high, "{mean}");
    }

    #[test]
    fn beyond_the_bound_the_kind_observed_the_longest_ago_is_forgotten() {
        let mut durations = Durations::new(2);
        for kind in ["a", "b", "b", "b", "a", "c"] {
            durations.observe(kind, Duration::from_secs(1));
        }
        assert_eq!(durations.len(), 2);
        assert_eq!(durations.estimate("b"), None);
        assert!(durations.estimate("a").is_some() && durations.estimate("c").is_some());
    }

    #[test]
    fn those_observed_the_longest_ago_are_forgotten_by_the_quarter() {
        let mut durations = Durations::new(8);
        for kind in 0..9 {
            durations.observe(&kind.to_string(), Duration::from_secs(1));
        }
        assert_eq!(durations.len(), 7);
        assert!(durations.estimate("1").is_none() && durations.estimate("2").is_some());
    }

    #[test]
    fn no_duration_makes_it_panic() {
        let mut durations = Durations::new(1);
        for took in [Duration::MAX, Duration::ZERO, Duration::MAX] {
            durations.observe("kind", took);
            let estimate = durations.estimate("kind").expect("it was observed");
            assert!(estimate.low <= estimate.mean && estimate.mean <= estimate.high);
        }
    }
}
