//! What was measured of an agent.

use std::time::Duration;

use tidegate_limiter::{Latency, Sample};

/// What was measured of an agent over an interval.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    pub(crate) limit: usize,
    pub(crate) peak: usize,
    pub(crate) waiting: usize,
    pub(crate) ended: usize,
    pub(crate) failed: usize,
    pub(crate) timed_out: usize,
    /// How often it said that it can bear no more.
    pub(crate) overloaded: usize,
    /// How many succeeded, and what follows, of those: a refusal at once says nothing of how long the work takes.
    pub(crate) succeeded: usize,
    pub(crate) shortest: Option<Duration>,
    pub(crate) total: Duration,
    /// Of the squares of the seconds.
    pub(crate) squares: f64,
    /// The last of them, in no order.
    pub(crate) recent: Vec<Duration>,
}

/// Of how many successes the quantiles are taken at most.
const RECENT: usize = 128;

impl Observed {
    pub(super) fn succeeded(&mut self, took: Duration) {
        if self.recent.len() < RECENT {
            self.recent.push(took);
        } else {
            self.recent[self.succeeded % RECENT] = took;
        }
        self.succeeded += 1;
        self.total += took;
        self.squares += took.as_secs_f64().powi(2);
        self.shortest = Some(self.shortest.map_or(took, |shortest| shortest.min(took)));
    }

    /// As a control law wants it.
    pub(crate) fn sample(&self, at: Duration) -> Sample {
        let count = self.ended as f64;
        let mut recent = self.recent.clone();
        recent.sort_unstable();
        let quantile = |share: f64| {
            let rank = (share * recent.len() as f64).ceil() as usize;
            recent.get(rank.saturating_sub(1)).copied()
        };
        let latency = self.shortest.map(|min| {
            let count = self.succeeded;
            let mean = self.total / u32::try_from(count).unwrap_or(u32::MAX).max(1);
            let variance = self.squares / count as f64 - mean.as_secs_f64().powi(2);
            Latency {
                count,
                min,
                mean,
                deviation: Duration::from_secs_f64(variance.max(0.0).sqrt()),
                p10: quantile(0.1).unwrap_or(min),
                p50: quantile(0.5).unwrap_or(mean),
            }
        });
        Sample {
            at,
            queue_depth: Some(self.waiting as f64),
            error_rate: (self.ended > 0).then(|| (self.failed + self.timed_out) as f64 / count),
            max_in_flight: self.peak,
            overloads: self.timed_out + self.overloaded,
            latency,
            ..Sample::default()
        }
    }
}
