//! How many starts an agent may have in a minute.

use std::collections::VecDeque;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Counts starts in a sliding window: no minute, wherever it begins, sees more than the rate. (A bucket that refills, or a
/// window that begins anew, lets up to twice the rate through within a minute.)
#[derive(Debug)]
pub(super) struct Rate {
    per_minute: usize,
    starts: VecDeque<Duration>,
}

impl Rate {
    pub(super) fn new(per_minute: usize) -> Self {
        Self { per_minute, starts: VecDeque::new() }
    }

    pub(super) fn set(&mut self, per_minute: usize) {
        self.per_minute = per_minute;
    }

    pub(super) fn started(&mut self, now: Duration) {
        self.starts.push_back(now);
    }

    /// From when on another start is within the rate; `None` for now, `Duration::MAX` for never.
    pub(super) fn free_at(&mut self, now: Duration) -> Option<Duration> {
        while self.starts.front().is_some_and(|start| *start + MINUTE <= now) {
            self.starts.pop_front();
        }
        if self.starts.len() < self.per_minute {
            return None;
        }
        // After a cut of the rate, more than one has to leave the window.
        let last = self.starts.len() - self.per_minute;
        Some(self.starts.get(last).map_or(Duration::MAX, |start| *start + MINUTE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn no_minute_sees_more_starts_than_the_rate() {
        let mut rate = Rate::new(2);
        rate.started(10 * SECOND);
        assert_eq!(rate.free_at(30 * SECOND), None);
        rate.started(30 * SECOND);
        assert_eq!(rate.free_at(31 * SECOND), Some(70 * SECOND));
        assert_eq!(rate.free_at(70 * SECOND), None);
        rate.started(70 * SECOND);
        assert_eq!(rate.free_at(71 * SECOND), Some(90 * SECOND));
    }

    #[test]
    fn a_cut_rate_waits_for_as_many_to_leave_the_window_as_are_too_many() {
        let mut rate = Rate::new(3);
        (1..=3).for_each(|at| rate.started(at * SECOND));
        rate.set(1);
        assert_eq!(rate.free_at(4 * SECOND), Some(63 * SECOND));
        rate.set(0);
        assert_eq!(rate.free_at(4 * SECOND), Some(Duration::MAX));
    }
}
