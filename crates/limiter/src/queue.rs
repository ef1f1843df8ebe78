//! The requests that wait, in the order in which they came: a plain value without lock, clock or task.
//!
//! A request owns its place from [`Queue::push`] until it is granted, collects another decision with [`Queue::poll`], or
//! leaves with [`Queue::cancel`]; in between, it moves through these states:
//!
//! ```text
//!            push             grant_head
//!    ────────────────▶ Waiting ───────────────────────────────────────────▶ gone   (to be collected: by poll, by cancel,
//!                        │                                                         or by a look at the frontier)
//!                        ├── refuse_heavier ─▶ Refused ── poll, cancel ──▶ gone
//!                        ├── close ──────────▶ Closed ─── poll, cancel ──▶ gone
//!                        └── cancel ─────────────────────────────────────▶ gone   (if it was the head, the next may fit)
//! ```
//!
//! A request that has neither collected nor left, and whose place nobody owns, was granted. So the grant leaves nothing
//! behind to be looked up, and a single number tells it to most: everyone in front of the [frontier](Queue::frontier) was
//! granted.
//!
//! Invariants: (1) if any wait, `head` is the first place that does; (2) a `Waiting` slot holds the waker of its last
//! poll, any other that is owned holds none; (3) no place is handed out twice.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::{Duration, Instant};

mod blocks;

use blocks::{Blocks, Slot, State};
pub(crate) use blocks::{Litter, Place};

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
    /// Its weight was taken for it.
    Granted,
    /// It waited behind the head, or had been refused or closed upon.
    Nothing,
}

/// How many wait and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) waiting: u32,
    pub(crate) granted: u64,
    pub(crate) oldest_wait: Option<Duration>,
    pub(crate) oldest_grant: Option<Duration>,
}

