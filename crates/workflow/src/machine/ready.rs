//! The ready tasks of one class, in the order in which they start.

use std::collections::{BinaryHeap, VecDeque};

use super::TaskRef;

/// How many entries of tasks that are not ready any more are kept before they are thrown out.
const STALE: usize = 64;

/// More dependents than this make no difference.
pub(super) const MOST_DEPENDENTS: usize = u16::MAX as usize;

/// How many bits tell arrivals apart.
const ARRIVALS: u32 = 48;

/// Priority, then score, then dependents, then who came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    priority: i32,
    /// In an order of its bits that is the order of the numbers.
    score: u32,
    /// The dependents, and below them the arrival, counted down, so that a larger key is an earlier one.
    rest: u64,
}

impl Key {
    pub(super) fn new(priority: i32, score: f32, dependents: usize, seq: u64) -> Self {
        let bits = score.to_bits();
        // IEEE 754: positive numbers compare as their bits, negative ones the other way round.
        let score = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
        let dependents = dependents.min(MOST_DEPENDENTS) as u64;
        Self { priority, score, rest: dependents << ARRIVALS | (LAST - seq) }
    }

    pub(super) fn seq(self) -> u64 {
        LAST - (self.rest & LAST)
    }
}

/// The last arrival that can be told from others: at a million a second, after nine years.
const LAST: u64 = (1 << ARRIVALS) - 1;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    key: Key,
    task: TaskRef,
}

/// A priority queue that also knows who has waited the longest.
///
/// A task that leaves is not searched for: its entries are passed over when they come up, and thrown out when they are
/// more than the live ones. `is_ready` tells an entry from a stale one.
#[derive(Debug, Default)]
pub(super) struct Ready {
    by_key: BinaryHeap<Entry>,
    by_age: VecDeque<(u64, TaskRef)>,
    live: usize,
}

impl Ready {
    pub(super) fn reserve(&mut self, tasks: usize) {
        self.by_key.reserve_exact(tasks);
        self.by_age.reserve_exact(tasks);
    }

    pub(super) fn push(&mut self, key: Key, task: TaskRef) {
        self.by_key.push(Entry { key, task });
        self.by_age.push_back((key.seq(), task));
        self.live += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// A key that no task of it is above.
    pub(super) fn top(&self) -> Option<Key> {
        self.by_key.peek().map(|entry| entry.key)
    }

    /// The task that starts next by priority.
    pub(super) fn best(
        &mut self,
        is_ready: impl Fn(TaskRef, u64) -> bool,
    ) -> Option<(Key, TaskRef)> {
        while let Some(Entry { key, task }) = self.by_key.peek() {
            if is_ready(*task, key.seq()) {
                return Some((*key, *task));
            }
            self.by_key.pop();
        }
        None
    }

    /// The task that has waited the longest, and since when in the order of arrivals.
    pub(super) fn oldest(
        &mut self,
        is_ready: impl Fn(TaskRef, u64) -> bool,
    ) -> Option<(u64, TaskRef)> {
        while let Some((seq, task)) = self.by_age.front() {
            if is_ready(*task, *seq) {
                return Some((*seq, *task));
            }
            self.by_age.pop_front();
        }
        None
    }

    /// One of the tasks is not ready any more: `is_ready` says so already.
    pub(super) fn left(&mut self, is_ready: impl Fn(TaskRef, u64) -> bool) {
        self.live -= 1;
        let bound = 2 * self.live + STALE;
        if bound < self.by_key.len() {
            self.by_key.retain(|entry| is_ready(entry.task, entry.key.seq()));
        }
        if bound < self.by_age.len() {
            self.by_age.retain(|(seq, task)| is_ready(*task, *seq));
        }
        // After a peak the memory comes back, and not for every few tasks.
        if 4 * bound < self.by_key.capacity() {
            self.by_key.shrink_to(bound);
        }
        if 4 * bound < self.by_age.capacity() {
            self.by_age.shrink_to(bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::RunId;
    use super::*;

    fn task(node: u32) -> TaskRef {
        TaskRef { run: RunId(0), node }
    }

    #[test]
    fn keys_order_by_priority_then_score_then_dependents_then_arrival() {
        let mut keys = [
            Key::new(0, 1.0, 0, 4),
            Key::new(0, 1.0, 0, 3),
            Key::new(0, 1.0, 2, 5),
            Key::new(0, 1.0, 1, 2),
            Key::new(1, -5.0, 0, 9),
            Key::new(0, -1.0, 0, 0),
            Key::new(0, f32::INFINITY, 0, 8),
        ];
        keys.sort();
        assert_eq!(keys.map(Key::seq), [0, 4, 3, 2, 5, 8, 9]);
    }

    #[test]
    fn entries_of_tasks_that_left_do_not_pile_up() {
        let mut ready = Ready::default();
        let last = 10_000;
        for seq in 0..last {
            ready.push(Key::new(0, 0.0, 0, seq), task(seq as u32));
            if seq > 0 {
                ready.left(|_, seq_of| seq_of == seq);
            }
        }
        assert_eq!(ready.len(), 1);
        assert!(ready.by_key.len() <= STALE + 3 && ready.by_age.len() <= STALE + 3);
        assert!(ready.by_key.capacity() <= 4 * (STALE + 2));
        assert!(ready.by_age.capacity() <= 4 * (STALE + 2));
        assert_eq!(ready.best(|_, seq| seq == last - 1).map(|(_, at)| at), Some(task(9_999)));
        assert_eq!(ready.oldest(|_, seq| seq == last - 1).map(|(_, at)| at), Some(task(9_999)));
    }

    #[test]
    fn what_is_ready_stays_when_entries_of_others_are_thrown_out() {
        let mut ready = Ready::default();
        (0..200).for_each(|seq| ready.push(Key::new(0, 0.0, 0, seq), task(seq as u32)));
        for left in 0..150 {
            ready.left(|_, seq| seq > left);
        }
        assert!(ready.by_key.len() < 200 && ready.by_age.len() < 200);
        assert_eq!(ready.oldest(|_, seq| seq >= 150), Some((150, task(150))));
        assert_eq!(ready.best(|_, seq| seq >= 150).map(|(_, at)| at), Some(task(150)));
        assert_eq!(ready.best(|_, seq| seq == 199).map(|(_, at)| at), Some(task(199)));
    }

    #[test]
    fn the_memory_of_a_peak_comes_back_as_tasks_start() {
        let mut ready = Ready::default();
        let all = 10_000;
        (0..all).for_each(|seq| ready.push(Key::new(0, 0.0, 0, seq), task(seq as u32)));
        for started in 0..all {
            ready.best(|_, seq| seq >= started);
            ready.left(|_, seq| seq > started);
        }
        assert!(ready.by_key.capacity() <= 4 * STALE, "{}", ready.by_key.capacity());
        assert!(ready.by_age.capacity() <= 4 * STALE, "{}", ready.by_age.capacity());
    }
}
