//! When a worker may be started: backoff after failures, and a breaker that lets jobs fail at once while starts fail.
//! Pure; time is a parameter.

use std::time::{Duration, Instant};

use super::error::StartError;

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(5);
/// Failures in a row after which jobs no longer wait for a worker.
const PATIENCE: u32 = 3;

/// The starts of all workers of a pool.
#[derive(Debug, Default)]
pub(super) struct Starts {
    failures: u32,
    not_before: Option<Instant>,
    probing: bool,
    last: Option<StartError>,
}

impl Starts {
    /// Whether to start a worker now, or how long to wait before asking again. While starts fail, one at a time tries.
    pub(super) fn may_start(&mut self, now: Instant) -> Result<(), Duration> {
        let Some(not_before) = self.not_before else { return Ok(()) };
        if now < not_before {
            return Err(not_before - now);
        }
        if self.probing {
            return Err(FIRST);
        }
        self.probing = true;
        Ok(())
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// `jitter` within 0 to 1 spreads the next start over 75 to 125 % of the backoff. Workers that were started
    /// together and fail together count as one failure.
    pub(super) fn failed(&mut self, now: Instant, jitter: f64, error: StartError) {
        self.probing = false;
        self.last = Some(error);
        if self.not_before.is_none_or(|at| at <= now) {
            self.failures += 1;
            let doubled = FIRST * 2_u32.saturating_pow(self.failures.min(16) - 1);
            self.not_before = Some(now + doubled.min(LONGEST).mul_f64(0.75 + jitter / 2.0));
        }
    }

    /// The last failure, once there were so many in a row that jobs should not wait.
    pub(super) fn broken(&self) -> Option<&StartError> {
        self.last.as_ref().filter(|_| PATIENCE <= self.failures)
    }

    #[cfg(test)]
    fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, LONGEST, PATIENCE, StartError, Starts};

    #[test]
    fn failures_back_off_to_a_cap_and_a_success_forgets_them() {
        let mut starts = Starts::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert_eq!(starts.may_start(now), Ok(()));
            starts.failed(now, 0.5, StartError::NoHello);
            let wait = starts.may_start(now).expect_err("it just failed");
            waits.push(wait);
            now += wait;
        }
        assert!(waits.is_sorted() && waits[0] < waits[3] && waits[11] == LONGEST, "{waits:?}");
        assert!(starts.broken().is_some());
        starts.succeeded();
        assert!(starts.broken().is_none() && starts.may_start(now).is_ok());
    }

    #[test]
    fn workers_that_fail_together_count_once_and_one_probes() {
        let mut starts = Starts::default();
        let now = Instant::now();
        for _ in 0..PATIENCE + 1 {
            starts.failed(now, 0.0, StartError::NoHello);
        }
        assert_eq!(starts.failures(), 1);
        let mut patient = Starts::default();
        for n in 1..=PATIENCE {
            assert!(patient.broken().is_none(), "after {} failures", n - 1);
            patient.failed(now + LONGEST * 2 * n, 0.0, StartError::NoHello);
        }
        assert_eq!(patient.broken(), Some(&StartError::NoHello));
        assert!(starts.broken().is_none());
        let later = now + Duration::from_secs(1);
        assert_eq!(starts.may_start(later), Ok(()));
        assert!(starts.may_start(later).is_err());
        starts.failed(later, 0.0, StartError::NoHello);
        assert_eq!(starts.may_start(later + Duration::from_secs(1)), Ok(()));
    }
}
