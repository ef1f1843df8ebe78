//! Envoy's gradient controller.

use std::time::Duration;

use super::{Law, Sample, Window};

/// Compares latency with the least latency, which it measures anew from time to time by going down to a few in flight.
///
/// As Envoy's `adaptive_concurrency` filter has it: every 100 ms `g = clamp(1.25·minRTT/p50, 0.5, 2)` and
/// `L ← g·L + √(g·L)`; every 60 s, and after five windows at the lowest limit, the limit goes down to 3 until 50 latencies were
/// measured under it, whose median becomes `minRTT`. (The original adds up to 15 % of jitter to the 60 s, to keep many
/// instances from probing together; here it is left out, so that a law stays a function of its inputs.) Latency settles at
/// about 1.25·(1 + 1/√L) of the least; while it probes, nearly everything is refused; and an unused limit grows.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tidegate_limiter::{EnvoyGradient, Latency, Law, Sample};
///
/// let mut law = EnvoyGradient::default();
/// let sample = |at, ms| Sample {
///     at: Duration::from_secs(at),
///     latency: Some(Latency::of(Duration::from_millis(ms))),
///     ..Sample::default()
/// };
/// assert_eq!(law.next(100, &sample(0, 20)), 3); // the first thing it does is to measure the least latency
/// assert_eq!(law.window().count, 50);
/// assert_eq!(law.next(3, &sample(1, 20)), 100); // done
/// assert_eq!(law.next(100, &sample(2, 25)), 110); // g = 1, and √100 more
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct EnvoyGradient {
    /// The limit never goes below this, and probing uses it.
    pub min: usize,
    /// The limit never goes above this.
    pub max: usize,
    /// How often the least latency is measured anew.
    pub probe_interval: Duration,
    /// Seconds.
    min_rtt: Option<f64>,
    /// The limit to go back to after the probe that is going on.
    probing_from: Option<usize>,
    probed_at: Duration,
    windows_at_min: u32,
}

impl Default for EnvoyGradient {
    /// Between 3 and 1000, a probe every 60 s: the published defaults.
    fn default() -> Self {
        Self {
            min: 3,
            max: 1000,
            probe_interval: Duration::from_secs(60),
            min_rtt: None,
            probing_from: None,
            probed_at: Duration::ZERO,
            windows_at_min: 0,
        }
    }
}

impl Law for EnvoyGradient {
    fn next(&mut self, limit: usize, sample: &Sample) -> usize {
        let Some(latency) = sample.latency else { return limit };
        let p50 = latency.p50.as_secs_f64().max(1e-9);
        if let Some(before) = self.probing_from.take() {
            self.min_rtt = Some(p50);
            (self.probed_at, self.windows_at_min) = (sample.at, 0);
            return before;
        }
        let is_due = self.probe_interval <= sample.at.saturating_sub(self.probed_at);
        let min_rtt = match self.min_rtt {
            Some(min_rtt) if !is_due && self.windows_at_min < 5 => min_rtt,
            _ => {
                self.probing_from = Some(limit);
                return self.min;
            }
        };
        let gradient = (1.25 * min_rtt / p50).clamp(0.5, 2.0);
        let kept = gradient * limit as f64;
        let proposed = (kept + kept.sqrt()) as usize;
        self.windows_at_min = if proposed <= self.min { self.windows_at_min + 1 } else { 0 };
        proposed.min(self.max).max(self.min)
    }

    fn window(&self) -> Window {
        match self.probing_from {
            // Samples that began before the probe are left out; nothing is waited for.
            Some(_) => Window {
                settle: Duration::from_nanos(1),
                only_fresh: true,
                count: 50,
                at_least: Duration::ZERO,
                at_most: Duration::MAX,
            },
            None => Window::every(Duration::from_millis(100), 1),
        }
    }
}
