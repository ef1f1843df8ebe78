//! The requests that wait, in the order in which they came: a plain value without lock, clock or task.
//!
//! A doubly linked list in two vectors, the links apart from the slots, linked by index, so that leaving from the middle costs
//! O(1) without `unsafe`. A request owns its slot from [`Queue::push`] until it collects the decision with [`Queue::poll`] or
//! leaves with [`Queue::cancel`]; in between, the slot moves through these states:
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
//! Invariants: (1) exactly the `Waiting` slots are linked, in order of arrival; the `Free` ones form a list of their own,
//! by `next`; (2) a `Waiting` slot holds the waker of its last poll, any other slot holds none.

use std::task::Waker;
use std::time::{Duration, Instant};

/// No slot.
pub(crate) const NIL: u32 = u32::MAX;

/// Slots kept once nobody needs one; more than that is given back to the allocator.
const KEPT_SLOTS: usize = 1024;

/// What becomes of a request that is heavier than the whole limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oversize {
    Refuse,
    Wait,
}

/// 24 bytes: the byte of `oversize` has room for the tag.
#[derive(Debug)]
enum Slot {
    Waiting { waker: Waker, weight: u32, oversize: Oversize },
    Granted { weight: u32 },
    Refused { limit: u32 },
    Closed,
    Free,
}

