//! How many starts an agent may have in a minute.

use std::collections::VecDeque;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Counts starts in a sliding window: no minute, wherever it begins, sees more than the rate. (A bucket that refills, or a
/// window that begins anew, lets up to twice the rate through within a minute.)
#[derive(Debug)]
pub(super) struct Rate {
    per_minute: usize,
    /// When each start of the last minute leaves it.
    leave: VecDeque<Duration>,
}

impl Rate {
    pub(super) fn new(per_minute: usize) -> Self {
        Self { per_minute, leave: VecDeque::new() }
    }

    pub(super) fn set(&mut self, per_minute: usize) {
        self.per_minute = per_minute;
    }

    pub(super) fn started(&mut self, now: Duration) {
        self.leave.push_back(now.saturating_add(MINUTE));
    }

    /// A start of another process, so long ago.
    pub(super) fn started_ago(&mut self, ago: Duration, now: Duration) {
        let Some(left) = MINUTE.checked_sub(ago) else { return };
        let at = self.leave.partition_point(|leave| *leave <= now + left);
        self.leave.insert(at, now + left);
    }

    /// Whether the rate lets nothing start now.
    pub(super) fn is_spent(&self, now: Duration) -> bool {
        self.per_minute <= self.within(now)
    }

    /// Whether something has started within the last minute.
    pub(super) fn has_started(&self, now: Duration) -> bool {
        0 < self.within(now)
    }

    fn within(&self, now: Duration) -> usize {
        self.leave.len() - self.leave.partition_point(|leave| *leave <= now)
    }

    /// From when on another start is within the rate; `None` for now, `Duration::MAX` for never.
    pub(super) fn free_at(&mut self, now: Duration) -> Option<Duration> {
        while self.leave.front().is_some_and(|leave| *leave <= now) {
            self.leave.pop_front();
        }
        if self.leave.len() < self.per_minute {
            return None;
        }
        // After a cut of the rate, more than one has to leave the window.
        let last = self.leave.len() - self.per_minute;
        Some(self.leave.get(last).copied().unwrap_or(Duration::MAX))
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

    #[test]
    fn starts_of_another_process_count_until_their_minute_is_over() {
        let mut rate = Rate::new(2);
        rate.started(SECOND);
        // In whatever order they come, and also if this process is younger than they are.
        rate.started_ago(50 * SECOND, 2 * SECOND);
        rate.started_ago(10 * SECOND, 2 * SECOND);
        rate.started_ago(60 * SECOND, 2 * SECOND);
        rate.started_ago(61 * SECOND, 2 * SECOND);
        assert_eq!(rate.free_at(3 * SECOND), Some(52 * SECOND));
        assert_eq!(rate.free_at(12 * SECOND), Some(52 * SECOND));
        assert_eq!(rate.free_at(52 * SECOND), None);
        rate.started(52 * SECOND);
        assert_eq!(rate.free_at(53 * SECOND), Some(61 * SECOND));
    }
}
