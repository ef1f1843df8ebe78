//! TCP Vegas, applied to work in flight.

use super::{Law, Sample, Window};

/// Keeps the estimated queue `L·(1 − rtt_noload/rtt)` between two bounds that grow with `log10 L`.
///
/// As `VegasLimit` of Netflix's concurrency-limits has it: with `q = ⌈L(1 − rtt_noload/rtt)⌉`, α = 3·log10 L, β = 6·log10 L
/// and a threshold of log10 L, all integers and log10 at least 1:
///
/// | if | then |
/// |---|---|
/// | overload | L − log10 L |
/// | 2·in_flight < L | hold |
/// | q ≤ threshold | L + β |
/// | q < α | L + log10 L |
/// | q > β | L − log10 L |
///
/// `rtt_noload` is the least latency seen; after `30·L` samples it is forgotten and the next one takes its place. (The
/// original spreads that between half and all of the `30·L` by chance; here it is three quarters, so that a law stays a
/// function of its inputs.) The minimum of latencies that vary is far below their mean, which makes a queue appear
/// where there is none: with samples of one work item each it then stays near its lowest limit.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tidegate_limiter::{Latency, Law, Sample, Vegas};
///
/// let mut law = Vegas::default();
/// let sample = |ms| Sample {
///     latency: Some(Latency::of(Duration::from_millis(ms))),
///     max_in_flight: 100,
///     ..Sample::default()
/// };
/// assert_eq!(law.next(100, &sample(20)), 100); // the first is the latency without load
/// assert_eq!(law.next(100, &sample(20)), 112); // no queue
/// assert_eq!(law.next(100, &sample(25)), 98); // 20 are queued
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Vegas {
    /// The limit never goes above this.
    pub max: usize,
    window: Window,
    /// Seconds.
    rtt_noload: Option<f64>,
    samples: usize,
}

impl Default for Vegas {
    /// At most 1000, a sample for each work item: the published defaults.
    fn default() -> Self {
        Self { max: 1000, window: Window::EACH, rtt_noload: None, samples: 0 }
    }
}

impl Vegas {
    /// The same law with samples that span `window`: their mean latency and their highest use count.
    pub fn windowed(window: Window) -> Self {
        Self { window, ..Self::default() }
    }
}

impl Law for Vegas {
    fn next(&mut self, limit: usize, sample: &Sample) -> usize {
        let size = limit as f64;
        let log = (size.log10() as usize).max(1);
        if 0 < sample.overloads {
            // Before its latency, which nothing has that was only refused.
            return limit.saturating_sub(log).min(self.max).max(1);
        }
        let Some(latency) = sample.latency else { return limit };
        let rtt = latency.mean.as_secs_f64().max(1e-9);
        self.samples += 1;
        if limit.saturating_mul(30) * 3 / 4 <= self.samples {
            (self.samples, self.rtt_noload) = (0, Some(rtt));
            return limit;
        }
        let noload = match self.rtt_noload {
            Some(noload) if noload <= rtt => noload,
            _ => {
                self.rtt_noload = Some(rtt);
                return limit;
            }
        };
        let queue = (size * (1.0 - noload / rtt)).ceil() as usize;
        let (alpha, beta) = (3 * log, 6 * log);
        let proposed = if sample.max_in_flight.saturating_mul(2) < limit {
            limit
        } else if queue <= log {
            limit + beta
        } else if queue < alpha {
            limit + log
        } else if beta < queue {
            limit.saturating_sub(log)
        } else {
            limit
        };
        proposed.min(self.max).max(1)
    }

    fn window(&self) -> Window {
        self.window
    }
}