/// The neighbours of the slot with the same index.
#[derive(Debug, Clone, Copy)]
struct Link {
    prev: u32,
    next: u32,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Slot>() + size_of::<Link>() == 32);

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
#[derive(Debug)]
pub(crate) enum Left {
    /// It waited, as the head or further back.
    Waiting { was_head: bool },
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
    slots: Vec<Slot>,
    links: Vec<Link>,
    /// When the slot was last pushed or granted; empty unless times are wanted.
    since: Vec<Instant>,
    head: u32,
    tail: u32,
    free: u32,
    waiting: u32,
    granted: u32,
    occupied: u32,
    /// No waiting request is heavier than this.
    heaviest: u32,
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            links: Vec::new(),
            since: Vec::new(),
            head: NIL,
            tail: NIL,
            free: NIL,
            waiting: 0,
            granted: 0,
            occupied: 0,
            heaviest: 0,
        }
    }

    /// How many wait undecided.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// The weight of the request that is next, and whether it is the only one.
    #[inline]
    pub(crate) fn head(&self) -> Option<(u32, bool)> {
        match self.slots.get(self.head as usize)? {
            Slot::Waiting { weight, .. } => Some((*weight, self.head == self.tail)),
            _ => unreachable!("invariant 1: the head waits"),
        }
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
        let slot = Slot::Waiting { waker, weight, oversize };
        let at = if self.free == NIL {
            let at = u32::try_from(self.slots.len()).expect("fewer than 2^32 requests");
            assert!(at != NIL, "fewer than 2^32 - 1 requests");
            self.slots.push(slot);
            self.links.push(Link { prev, next });
            at
        } else {
            let at = self.free;
            self.free = self.links[at as usize].next;
            self.slots[at as usize] = slot;
            self.links[at as usize] = Link { prev, next };
            at
        };
        self.stamp(at, now);
        self.tail = at;
        match prev {
            NIL => self.head = at,
            _ => self.links[prev as usize].next = at,
        }
        self.waiting += 1;
        self.occupied += 1;
        self.heaviest = self.heaviest.max(weight);
        at
    }

    /// Decides for the head; the caller has taken its weight.
    pub(crate) fn grant_head(&mut self, now: Option<Instant>) -> Waker {
        let at = self.head;
        let waker = self.unlink(at, |weight| Slot::Granted { weight });
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
            let next = self.links[at as usize].next;
            let Slot::Waiting { weight, oversize, .. } = self.slots[at as usize] else {
                unreachable!("invariant 1: linked slots wait")
            };
            if limit < weight && oversize == Oversize::Refuse {
                wake(self.unlink(at, |_| Slot::Refused { limit }));
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
            wake(self.unlink(self.head, |_| Slot::Closed));
        }
    }

    /// Collects the decision, which frees the slot. If there is none yet, and another task than before polls, `spare` is
    /// put in place of the old waker, which is left in it, to be dropped outside the lock.
    pub(crate) fn poll(&mut self, at: u32, current: &Waker, spare: &mut Option<Waker>) -> Polled {
        let polled = match &mut self.slots[at as usize] {
            Slot::Waiting { waker, .. } if waker.will_wake(current) => return Polled::Waiting,
            Slot::Waiting { waker, .. } => {
                let Some(spare) = spare else { return Polled::WrongWaker };
                std::mem::swap(waker, spare);
                return Polled::Waiting;
            }
            Slot::Granted { .. } => {
                self.granted -= 1;
                Polled::Granted
            }
            Slot::Refused { limit } => Polled::Refused { limit: *limit },
            Slot::Closed => Polled::Closed,
            Slot::Free => unreachable!("a request owns its slot until it has collected"),
        };
        self.release(at);
        polled
    }

    /// A request leaves before it has collected. Its waker is to be dropped outside the lock.
    pub(crate) fn cancel(&mut self, at: u32) -> (Left, Option<Waker>) {
        let left = match self.slots[at as usize] {
            Slot::Waiting { .. } => {
                let was_head = at == self.head;
                let waker = self.unlink(at, |_| Slot::Closed);
                (Left::Waiting { was_head }, Some(waker))
            }
            Slot::Granted { weight } => {
                self.granted -= 1;
                (Left::Granted { weight }, None)
            }
            Slot::Refused { .. } | Slot::Closed => (Left::Nothing, None),
            Slot::Free => unreachable!("a request owns its slot until it has left"),
        };
        self.release(at);
        left
    }

    /// The numbers; with times, where they are kept.
    pub(crate) fn census(&self, now: Instant) -> Census {
        let age = |since: &Instant| now.saturating_duration_since(*since);
        let granted = self.slots.iter().zip(&self.since);
        let granted = granted.filter(|(slot, _)| matches!(slot, Slot::Granted { .. }));
        Census {
            waiting: self.waiting,
            granted: self.granted,
            oldest_wait: self.since.get(self.head as usize).map(age),
            oldest_grant: granted.map(|(_, since)| age(since)).max(),
        }
    }

    /// Takes a waiting slot out of the list and leaves `decision` in its place.
    fn unlink(&mut self, at: u32, decision: impl FnOnce(u32) -> Slot) -> Waker {
        let slot = &mut self.slots[at as usize];
        let weight = match slot {
            Slot::Waiting { weight, .. } => *weight,
            _ => unreachable!("invariant 1: only a waiting slot is linked"),
        };
        let Slot::Waiting { waker, .. } = std::mem::replace(slot, decision(weight)) else {
            unreachable!("it was waiting a moment ago")
        };
        let Link { prev, next } = self.links[at as usize];
        match prev {
            NIL => self.head = next,
            _ => self.links[prev as usize].next = next,
        }
        match next {
            NIL => self.tail = prev,
            _ => self.links[next as usize].prev = prev,
        }
        self.waiting -= 1;
        if self.waiting == 0 {
            self.heaviest = 0;
        }
        waker
    }

    fn release(&mut self, at: u32) {
        self.slots[at as usize] = Slot::Free;
        self.links[at as usize].next = self.free;
        self.free = at;
        self.occupied -= 1;
        if self.occupied == 0 && self.slots.capacity() > KEPT_SLOTS {
            self.slots = Vec::new();
            self.links = Vec::new();
            self.since = Vec::new();
            self.free = NIL;
        }
    }

    fn stamp(&mut self, at: u32, now: Option<Instant>) {
        if let Some(now) = now {
            // Grows with the slots, also where times became wanted after the first slots were made.
            if self.since.len() < self.slots.len() {
                self.since.resize(self.slots.len(), now);
            }
            self.since[at as usize] = now;
        }
    }
}

#[cfg(test)]
mod tests;
