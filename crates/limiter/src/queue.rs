//! The requests that wait, in the order in which they came: a plain value without lock, clock or task.
//!
//! A doubly linked list, linked by index, so that leaving from the middle costs O(1) without `unsafe`. A request owns its slot
//! from [`Queue::push`] until it collects the decision with [`Queue::poll`] or leaves with [`Queue::cancel`]; in between,
//! the slot moves through these states:
//!
//! ```text
//!            push             grant_head                poll → Granted
//!   Free ───────────▶ Waiting ───────────▶ Granted ─────────────────────▶ Free
//!                        │                    └──────── cancel ──────────▶ Free   (its weight is handed on)
//!                        ├── refuse_heavier ─▶ Refused ── poll, cancel ──▶ Free
//!                        ├── close ──────────▶ Closed ─── poll, cancel ──▶ Free
//!                        └── cancel ─────────────────────────────────────▶ Free   (if it was the head, the next may fit)
//! ```
//!
//! Invariants: (1) exactly the `Waiting` slots are linked, in order of arrival; (2) a `Waiting` slot holds the waker of its
//! last poll, any other slot holds none; (3) the head is not among those who [linger](Queue::lingers).
//!
//! In a crowd, those who leave from the middle linger until a few have gathered: each lies on a cache line of its own, and
//! the misses of many overlap, while those of one stand between two turns of the lock. Any other operation sees them off
//! first, so that nobody can tell, but for their wakers, a few of which live a little longer.

use std::task::Waker;
use std::time::{Duration, Instant};

mod slots;

use slots::{Slot, Slots, State};

/// No slot.
pub(crate) const NIL: u32 = u32::MAX;

/// So many must wait that leaving one by one would miss the cache.
const CROWD: u32 = 512;

/// How many leave a crowd at a time.
const BATCH: usize = 32;

/// What becomes of a request that is heavier than the whole limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oversize {
    Refuse,
    Wait,
}

/// What a poll finds.
#[derive(Debug)]
pub(crate) enum Polled {
    /// Not decided.
    Waiting,
    /// Not decided, and the slot's waker wakes another task; poll again with a clone of the right one.
    WrongWaker,
    Granted,
    Refused {
        limit: u32,
    },
    Closed,
}

/// What a request that leaves had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It waited and was the head: the next may fit.
    Head,
    /// It waited further back.
    Middle,
    /// It waited further back, and goes with the next few; `full` if they are enough to be [seen off](Queue::see_off).
    Lingers { full: bool },
    /// Its weight was taken for it.
    Granted { weight: u32 },
    /// It had been refused, or closed upon.
    Nothing,
}

