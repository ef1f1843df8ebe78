//! What latencies tell about a service apart from waiting: their lowest tenth, and how far the mean is above it.

use super::estimate::Estimate;
use crate::law::Latency;

/// Seconds; what is above `p10` in the mean is `spread`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shape {
    pub(super) p10: Estimate,
    pub(super) spread: Estimate,
}

impl Shape {
    pub(super) fn mean(&self) -> f64 {
        self.p10.value + self.spread.value
    }

    /// The variance of the mean.
    pub(super) fn noise(&self) -> f64 {
        self.p10.variance + self.spread.variance
    }

    /// Whether the service times differ so much that their spread tells something.
    pub(super) fn is_wide(&self) -> bool {
        0.2 * self.p10.value < self.spread.value
    }

    /// Takes in what a probe saw. What is above chance is not learned: it may be a queue. If the spread is wider, the tenth percentile
    /// may have moved with it.
    pub(super) fn learn(&mut self, seen: &Self) {
        let before = *self;
        if self.spread.admits(seen.spread.value, seen.spread.variance) {
            let noise = seen.spread.variance;
            self.spread.update(seen.spread.value, noise, 0.03 * noise, 4.0);
        }
        if self.p10.admits(seen.p10.value, seen.p10.variance) {
            let noise = seen.p10.variance;
            self.p10.update(seen.p10.value, noise, 0.03 * noise, 4.0);
        } else if before.is_wide() {
            let wider = (self.spread.value / before.spread.value).max(1.0);
            self.p10.value = seen.p10.value.min(self.p10.value * wider);
        }
    }

    /// Goes down with what is seen at the limit: without waiting it can only be less.
    pub(super) fn lower(&mut self, now: &Self) {
        if now.p10.is_below(&self.p10, 3.5) {
            self.p10 = now.p10;
        }
        if now.spread.is_below(&self.spread, 4.0) {
            self.spread = now.spread;
        }
    }

    /// Follows what is seen at the limit.
    pub(super) fn follow(&mut self, seen: &Self) {
        let noise = seen.spread.variance;
        self.spread.update(seen.spread.value, noise, 0.003 * noise, 3.5);
        let noise = seen.p10.variance;
        self.p10.update(seen.p10.value, noise, 0.02 * noise, 3.5);
    }

    /// How much of what was `seen` is waiting, in seconds: the tenth percentile shows it, and the spread as far as that is no
    /// noisier.
    pub(super) fn wait(&self, seen: &Self) -> f64 {
        let low = seen.p10.variance + self.p10.variance;
        let high = seen.spread.variance + self.spread.variance;
        let weight = low / (low + high).max(f64::MIN_POSITIVE);
        self.added(seen) + weight * (seen.spread.value - self.spread.value)
    }

    /// By how much the tenth percentile is above the one without waiting.
    pub(super) fn added(&self, seen: &Self) -> f64 {
        seen.p10.value - self.p10.value
    }
}

/// Makes a [`Shape`] of a window, with its noise.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lens {
    /// The variance of single latencies, smoothed, since the variance within one window is far too small if by chance
    /// nothing long was in it.
    scatter: f64,
}

impl Lens {
    pub(super) const fn new() -> Self {
        Self { scatter: 0.0 }
    }

    /// `jitter` is what the variance of the tenth percentile is known to be, relative to the mean squared; it is set if it is
    /// not known yet.
    pub(super) fn shape(&mut self, latency: &Latency, jitter: &mut f64) -> Shape {
        let mean = latency.mean.as_secs_f64().max(1e-9);
        let p10 = latency.p10.as_secs_f64();
        let single = latency.deviation.as_secs_f64().powi(2);
        // Before anything is known: as an exponential distribution has it.
        let is_first = self.scatter == 0.0;
        self.scatter +=
            if is_first { single.max(mean * mean) } else { 0.1 * (single - self.scatter) };
        let noise = self.scatter.max(single) / latency.count as f64;
        if *jitter == 0.0 {
            *jitter = noise / (9.0 * mean * mean);
        }
        let p10_noise = (jitter.max(1e-6) * mean * mean).min(noise);
        Shape { p10: Estimate::new(p10, p10_noise), spread: Estimate::new(mean - p10, noise) }
    }
}

#[cfg(test)]
mod tests;
