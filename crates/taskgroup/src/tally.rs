//! One word that says how many tasks live, how many were ever admitted, and whether more may come.
//!
//! ```text
//!  63        32 31        2     1           0
//! | admitted    | live      | CANCELLED | CLOSED |
//! ```
//!
//! Invariants:
//! 1. `live` grows only while neither `CLOSED` nor `CANCELLED` stands.
//! 2. `CLOSED` is raised by [`Tally::close_if_empty`] only when `live` is 0, or by whoever gives the group up. Once it stands
//!    with `live` 0, `live` stays 0.
//! 3. Flags are never taken back.

use crate::Refused;
use crate::sync::{AtomicU64, Ordering};

const CLOSED: u64 = 1;
const CANCELLED: u64 = 1 << 1;
const LIVE: u64 = 1 << 2;
const LIVE_BITS: u64 = (1 << 30) - 1;
const ADMITTED: u64 = 1 << 32;

/// What the word said at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen(u64);

impl Seen {
    /// Tasks that were admitted and have not left.
    #[inline]
    pub fn live(self) -> usize {
        ((self.0 / LIVE) & LIVE_BITS) as usize
    }

    /// Tasks ever admitted, modulo 2³².
    pub fn admitted(self) -> u32 {
        (self.0 / ADMITTED) as u32
    }

    /// Whether nothing is admitted any more because the group was waited for or dropped.
    #[inline]
    pub fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// Whether the group was cancelled.
    #[inline]
    pub fn is_cancelled(self) -> bool {
        self.0 & CANCELLED != 0
    }

    #[inline]
    fn refusal(self) -> Option<Refused> {
        match self {
            seen if seen.is_closed() => Some(Refused::Closed),
            seen if seen.is_cancelled() => Some(Refused::Cancelled),
            _ => None,
        }
    }
}

/// Who comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A task of this group, which gets an index.
    Task,
    /// A child group that has tasks of its own: it lives, and has no index here.
    ChildGroup,
}

impl Who {
    #[inline]
    fn step(self) -> u64 {
        match self {
            Self::Task => ADMITTED + LIVE,
            Self::ChildGroup => LIVE,
        }
    }
}

/// The word itself.
#[derive(Debug)]
pub struct Tally(AtomicU64);

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Tally {
    /// Nobody lives, everybody may come.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The word now.
    #[inline]
    pub fn seen(&self) -> Seen {
        // ORDERING: Acquire; pairs with the release half of `leave` and `raise`. With Relaxed this could fail:
        //   child: result = 7; tally.leave()    owner: if tally.seen().live() == 0 { assert_eq!(result, 7) }
        Seen(self.0.load(Ordering::Acquire))
    }

    /// Admits one; what stood before. A task's index is [`Seen::admitted`] of that.
    ///
    /// # Errors
    /// When the group is closed or cancelled.
    #[inline]
    pub fn enter(&self, who: Who) -> Result<Seen, Refused> {
        self.enter_if(who, |_| true).map(|seen| seen.expect("no condition was set"))
    }

    /// Admits one into a group below another. The first of a busy period holds a place up there, so that the wait for the
    /// group above covers it; whoever leaves last releases it.
    ///
    /// # Errors
    /// When this group is closed or cancelled, or `hold` says so of the one above. Then nothing is held.
    pub fn enter_below(
        &self,
        who: Who,
        hold: impl FnOnce() -> Result<(), Refused>,
        release: impl FnOnce(),
    ) -> Result<Seen, Refused> {
        if let Some(seen) = self.enter_if(who, |seen| seen.live() != 0)? {
            return Ok(seen);
        }
        hold()?;
        let entered = self.enter(who);
        // Refused, or another became the first meanwhile and holds the place already: ours is one too many.
        if !entered.is_ok_and(|before| before.live() == 0) {
            release();
        }
        entered
    }

    #[inline]
    fn enter_if(
        &self,
        who: Who,
        condition: impl Fn(Seen) -> bool,
    ) -> Result<Option<Seen>, Refused> {
        // ORDERING: Relaxed; only a guess for the exchange below, which admits nothing on a stale one.
        let mut seen = Seen(self.0.load(Ordering::Relaxed));
        loop {
            if let Some(refused) = seen.refusal() {
                return Err(refused);
            }
            if !condition(seen) {
                return Ok(None);
            }
            assert!(seen.live() < LIVE_BITS as usize, "more than 2^29 tasks alive in one group");
            match self.exchange(seen, seen.0.wrapping_add(who.step())) {
                Ok(()) => return Ok(Some(seen)),
                Err(now) => seen = now,
            }
        }
    }

    /// So many who were admitted or held are gone; gives what is left.
    #[inline]
    pub fn leave(&self, tasks: u32) -> Seen {
        let step = LIVE * u64::from(tasks);
        // ORDERING: AcqRel; Release pairs with the Acquire in `seen` and `close_if_empty`: whoever reads 0 sees all that
        // the task did. Acquire makes the last one to leave see what those before it did, on whose behalf it wakes.
        let before = self.0.fetch_sub(step, Ordering::AcqRel);
        debug_assert!(tasks as usize <= Seen(before).live(), "one left who was never admitted");
        Seen(before.wrapping_sub(step))
    }

    /// Closes if nobody lives, and gives the word of that moment.
    pub fn close_if_empty(&self) -> Option<Seen> {
        let mut seen = self.seen();
        loop {
            if seen.live() != 0 {
                return None;
            }
            match self.exchange(seen, seen.0 | CLOSED) {
                Ok(()) => return Some(seen),
                Err(now) => seen = now,
            }
        }
    }

    /// Closes whoever lives; what stood before.
    pub fn close(&self) -> Seen {
        self.raise(CLOSED)
    }

    /// Raises the cancelled flag; what stood before.
    pub fn cancel(&self) -> Seen {
        self.raise(CANCELLED)
    }

    fn raise(&self, flag: u64) -> Seen {
        // ORDERING: AcqRel; Release pairs with the Acquire in `seen`: a task that finds itself cancelled also sees why.
        // Acquire, so that only the first to raise a flag acts on it, after all that came before.
        Seen(self.0.fetch_or(flag, Ordering::AcqRel))
    }

    #[inline]
    fn exchange(&self, seen: Seen, next: u64) -> Result<(), Seen> {
        // ORDERING: AcqRel on success; Acquire pairs with the Release in `leave`, since a close by this exchange ends the
        // wait; the release half keeps the chain of those who left before unbroken. Acquire on failure for the next look.
        self.0
            .compare_exchange_weak(seen.0, next, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
            .map_err(Seen)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
