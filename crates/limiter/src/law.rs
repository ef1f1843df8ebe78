//! Control laws: rules that choose the limit from what was measured.

use std::fmt;
use std::time::Duration;

mod aimd;
mod envoy;
mod fixed;
mod gradient2;
mod knee;
mod threshold;
mod vegas;

pub use aimd::Aimd;
pub use envoy::EnvoyGradient;
pub use fixed::Fixed;
pub use gradient2::Gradient2;
pub use knee::Knee;
pub use threshold::{Threshold, ThresholdConfig, ThresholdConfigError};
pub use vegas::Vegas;

/// A rule that chooses the next limit.
///
/// A law is a function of values. It reads no clock, holds no lock and knows no semaphore: time is in the
/// [`Sample`], what it must remember is in itself. The same code can therefore run in production, in a simulator and in a
/// test.
///
/// # Examples
///
/// ```
/// use tidegate_limiter::{Law, Sample};
///
/// /// Half as many after errors, one more otherwise.
/// #[derive(Debug)]
/// struct Halve;
///
/// impl Law for Halve {
///     fn next(&mut self, limit: usize, sample: &Sample) -> usize {
///         match sample.error_rate {
///             Some(rate) if rate > 0.1 => (limit / 2).max(1),
///             Some(_) => limit + 1,
///             None => limit,
///         }
///     }
/// }
///
/// let mut law = Halve;
/// assert_eq!(law.next(8, &Sample { error_rate: Some(0.5), ..Sample::default() }), 4);
/// assert_eq!(law.next(8, &Sample::default()), 8);
/// ```
pub trait Law: fmt::Debug + Send {
    /// The limit from now on, given the `limit` in force while `sample` was taken.
    fn next(&mut self, limit: usize, sample: &Sample) -> usize;

    /// What the next sample shall span. Whoever takes the samples asks before the first and after each. A law that is
    /// asked at fixed intervals by its owner can leave this as it is.
    fn window(&self) -> Window {
        Window::EACH
    }
}

impl<L: Law + ?Sized> Law for Box<L> {
    fn next(&mut self, limit: usize, sample: &Sample) -> usize {
        (**self).next(limit, sample)
    }

    fn window(&self) -> Window {
        (**self).window()
    }
}

/// What a [`Sample`] spans: it ends when `count` latencies were measured and `at_least` has passed, or when `at_most`
/// has passed and any was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How long to look away after the limit changed, counted from when the first work item that began under the new limit
    /// did so. Zero looks at everything at once.
    pub settle: Duration,
    /// Whether work items that began under another limit are left out for good. That makes what is left appear too short:
    /// of what began late, only the short has ended.
    pub only_fresh: bool,
    /// How many latencies are enough.
    pub count: usize,
    /// The shortest time.
    pub at_least: Duration,
    /// The longest time.
    pub at_most: Duration,
}

impl Window {
    /// Every work item is a sample of its own.
    pub const EACH: Self = Self::every(Duration::ZERO, 1);

    /// A sample every `interval`, with at least `count` latencies.
    pub const fn every(interval: Duration, count: usize) -> Self {
        Self {
            settle: Duration::ZERO,
            only_fresh: false,
            count,
            at_least: interval,
            at_most: Duration::MAX,
        }
    }
}

/// What was measured over one interval. `None` is what could not be read, or nobody measures.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// When the interval ended, counted from any moment that stays the same.
    pub at: Duration,
    /// How many work items wait to be admitted.
    pub queue_depth: Option<f64>,
    /// The gauge that tells how long, or how many, wait for the GPU, or for whatever backend is scarce; in the unit of
    /// the threshold it is compared with.
    pub gpu_wait: Option<f64>,
    /// The share of work items that failed, between 0 and 1.
    pub error_rate: Option<f64>,
    /// The most that were in flight at any moment of the interval.
    pub max_in_flight: usize,
    /// How many work items were rejected by an overloaded backend, or timed out, in the interval.
    pub overloads: usize,
    /// How many work items ended well per second of the interval, those that were not measured included.
    pub throughput: Option<f64>,
    /// The latencies of the work items that ended in the interval; `None` if none did.
    pub latency: Option<Latency>,
    /// The mean time a work item waited inside the backend before it was served, of those for which the backend told it.
    pub backend_wait: Option<Duration>,
}

/// Latencies of one interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// How many were measured; at least 1.
    pub count: usize,
    /// The smallest.
    pub min: Duration,
    /// The mean.
    pub mean: Duration,
    /// The standard deviation.
    pub deviation: Duration,
    /// One in ten was shorter.
    pub p10: Duration,
    /// The median.
    pub p50: Duration,
}

impl Latency {
    /// That of a single work item.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidegate_limiter::Latency;
    ///
    /// let latency = Latency::of(Duration::from_millis(3));
    /// assert_eq!((latency.count, latency.p50), (1, latency.mean));
    /// ```
    pub const fn of(latency: Duration) -> Self {
        Self {
            count: 1,
            min: latency,
            mean: latency,
            deviation: Duration::ZERO,
            p10: latency,
            p50: latency,
        }
    }
}

#[cfg(test)]
mod tests;
