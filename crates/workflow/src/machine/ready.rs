//! The ready tasks of one class, in the order in which they start.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use super::TaskRef;

/// How many entries of tasks that are not ready any more are kept before they are thrown out.
const STALE: usize = 64;

/// From how many newcomers on it pays to sort them at once, instead of putting each into the heap.
const MANY: usize = 32;

/// More dependents than this make no difference.
pub(super) const MOST_DEPENDENTS: usize = u16::MAX as usize;

/// How many bits tell arrivals apart.
const ARRIVALS: u32 = 48;

/// Priority, then score, then dependents, then who came first: from the upper bits to the lower ones of one number, since keys
/// are compared more often than anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u128);

impl Key {
    pub(super) fn new(priority: i32, score: f32, dependents: usize, seq: u64) -> Self {
        // In an order of its bits that is the order of the numbers.
        let priority = priority.cast_unsigned() ^ 1 << 31;
        let bits = score.to_bits();
        // IEEE 754: positive numbers compare as their bits, negative ones the other way round.
        let score = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
        let dependents = dependents.min(MOST_DEPENDENTS) as u64;
        // Counted down, so that a larger key is an earlier one.
        let arrival = LAST - seq;
        let rest = dependents << ARRIVALS | arrival;
        Self(u128::from(priority) << 96 | u128::from(score) << 64 | u128::from(rest))
    }

    pub(super) fn seq(self) -> u64 {
        // The lower half is the rest.
        LAST - (self.0 as u64 & LAST)
    }
}

/// The last arrival that can be told from others: at a million a second, after nine years.
const LAST: u64 = (1 << ARRIVALS) - 1;

/// In the order of the keys, of which no two are alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) task: TaskRef,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}

/// A priority queue that also knows who has waited the longest.
///
/// A task that leaves is not searched for: its entries are passed over when they come up, and thrown out once they are
/// several times the live ones. `is_ready` tells an entry from a stale one.
///
/// Newcomers wait until somebody asks for the best. Those who find nobody before them, or many of them, as when a wide graph
/// begins, are sorted then, and leave from the end of the list; others go to the heap.
#[derive(Debug, Default)]
pub(super) struct Ready {
    fresh: Vec<Entry>,
    /// The best last.
    sorted: Vec<Entry>,
    heap: BinaryHeap<Entry>,
    by_age: VecDeque<(u64, TaskRef)>,
    live: usize,
}

impl Ready {
    pub(super) fn reserve(&mut self, tasks: usize) {
        self.fresh.reserve_exact(tasks);
        self.by_age.reserve_exact(tasks);
    }

    pub(super) fn push(&mut self, key: Key, task: TaskRef) {
        self.push_entry(Entry { key, task });
        self.push_age(key.seq(), task);
    }

    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// A key that no task of it is above.
    pub(super) fn top(&mut self) -> Option<Key> {
        self.take_in();
        let (sorted, heap) = (self.sorted.last(), self.heap.peek());
        sorted.max(heap).map(|entry| entry.key)
    }

    /// The task that starts next by priority.
    pub(super) fn best(
        &mut self,
        is_ready: impl Fn(TaskRef, u64) -> bool,
    ) -> Option<(Key, TaskRef)> {
        self.take_in();
        loop {
            let Entry { key, task } = *self.sorted.last().max(self.heap.peek())?;
            if is_ready(task, key.seq()) {
                return Some((key, task));
            }
            self.pop();
        }
    }

    /// Takes out the entry that [`Self::best`] or [`Self::top`] has just told.
    pub(super) fn pop(&mut self) {
        if self.sorted.last() > self.heap.peek() {
            self.sorted.pop();
        } else {
            self.heap.pop();
        }
    }

    fn take_in(&mut self) {
        if self.fresh.is_empty() {
            return;
        }
        if self.sorted.is_empty() && (self.heap.is_empty() || MANY <= self.fresh.len()) {
            std::mem::swap(&mut self.fresh, &mut self.sorted);
            self.sorted.sort_unstable_by_key(|entry| entry.key);
        } else {
            while let Some(entry) = self.fresh.pop() {
                self.heap.push(entry);
            }
        }
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
        if self.live == 0 {
            self.clear();
        } else if 4 * self.live + STALE < self.by_age.len().max(self.entries()) {
            self.throw_out(is_ready);
        }
    }

    /// Keeps the live entries alone, in the memory that they take: after a peak it comes back.
    fn throw_out(&mut self, is_ready: impl Fn(TaskRef, u64) -> bool) {
        // Who starts is taken out of the order of keys, and only who leaves otherwise is still there.
        if self.live < self.entries() {
            let is_live = |entry: &Entry| is_ready(entry.task, entry.key.seq());
            self.fresh.retain(is_live);
            self.sorted.retain(is_live);
            self.heap.retain(is_live);
        }
        self.by_age.retain(|(seq, task)| is_ready(*task, *seq));
        let room = self.live + STALE;
        self.fresh.shrink_to(room);
        self.sorted.shrink_to(room);
        self.heap.shrink_to(room);
        self.by_age.shrink_to(room);
    }

