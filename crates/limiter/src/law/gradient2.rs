//! The ratio of long-term to short-term latency.

use std::time::Duration;

use super::{Law, Sample, Window};

/// Lowers the limit when latency rises above its own long-term average.
///
/// As `Gradient2Limit` of Netflix's concurrency-limits has it, with its windows of 1 s and at least 10 latencies: `long` is
/// an exponential average over 600 samples (the plain mean of the first 10); if `long/short > 2`, `long` shrinks by 5 %;
/// if `in_flight < L/2` the limit holds; otherwise `g = clamp(1.5·long/short, 0.5, 1)` and `L ← 0.8·L + 0.2·(g·L + 4)`.
/// Since `long` follows a standing queue, a loss of capacity that lasts becomes the new normal.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tidegate_limiter::{Gradient2, Latency, Law, Sample};
///
/// let mut law = Gradient2::default();
/// let sample = |ms| Sample {
///     latency: Some(Latency::of(Duration::from_millis(ms))),
///     max_in_flight: 100,
///     ..Sample::default()
/// };
/// assert_eq!(law.next(100, &sample(20)), 100); // 0.8·100 + 0.2·(100 + 4) = 100.8
/// assert_eq!(law.next(100, &sample(400)), 97); // long 210, g = 0.7875: 0.8·100.8 + 0.2·(79.4 + 4)
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Gradient2 {
    /// The limit never goes below this.
    pub min: usize,
    /// The limit never goes above this.
    pub max: usize,
    /// Latency may rise to this many times the long-term average before the limit falls.
    pub tolerance: f64,
    /// How much of each proposal is taken, between 0 and 1.
    pub smoothing: f64,
    window: Window,
    /// Seconds.
    pub(super) long: f64,
    samples: u32,
    /// The limit before rounding.
    pub(super) exact: f64,
}

impl Default for Gradient2 {
    /// Between 20 and 200, tolerance 1.5, smoothing 0.2, windows of 1 s: the published defaults.
    fn default() -> Self {
        Self::windowed(Window::every(Duration::from_secs(1), 10))
    }
}

impl Gradient2 {
    /// The same law with samples that span `window`.
    pub fn windowed(window: Window) -> Self {
        let (min, max, tolerance, smoothing) = (20, 200, 1.5, 0.2);
        Self { min, max, tolerance, smoothing, window, long: 0.0, samples: 0, exact: 0.0 }
    }

    fn learn(&mut self, short: f64) {
        self.samples = self.samples.saturating_add(1);
        let weight =
            if self.samples <= 10 { 1.0 / f64::from(self.samples) } else { 2.0 / (600.0 + 1.0) };
        self.long += weight * (short - self.long);
        if 2.0 < self.long / short {
            self.long *= 0.95;
        }
    }
}

impl Law for Gradient2 {
    fn next(&mut self, limit: usize, sample: &Sample) -> usize {
        let Some(latency) = sample.latency else { return limit };
        let short = latency.mean.as_secs_f64().max(1e-9);
        self.learn(short);
        if self.exact as usize != limit {
            self.exact = limit as f64; // someone else set it
        }
        if (sample.max_in_flight as f64) < self.exact / 2.0 {
            return limit;
        }
        let gradient = (self.tolerance * self.long / short).clamp(0.5, 1.0);
        let proposed = gradient * self.exact + 4.0;
        let smoothed = self.exact * (1.0 - self.smoothing) + proposed * self.smoothing;
        self.exact = smoothed.min(self.max as f64).max(self.min as f64);
        self.exact as usize
    }

    fn window(&self) -> Window {
        self.window
    }
}
