//! Additive increase, multiplicative decrease.

use std::time::Duration;

use super::{Law, Sample, Window};

/// One more while the limit is used and all goes well, a tenth less after an overload or a latency above `timeout`.
///
/// As `AIMDLimit` of Netflix's concurrency-limits has it: a sample is one work item; a drop or a round trip above the
/// time-out gives `⌊ratio·L⌋`, otherwise `L + 1` if `2·in_flight ≥ L`. It does not see latency below the time-out, so that
/// behind a backend that queues rather than refuses it fills the queue up to the time-out or to `max`.
///
/// # Examples
///
/// ```
/// use tidegate_limiter::{Aimd, Law, Sample};
///
/// let mut law = Aimd::default();
/// assert_eq!(law.next(50, &Sample { max_in_flight: 25, ..Sample::default() }), 51);
/// assert_eq!(law.next(50, &Sample { max_in_flight: 24, ..Sample::default() }), 50);
/// assert_eq!(law.next(50, &Sample { overloads: 1, ..Sample::default() }), 45);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Aimd {
    /// The limit never goes below this.
    pub min: usize,
    /// The limit never goes above this.
    pub max: usize,
    /// What a decrease leaves of the limit, between 0 and 1.
    pub ratio: f64,
    /// A latency above this counts as an overload.
    pub timeout: Duration,
}

impl Default for Aimd {
    /// Between 20 and 200, ratio 0.9, time-out 5 s: the published defaults.
    fn default() -> Self {
        Self { min: 20, max: 200, ratio: 0.9, timeout: Duration::from_secs(5) }
    }
}

impl Law for Aimd {
    fn next(&mut self, limit: usize, sample: &Sample) -> usize {
        let is_late = sample.latency.is_some_and(|latency| self.timeout < latency.mean);
        let proposed = if 0 < sample.overloads || is_late {
            (limit as f64 * self.ratio) as usize
        } else if limit <= sample.max_in_flight.saturating_mul(2) {
            limit + 1
        } else {
            limit
        };
        proposed.min(self.max).max(self.min)
    }

    fn window(&self) -> Window {
        Window::EACH
    }
}
