//! Where parked tasks leave their wakers, so that a forced end reaches them.
//!
//! A task registers once, when its future is first pending: tokio polls a task with the same waker for life. Trivial tasks,
//! which never park, never come here.
//!
//! Invariant: after [`Slots::close`] returned, every waker ever put in has been woken or taken out, and none is accepted.
//! So a task either finds the slots closed when it parks, or is woken by the closing.

use std::mem;
use std::task::Waker;

use crate::sync::{AtomicBool, Mutex, Ordering};

const SHARDS: u32 = 4;
const END: u32 = u32::MAX;

/// The place of one parked task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(u32);

impl Slot {
    /// A task that has not parked.
    pub const NONE: Self = Self(u32::MAX);
    /// A task that has not started: it waits for the limit.
    pub const QUEUED: Self = Self(u32::MAX - 1);
}

/// Wakers of parked tasks, spread over a few locks.
#[derive(Debug)]
pub struct Slots {
    closed: AtomicBool,
    shards: [Mutex<Shard>; SHARDS as usize],
}

#[derive(Debug)]
struct Shard {
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
        let shard = |_| Mutex::new(Shard { entries: Vec::new(), vacant: END, closed: false });
        Self { closed: AtomicBool::new(false), shards: std::array::from_fn(shard) }
    }

    /// Parks the task of that index; `None` when closed.
    pub fn park(&self, index: u32, waker: &Waker) -> Option<Slot> {
        let shard = index % SHARDS;
        // A waker's clone is a count of the task; it runs no code of the user.
        let mut locked = self.shards[shard as usize].lock();
        if locked.closed {
            return None;
        }
        Some(Slot(locked.insert(waker.clone()) * SHARDS + shard))
    }

    /// Takes the task out again.
    pub fn leave(&self, slot: Slot) {
        if slot == Slot::NONE || slot == Slot::QUEUED {
            return;
        }
        let taken = self.shards[(slot.0 % SHARDS) as usize].lock().remove(slot.0 / SHARDS);
        drop(taken);
    }

    /// Whether tasks are to end at their next poll.
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
            let entries = {
                let mut shard = shard.lock();
                shard.closed = true;
                mem::take(&mut shard.entries)
            };
            for entry in entries {
                if let Entry::Parked(waker) = entry {
                    waker.wake();
                }
            }
        }
    }
}

impl Shard {
    fn insert(&mut self, waker: Waker) -> u32 {
        let at = self.vacant;
        let Some(entry) = self.entries.get_mut(at as usize) else {
            self.entries.push(Entry::Parked(waker));
            return self.entries.len() as u32 - 1;
        };
        if let Entry::Vacant(next) = mem::replace(entry, Entry::Parked(waker)) {
            self.vacant = next;
        }
        at
    }

    /// Nothing once closed: the entries are gone then.
    fn remove(&mut self, at: u32) -> Option<Waker> {
        let next = self.vacant;
        let entry = self.entries.get_mut(at as usize)?;
        match mem::replace(entry, Entry::Vacant(next)) {
            Entry::Parked(waker) => {
                self.vacant = at;
                Some(waker)
            }
            Entry::Vacant(_) => unreachable!("a slot is left once"),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