/// How many wait and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) waiting: u32,
    pub(crate) granted: u32,
    pub(crate) oldest_wait: Option<Duration>,
    pub(crate) oldest_grant: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct Queue {
    slots: Slots,
    /// When the slot was last pushed or granted; empty unless times are wanted.
    since: Vec<Instant>,
    head: u32,
    tail: u32,
    /// Those who linger included.
    waiting: u32,
    /// Not collected yet: granted, and refused or closed upon.
    granted: u32,
    declined: u32,
    /// No waiting request is heavier than this.
    heaviest: u32,
    lingering: usize,
    leavers: [u32; BATCH],
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self {
            slots: Slots::new(),
            since: Vec::new(),
            head: NIL,
            tail: NIL,
            waiting: 0,
            granted: 0,
            declined: 0,
            heaviest: 0,
            lingering: 0,
            leavers: [NIL; BATCH],
        }
    }

    /// How many wait undecided.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting - self.lingering as u32
    }

    /// The weight of the request that is next, and whether it is the only one.
    #[inline]
    pub(crate) fn head(&self) -> Option<(u32, bool)> {
        debug_assert!(!self.lingers(), "those who left are seen off first");
        if self.head == NIL {
            return None;
        }
        Some((self.slots.get(self.head).weight, self.head == self.tail))
    }

    /// Appends a request; `now` only where times are wanted (then always).
    pub(crate) fn push(
        &mut self,
        weight: u32,
        oversize: Oversize,
        waker: Waker,
        now: Option<Instant>,
    ) -> u32 {
        let (prev, next) = (self.tail, NIL);
        let (waker, state) = (Some(waker), State::Waiting);
        let at = self.slots.insert(Slot { waker, prev, next, weight, state, oversize });
        self.stamp(at, now);
        self.tail = at;
        match prev {
            NIL => self.head = at,
            _ => self.slots.get_mut(prev).next = at,
        }
        self.waiting += 1;
        self.heaviest = self.heaviest.max(weight);
        at
    }

    /// Decides for the head; the caller has taken its weight.
    pub(crate) fn grant_head(&mut self, now: Option<Instant>) -> Waker {
        let at = self.head;
        let waker = self.decide(at, State::Granted);
        self.granted += 1;
        self.stamp(at, now);
        waker
    }

    /// Decides against every request that is heavier than `limit` and did not choose to wait for growth.
    pub(crate) fn refuse_heavier(&mut self, limit: u32, mut wake: impl FnMut(Waker)) {
        if self.heaviest <= limit {
            return;
        }
        let (mut at, mut heaviest) = (self.head, 0);
        while at != NIL {
            let slot = self.slots.get(at);
            let (weight, next) = (slot.weight, slot.next);
            if limit < weight && slot.oversize == Oversize::Refuse {
                wake(self.decide(at, State::Refused));
                self.slots.get_mut(at).weight = limit;
                self.declined += 1;
            } else {
                heaviest = heaviest.max(weight);
            }
            at = next;
        }
        self.heaviest = heaviest;
    }

    /// Decides against all that wait, in order.
    pub(crate) fn close(&mut self, mut wake: impl FnMut(Waker)) {
        while self.head != NIL {
            wake(self.decide(self.head, State::Closed));
            self.declined += 1;
        }
    }

    /// Collects the decision, which frees the slot. If there is none yet, and another task than before polls, `spare` is
    /// put in place of the old waker, which is left in it, to be dropped outside the lock.
    pub(crate) fn poll(&mut self, at: u32, current: &Waker, spare: &mut Option<Waker>) -> Polled {
        let slot = self.slots.get_mut(at);
        if let Some(waker) = &mut slot.waker {
            if waker.will_wake(current) {
                return Polled::Waiting;
            }
            let Some(spare) = spare else { return Polled::WrongWaker };
            std::mem::swap(waker, spare);
            return Polled::Waiting;
        }
        match self.collect(at) {
            (State::Granted, _) => Polled::Granted,
            (State::Refused, limit) => Polled::Refused { limit },
            (State::Closed, _) => Polled::Closed,
            (State::Waiting | State::Free, _) => unreachable!("invariant 2: it was decided"),
        }
    }

    /// A request leaves before it has collected. Its waker is to be dropped outside the lock.
    pub(crate) fn cancel(&mut self, at: u32) -> (Left, Option<Waker>) {
        let all_wait = self.granted == 0 && self.declined == 0;
        if all_wait && CROWD < self.waiting && at != self.head && self.lingering < BATCH {
            // The slot need not be looked at: it waits, as all do.
            self.leavers[self.lingering] = at;
            self.lingering += 1;
            return (Left::Lingers { full: self.lingering == BATCH }, None);
        }
        if self.slots.get(at).state == State::Waiting {
            let was_head = at == self.head;
            let left = if was_head { Left::Head } else { Left::Middle };
            return (left, Some(self.vacate(at)));
        }
        match self.collect(at) {
            (State::Granted, weight) => (Left::Granted { weight }, None),
            _ => (Left::Nothing, None),
        }
    }

    /// Whether any have left that are still linked. They must be [seen off](Self::see_off) before anything else is done
    /// but [`cancel`](Self::cancel) for another one that is not the head.
    #[inline]
    pub(crate) fn lingers(&self) -> bool {
        self.lingering != 0
    }

    /// Unlinks those who linger. Their wakers are to be dropped outside the lock.
    pub(crate) fn see_off(&mut self) -> Vec<Waker> {
        let (leavers, lingering) = (self.leavers, std::mem::take(&mut self.lingering));
        let leavers = &leavers[..lingering];
        // All that will be written is read first: so the cache misses of all overlap, while writes would queue up.
        let is_linked = |at: &u32| {
            let slot = self.slots.get(*at);
            let is_before = slot.next == NIL || self.slots.get(slot.next).prev == *at;
            slot.state == State::Waiting && is_before && self.slots.get(slot.prev).next == *at
        };
        assert!(leavers.iter().all(is_linked), "invariants 1 and 3");
        leavers.iter().map(|at| self.vacate(*at)).collect()
    }

    /// The numbers; with times, where they are kept.
    pub(crate) fn census(&self, now: Instant) -> Census {
        let age = |since: &Instant| now.saturating_duration_since(*since);
        let since = |at: u32| self.since.get(at as usize);
        let granted = self.slots.iter().filter(|(_, slot)| {
            // Without times there is nothing to look for.
            !self.since.is_empty() && slot.state == State::Granted
        });
        Census {
            waiting: self.waiting(),
            granted: self.granted,
            oldest_wait: since(self.head).map(age),
            oldest_grant: granted.filter_map(|(at, _)| since(at)).map(age).max(),
        }
    }

    /// How many requests there is memory for.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// Takes a waiting slot out of the list and leaves the decision in its place.
    #[inline]
    fn decide(&mut self, at: u32, decision: State) -> Waker {
        let slot = self.slots.get_mut(at);
        slot.state = decision;
        let waker = slot.waker.take().expect("invariants 1 and 2: who is linked has a waker");
        let (prev, next) = (slot.prev, slot.next);
        self.unlink(prev, next);
        waker
    }

    /// Takes a waiting slot out of the list and frees it.
    fn vacate(&mut self, at: u32) -> Waker {
        let waker = self.decide(at, State::Closed);
        self.free(at);
        waker
    }

    /// Joins the neighbours of one that waits no more.
    #[inline]
    fn unlink(&mut self, prev: u32, next: u32) {
        match prev {
            NIL => self.head = next,
            _ => self.slots.get_mut(prev).next = next,
        }
        match next {
            NIL => self.tail = prev,
            _ => self.slots.get_mut(next).prev = prev,
        }
        self.waiting -= 1;
        if self.waiting == 0 {
            self.heaviest = 0;
        }
    }

    /// Frees a slot that has its decision, and tells it with the weight, or the limit that refused.
    fn collect(&mut self, at: u32) -> (State, u32) {
        let Slot { state, weight, .. } = *self.slots.get(at);
        match state {
            State::Granted => self.granted -= 1,
            State::Refused | State::Closed => self.declined -= 1,
            State::Waiting | State::Free => {
                unreachable!("a request owns its slot until it has collected or left")
            }
        }
        self.free(at);
        (state, weight)
    }

    #[inline]
    fn free(&mut self, at: u32) {
        self.slots.remove(at);
        if !self.since.is_empty() && self.slots.end() < self.since.len() / 4 {
            self.since.truncate(self.slots.end());
            self.since.shrink_to_fit();
        }
    }

    #[inline]
    fn stamp(&mut self, at: u32, now: Option<Instant>) {
        if let Some(now) = now {
            // Grows with the slots, also where times became wanted after the first slots were made.
            if self.since.len() <= at as usize {
                self.since.resize(self.slots.end(), now);
            }
            self.since[at as usize] = now;
        }
    }
}

#[cfg(test)]
mod tests;
