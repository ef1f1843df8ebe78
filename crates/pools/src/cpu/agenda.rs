//! What waits to run, what waits for room, and where the threads are: values in, values out.
//!
//! 1. At most `capacity` jobs wait in the lanes. Who comes later waits before the door, first come, first served, and each job taken
//!    lets the first of them in: somebody stands there only while the lanes are full, so that nobody enters past those.
//! 2. While a job waits and a thread sleeps, a thread is on its way: noticed but not up yet, or searching. Each push and each take
//!    restores this; whoever searched looks here once more before it sleeps.

use std::collections::VecDeque;
use std::task::Waker;

use crate::lanes::{Lanes, Priority};

pub(crate) struct Agenda<J> {
    lanes: Lanes<J>,
    door: VecDeque<Caller<J>>,
    tickets: u64,
    capacity: usize,
    sleeping: usize,
    /// Notices given to sleeping threads that are not up yet.
    notices: usize,
    /// Whether a thread looks for work without sleeping: one at most.
    searching: bool,
    closed: bool,
}

/// Who waits for room, with the job.
struct Caller<J> {
    ticket: u64,
    priority: Priority,
    job: J,
    waker: Waker,
}

/// What a caller at the door is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Waits,
    Entered,
    Closed,
}

/// A job to run; whom to tell that it has entered, and whether to wake a thread, both after the lock.
pub(crate) struct Taken<J> {
    pub(crate) priority: Priority,
    pub(crate) job: J,
    pub(crate) entered: Option<Waker>,
    pub(crate) wake: bool,
}

impl<J> Agenda<J> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            lanes: Lanes::new(),
            door: VecDeque::new(),
            tickets: 0,
            capacity,
            sleeping: 0,
            notices: 0,
            searching: false,
            closed: false,
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.lanes.len()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn is_searched(&self) -> bool {
        self.searching
    }

    /// Takes a job if there is room, and says whether to wake a thread; else gives the job back.
    pub(crate) fn push(&mut self, priority: Priority, job: J) -> Result<bool, J> {
        if self.closed || self.lanes.len() >= self.capacity {
            return Err(job);
        }
        self.lanes.push(priority, job);
        Ok(self.wake_one())
    }

    /// Lets a caller wait for room after `push` found none.
    pub(crate) fn wait(&mut self, priority: Priority, job: J, waker: Waker) -> u64 {
        let ticket = self.tickets;
        self.tickets += 1;
        self.door.push_back(Caller { ticket, priority, job, waker });
        ticket
    }

    /// What has become of a caller; the waker it leaves is the one to wake. Gives the former one back, to drop after the lock.
    pub(crate) fn ask(&mut self, ticket: u64, waker: Waker) -> (Answer, Waker) {
        match self.place(ticket) {
            None => (Answer::Entered, waker),
            Some(_) if self.closed => (Answer::Closed, waker),
            Some(at) => (Answer::Waits, std::mem::replace(&mut self.door[at].waker, waker)),
        }
    }

    /// A caller goes; its job and its waker, to drop after the lock, unless the job has entered.
    pub(crate) fn leave(&mut self, ticket: u64) -> Option<(J, Waker)> {
        let caller = self.place(ticket).and_then(|at| self.door.remove(at));
        caller.map(|caller| (caller.job, caller.waker))
    }

    pub(crate) fn take(&mut self) -> Option<Taken<J>> {
        let (priority, job) = self.lanes.pop()?;
        let first = if self.closed { None } else { self.door.pop_front() };
        let entered = first.map(|caller| {
            self.lanes.push(caller.priority, caller.job);
            caller.waker
        });
        Some(Taken { priority, job, entered, wake: self.wake_one() })
    }

    /// Takes no more. Callers at the door stay until they ask; these wake them, after the lock.
    pub(crate) fn close(&mut self) -> Vec<Waker> {
        self.closed = true;
        self.door.iter().map(|caller| caller.waker.clone()).collect()
    }

    /// Takes everything out of the lanes.
    pub(crate) fn drain(&mut self) -> Vec<J> {
        self.lanes.drain()
    }

    /// Whether the caller is the one that searches.
    pub(crate) fn start_search(&mut self) -> bool {
        !std::mem::replace(&mut self.searching, true)
    }

    pub(crate) fn end_search(&mut self) {
        self.searching = false;
    }

    pub(crate) fn fall_asleep(&mut self) {
        self.sleeping += 1;
    }

    pub(crate) fn wake_up(&mut self) {
        self.sleeping -= 1;
        // All are woken without notices when the pool closes.
        self.notices = self.notices.saturating_sub(1);
    }

    /// Whether to wake a thread (invariant 2); who is told so gives the notice after the lock.
    fn wake_one(&mut self) -> bool {
        let wake =
            self.lanes.len() > 0 && self.sleeping > 0 && self.notices == 0 && !self.searching;
        self.notices += usize::from(wake);
        wake
    }

    /// Where a caller stands; tickets grow from the front to the back.
    fn place(&self, ticket: u64) -> Option<usize> {
        self.door.binary_search_by_key(&ticket, |caller| caller.ticket).ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