/// What every request writes comes first, for it shares a cache line with the semaphore's word and its lock.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Queue {
    /// The first that waits, if one does.
    head: Option<Place>,
    /// Granted, less those that were collected from here.
    granted: u64,
    /// No waiting request that may be refused is heavier than this.
    heaviest: u32,
    /// Whether times are wanted, which shows with the first request.
    keeps_times: bool,
    blocks: Blocks,
    /// Where times are wanted: when those were pushed that wait.
    waits: BTreeMap<Place, u64>,
    /// Where times are wanted: when those were granted that have not collected.
    grants: BTreeMap<Place, u64>,
    /// When the first time was noted: the others count from there.
    epoch: Option<Instant>,
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self {
            head: None,
            granted: 0,
            heaviest: 0,
            keeps_times: false,
            blocks: Blocks::new(),
            waits: BTreeMap::new(),
            grants: BTreeMap::new(),
            epoch: None,
        }
    }

    /// How many wait undecided.
    #[inline]
    pub(crate) fn waiting(&self) -> u32 {
        self.blocks.waiting()
    }

    /// The weight of the request that is next, and whether it is the only one.
    #[inline]
    pub(crate) fn head(&mut self) -> Option<(u32, bool)> {
        let head = self.head?;
        Some((self.blocks.get_mut(head).weight, self.waiting() == 1))
    }

    /// Appends a request; `now` only where times are wanted (then always).
    #[inline]
    pub(crate) fn push(
        &mut self,
        weight: u32,
        oversize: Oversize,
        waker: Waker,
        now: Option<Instant>,
    ) -> Place {
        let (waker, state) = (Some(waker), State::Waiting);
        let place = self.blocks.push(Slot { waker, weight, state, oversize });
        if let Some(now) = now {
            self.note_wait(place, now);
        }
        if self.head.is_none() {
            self.head = Some(place);
        }
        if self.heaviest < weight && oversize == Oversize::Refuse {
            self.heaviest = weight;
        }
        place
    }

    /// Decides for the head; the caller has taken its weight.
    #[inline]
    pub(crate) fn grant_head(&mut self, now: Option<Instant>) -> Waker {
        self.grant_if(now, |_| true).expect("the caller has looked at it")
    }

    /// Decides for the head if it asks for exactly `weight` and is not the last.
    #[inline]
    pub(crate) fn grant_one_of_many(&mut self, weight: u32, now: Option<Instant>) -> Option<Waker> {
        if self.waiting() < 2 {
            return None;
        }
        self.grant_if(now, |wanted| wanted == weight)
    }

    #[inline]
    fn grant_if(
        &mut self,
        now: Option<Instant>,
        is_admitted: impl FnOnce(u32) -> bool,
    ) -> Option<Waker> {
        let head = self.head?;
        let (waker, next) = self.blocks.grant(head, is_admitted)?;
        self.granted += 1;
        self.waits_no_more(head, next);
        if let Some(now) = now {
            self.note_grant(head, now);
        }
        Some(waker.expect("invariant 2"))
    }

    /// The place in front of which everyone was granted who has not left: whoever looks at it need not
    /// [poll](Self::poll). It never goes back. `None` where the times of grants are wanted, for then it has to be told who
    /// collects, and as long as one that was decided against may be in front.
    #[inline]
    pub(crate) fn frontier(&self) -> Option<u64> {
        let is_known = self.blocks.declined() == 0 && !self.keeps_times;
        is_known.then(|| self.head.unwrap_or(self.blocks.next()).number())
    }

    /// Decides against every request that is heavier than `limit` and did not choose to wait for growth.
    pub(crate) fn refuse_heavier(&mut self, limit: u32, mut wake: impl FnMut(Waker)) {
        if self.heaviest <= limit {
            return;
        }
        let (mut at, mut heaviest) = (self.head, 0);
        while let Some(place) = at {
            let slot = self.blocks.get_mut(place);
            match slot.oversize {
                Oversize::Refuse if limit < slot.weight => {
                    slot.weight = limit;
                    wake(self.decline(place, State::Refused));
                }
                Oversize::Refuse => heaviest = heaviest.max(slot.weight),
                Oversize::Wait => {}
            }
            at = self.blocks.first_waiting_after(place);
        }
        self.heaviest = heaviest;
    }

    /// Decides against all that wait, in order.
    pub(crate) fn close(&mut self, mut wake: impl FnMut(Waker)) {
        while let Some(head) = self.head {
            wake(self.decline(head, State::Closed));
        }
    }

    /// Collects the decision, which ends the request. If there is none yet, and another task than before polls, `spare` is
    /// put in place of the old waker, which is left in it, to be dropped outside the lock.
    pub(crate) fn poll(
        &mut self,
        place: Place,
        current: &Waker,
        spare: &mut Option<Waker>,
    ) -> Polled {
        let Some(slot) = self.blocks.owned(place) else {
            self.collected(place);
            return Polled::Granted;
        };
        if let Some(waker) = &mut slot.waker {
            if waker.will_wake(current) {
                return Polled::Waiting;
            }
            let Some(spare) = spare else { return Polled::WrongWaker };
            std::mem::swap(waker, spare);
            return Polled::Waiting;
        }
        let polled = match slot.state {
            State::Refused => Polled::Refused { limit: slot.weight },
            State::Closed => Polled::Closed,
            State::Waiting => unreachable!("invariant 2: it was decided"),
        };
        self.blocks.remove(place);
        polled
    }

    fn collected(&mut self, place: Place) {
        self.granted -= 1;
        self.grants.remove(&place);
    }

    /// A request leaves a long queue from behind the head, while it waits; its waker stays behind as
    /// [litter](Self::take_litter). Whether it did so; if not, it has to leave by [`cancel`](Self::cancel).
    #[inline]
    pub(crate) fn leave_behind(&mut self, place: Place) -> bool {
        let leaves = self.head != Some(place) && self.blocks.leave_behind(place);
        if leaves {
            self.waits_no_more(place, self.head);
        }
        leaves
    }

    /// Whether there is any to [take](Self::take_litter).
    #[inline]
    pub(crate) fn has_litter(&self) -> bool {
        self.blocks.has_litter()
    }

    /// Wakers that were left behind, to be dropped outside the lock. To be asked for before the lock is let go, whenever
    /// somebody was granted, has collected or left.
    pub(crate) fn take_litter(&mut self) -> Litter {
        self.blocks.take_litter()
    }

    /// A request leaves. Its waker is to be dropped outside the lock.
    pub(crate) fn cancel(&mut self, place: Place) -> (Left, Option<Waker>) {
        if self.head == Some(place)
            && let Some((waker, next)) = self.blocks.grant(place, |_| true)
        {
            self.waits_no_more(place, next);
            return (Left::Head, waker);
        }
        if let Some(waker) = self.blocks.leave(place) {
            self.waits_no_more(place, self.head);
            return (Left::Nothing, Some(waker));
        }
        if self.blocks.owned(place).is_none() {
            self.collected(place);
            return (Left::Granted, None);
        }
        self.blocks.remove(place);
        (Left::Nothing, None)
    }

    /// The numbers; with times, where they are kept. So many of those granted have `collected` without a word here.
    pub(crate) fn census(&self, now: Instant, collected: u64) -> Census {
        let epoch = self.epoch;
        let age = |since: u64| {
            epoch.map(|epoch| now.saturating_duration_since(epoch + Duration::from_nanos(since)))
        };
        // Whoever came first waits longest, and was granted first.
        let oldest =
            |times: &BTreeMap<Place, u64>| times.first_key_value().map(|(_, since)| *since);
        Census {
            waiting: self.waiting(),
            granted: self.granted - collected,
            oldest_wait: oldest(&self.waits).and_then(age),
            oldest_grant: oldest(&self.grants).and_then(age),
        }
    }

    /// How many requests there is memory for.
    pub(crate) fn capacity(&self) -> usize {
        self.blocks.capacity()
    }

    fn decline(&mut self, place: Place, decision: State) -> Waker {
        let (slot, next) = self.blocks.decline(place);
        slot.state = decision;
        let waker = slot.waker.take().expect("invariant 2");
        let head = if self.head == Some(place) { next } else { self.head };
        self.waits_no_more(place, head);
        waker
    }

    /// This one waits no more, and that one is the head now.
    #[inline]
    fn waits_no_more(&mut self, place: Place, head: Option<Place>) {
        if self.keeps_times {
            self.waits.remove(&place);
        }
        self.head = head;
        if head.is_none() {
            self.heaviest = 0;
        }
    }

    #[cold]
    fn note_wait(&mut self, place: Place, now: Instant) {
        self.keeps_times = true;
        let since = self.stamp(now);
        self.waits.insert(place, since);
    }

    #[cold]
    fn note_grant(&mut self, place: Place, now: Instant) {
        let since = self.stamp(now);
        self.grants.insert(place, since);
    }

    fn stamp(&mut self, now: Instant) -> u64 {
        let epoch = *self.epoch.get_or_insert(now);
        now.saturating_duration_since(epoch).as_nanos() as u64
    }
}

#[cfg(test)]
mod tests;
