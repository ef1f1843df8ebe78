//! Where parked tasks leave their wakers, so that a forced end reaches them.
//!
//! A task registers once, when its future is first pending: tokio polls a task with the same waker for life. Trivial tasks,
//! which never park, never come here.
//!
//! Invariants:
//! 1. After [`Slots::close`] returned, every waker ever put in has been woken or taken out, and none is accepted. So a task
//!    either finds the slots closed when it parks, or is woken by the closing.
//! 2. A task whose waker was taken out by itself leaves alone; one whose waker the closing took leaves with its batch. The
//!    lock of its shard decides which.

use std::mem;
use std::task::Waker;

use crate::batch::{Batch, Leaving};
use crate::sync::{AtomicBool, Mutex, OnceLock, Ordering};

const SHARDS: u32 = 4;
const END: u32 = u32::MAX;
/// How many neighbours leave together when they are forced.
const BATCH: usize = 64;

/// The list of a shard grows by an eighth, at least so many: by doubling it would take up to twice what is parked.
const GROWTH: usize = 4;

/// The place of one parked task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(u32);

impl Slot {
    /// A task that has not parked.
    pub const NONE: Self = Self(u32::MAX);
    /// A task that has not started: it waits for the limit.
    pub const QUEUED: Self = Self(u32::MAX - 1);
    /// A task that has its place, and was not polled yet: a [starter](crate::starter) does so.
    pub const UNPOLLED: Self = Self(u32::MAX - 2);
    /// The same, but a task of the runtime from the start.
    pub const ON_ITS_OWN: Self = Self(u32::MAX - 3);
}

/// Wakers of parked tasks, spread over a few locks.
#[derive(Debug)]
pub struct Slots {
    closed: AtomicBool,
    shards: [Shard; SHARDS as usize],
}

#[derive(Debug)]
struct Shard {
    list: Mutex<List>,
    /// Set by the closing, under the lock; read without it.
    batches: OnceLock<Box<[Batch]>>,
}

#[derive(Debug)]
struct List {
    entries: Vec<Entry>,
    vacant: u32,
    closed: bool,
}

#[derive(Debug)]
enum Entry {
    /// The next vacant one, or `END`.
    Vacant(u32),
    Parked(Waker),
}

impl Default for Slots {
    fn default() -> Self {
        Self::new()
    }
}

impl Slots {
    /// No task parked.
    pub fn new() -> Self {
        let shard = |_| {
            let list = List { entries: Vec::new(), vacant: END, closed: false };
            Shard { list: Mutex::new(list), batches: OnceLock::new() }
        };
        Self { closed: AtomicBool::new(false), shards: std::array::from_fn(shard) }
    }

    /// Parks the task of that index; `None` when closed.
    pub fn park(&self, index: u32, waker: &Waker) -> Option<Slot> {
        let shard = index % SHARDS;
        // A waker's clone is a count of the task; it runs no code of the user.
        let mut list = self.shards[shard as usize].list.lock();
        if list.closed {
            return None;
        }
        Some(Slot(list.insert(waker.clone()) * SHARDS + shard))
    }

    /// The task is over, `cancelled` or not; takes it out if it parked. Gives who leaves the group's counts by that.
    #[inline]
    pub fn leave(&self, slot: Slot, cancelled: bool) -> Leaving {
        if slot.0 >= Slot::ON_ITS_OWN.0 {
            Leaving::alone(cancelled)
        } else {
            self.unpark(slot, cancelled)
        }
    }

    fn unpark(&self, slot: Slot, cancelled: bool) -> Leaving {
        let (shard, at) = (&self.shards[(slot.0 % SHARDS) as usize], slot.0 / SHARDS);
        let batch = |batches: &[Batch]| batches[at as usize / BATCH].leave(cancelled);
        if let Some(batches) = shard.batches.get() {
            return batch(batches);
        }
        let mut list = shard.list.lock();
        if list.closed {
            drop(list);
            return batch(shard.batches.get().expect("set under the lock that closed the list"));
        }
        let waker = list.remove(at);
        drop(list);
        drop(waker);
        Leaving::alone(cancelled)
    }

    /// Whether tasks are to end at their next poll.
    #[inline]
    pub fn is_closed(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `close`, so that a task that is forced finds the cancellation too. One
        // that reads `false` too late parks, and finds its shard closed or is woken by the closing.
        self.closed.load(Ordering::Acquire)
    }

    /// Wakes every parked task and accepts no more. The second call does nothing.
    pub fn close(&self) {
        // ORDERING: Release; pairs with the Acquire in `is_closed`. First the flag, then the wakers: whoever is woken has to
        // find it set, which the lock of its shard sees to:
        //   closer: closed = true; wake(task)    task: assert!(slots.is_closed())
        if self.closed.swap(true, Ordering::Release) {
            return;
        }
        for shard in &self.shards {
            for entry in shard.close() {
                if let Entry::Parked(waker) = entry {
                    waker.wake();
                }
            }
        }
    }
}

impl Shard {
    fn close(&self) -> Vec<Entry> {
        let mut list = self.list.lock();
        list.closed = true;
        let entries = mem::take(&mut list.entries);
        let parked = |entry: &&Entry| matches!(entry, Entry::Parked(_));
        let batch = |few: &[Entry]| Batch::of(few.iter().filter(parked).count() as u32);
        let batches = entries.chunks(BATCH).map(batch).collect();
        self.batches.set(batches).expect("only the first to close comes here");
        entries
    }
}

impl List {
    fn insert(&mut self, waker: Waker) -> u32 {
        let at = self.vacant;
        let Some(entry) = self.entries.get_mut(at as usize) else {
            if self.entries.len() == self.entries.capacity() {
                self.entries.reserve_exact(GROWTH.max(self.entries.len() / 8));
            }
            self.entries.push(Entry::Parked(waker));
            return self.entries.len() as u32 - 1;
        };
        if let Entry::Vacant(next) = mem::replace(entry, Entry::Parked(waker)) {
            self.vacant = next;
        }
        at
    }

    fn remove(&mut self, at: u32) -> Waker {
        let vacant = Entry::Vacant(mem::replace(&mut self.vacant, at));
        match mem::replace(&mut self.entries[at as usize], vacant) {
            Entry::Parked(waker) => waker,
            Entry::Vacant(_) => unreachable!("a slot is left once"),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