    fn clear(&mut self) {
        self.fresh.clear();
        self.sorted.clear();
        if !self.heap.is_empty() {
            self.heap.clear();
        }
        self.by_age.clear();
    }

    /// How many stand in the order of keys, live or not.
    fn entries(&self) -> usize {
        self.fresh.len() + self.sorted.len() + self.heap.len()
    }

    /// All entries, of which some may be stale: the best last, and by age. Nothing is left.
    pub(super) fn take_all(&mut self) -> (Vec<Entry>, VecDeque<(u64, TaskRef)>) {
        self.take_in();
        let Self { mut sorted, heap, by_age, .. } = std::mem::take(self);
        if !heap.is_empty() {
            sorted.extend(heap);
            sorted.sort_unstable_by_key(|entry| entry.key);
        }
        (sorted, by_age)
    }

    /// Half of [`Self::push`]; the other is [`Self::push_age`], in the order of age.
    pub(super) fn push_entry(&mut self, entry: Entry) {
        self.live += 1;
        self.fresh.push(entry);
    }

    pub(super) fn push_age(&mut self, seq: u64, task: TaskRef) {
        self.by_age.push_back((seq, task));
    }
}

#[cfg(test)]
mod tests {
    use super::super::RunId;
    use super::*;

    impl Ready {
        fn capacity(&self) -> usize {
            self.fresh.capacity().max(self.sorted.capacity()).max(self.heap.capacity())
        }
    }

    fn task(node: u32) -> TaskRef {
        TaskRef { run: RunId(0), node }
    }

    #[test]
    fn however_many_come_at_once_the_best_is_next() {
        let mut ready = Ready::default();
        let (mut left, mut seq, mut seed) = (Vec::new(), 0, 1_u64);
        for came in [100, 3, 200, 0, 40, 1] {
            for _ in 0..came {
                // Knuth's MMIX generator.
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let key = Key::new((seed >> 33) as i32 % 5, 0.0, 0, seq);
                ready.push(key, task(seq as u32));
                left.push(key);
                seq += 1;
            }
            left.sort_unstable();
            for _ in 0..50.min(left.len()) {
                let best = left.pop();
                assert_eq!(ready.top(), best);
                assert_eq!(ready.best(|_, _| true).map(|(key, _)| key), best);
                ready.pop();
            }
        }
        assert_eq!(ready.entries(), left.len());
    }

    #[test]
    fn keys_order_by_priority_then_score_then_dependents_then_arrival() {
        let mut keys = [
            Key::new(0, 1.0, 0, 4),
            Key::new(0, 1.0, 0, 3),
            Key::new(0, 1.0, 2, 5),
            Key::new(0, 1.0, 1, 2),
            Key::new(1, -5.0, 0, 9),
            Key::new(-1, 9.0, 9, 1),
            Key::new(0, -1.0, 0, 0),
            Key::new(0, f32::INFINITY, 0, 8),
        ];
        keys.sort();
        assert_eq!(keys.map(Key::seq), [1, 0, 4, 3, 2, 5, 8, 9]);
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
        assert!(ready.entries() <= STALE + 5 && ready.by_age.len() <= STALE + 5);
        assert!(ready.capacity() <= 4 * (STALE + 2));
        assert!(ready.by_age.capacity() <= 4 * (STALE + 2));
        assert_eq!(ready.best(|_, seq| seq == last - 1).map(|(_, at)| at), Some(task(9_999)));
        assert_eq!(ready.oldest(|_, seq| seq == last - 1).map(|(_, at)| at), Some(task(9_999)));
    }

    #[test]
    fn what_is_ready_stays_when_entries_of_others_are_thrown_out() {
        let mut ready = Ready::default();
        (0..200).for_each(|seq| ready.push(Key::new(0, 0.0, 0, seq), task(seq as u32)));
        for left in 0..180 {
            ready.left(|_, seq| seq > left);
        }
        assert!(ready.entries() < 200 && ready.by_age.len() < 200);
        assert_eq!(ready.oldest(|_, seq| seq >= 180), Some((180, task(180))));
        assert_eq!(ready.best(|_, seq| seq >= 180).map(|(_, at)| at), Some(task(180)));
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
        assert!(ready.capacity() <= 4 * STALE, "{}", ready.capacity());
        assert!(ready.by_age.capacity() <= 4 * STALE, "{}", ready.by_age.capacity());
    }
}
