//! The threads of a pool around their agenda: who submits, who runs, who sleeps.
//!
//! ```text
//!           takes a job              no job, nobody searches        a hint
//!   awake ◀────────────▶ running    awake ──▶ searching ─────────────────────▶ awake
//!     ▲                                           │ nothing for SEARCH, or another searches
//!     └──────────── notice ──── sleeping ◀────────┘
//! ```
//! Jobs run without the lock; wakers are called and foreign values dropped after it.

use std::fmt;
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::agenda::{Agenda, Answer, Taken};
#[cfg(not(loom))]
use super::search::SEARCH;
use super::search::Searches;
use crate::lanes::Priority;
use crate::stats::{Counts, PoolStats};
use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering, thread};

pub(crate) struct Crew<J> {
    state: Mutex<State<J>>,
    work: Condvar,
    /// A job was queued since the search began.
    hint: AtomicBool,
}

impl<J> fmt::Debug for Crew<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let (waiting, running) = (state.agenda.waiting(), state.counts.running());
        f.debug_struct("Crew")
            .field("waiting", &waiting)
            .field("running", &running)
            .finish_non_exhaustive()
    }
}

struct State<J> {
    agenda: Agenda<(Instant, J)>,
    counts: Counts,
}

/// What became of an offered job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Entered,
    /// It waits for room, under this ticket.
    Waits(u64),
    /// There was no room, and it would not wait.
    Full {
        waiting: usize,
    },
    Closed,
}

impl<J> Crew<J> {
    pub(crate) fn new(capacity: usize) -> Self {
        let state = State { agenda: Agenda::new(capacity), counts: Counts::default() };
        Self { state: Mutex::new(state), work: Condvar::new(), hint: AtomicBool::new(false) }
    }

    /// Queues a job if there is room; else it waits, if there is someone to wake.
    pub(crate) fn offer(&self, priority: Priority, job: J, caller: Option<&Waker>) -> Offer {
        let now = Instant::now();
        let mut state = self.state.lock();
        let job = match state.agenda.push(priority, (now, job)) {
            Ok(wake) => {
                if state.agenda.is_searched() {
                    // ORDERING: Relaxed; a hint, after which the searcher takes the lock.
                    self.hint.store(true, Ordering::Relaxed);
                }
                drop(state);
                self.wake(wake);
                return Offer::Entered;
            }
            Err(job) => job,
        };
        // What is dropped here is foreign: after the lock.
        if state.agenda.is_closed() {
            drop(state);
            return Offer::Closed;
        }
        match caller {
            Some(waker) => Offer::Waits(state.agenda.wait(priority, job, waker.clone())),
            None => {
                let waiting = state.agenda.waiting();
                drop(state);
                Offer::Full { waiting }
            }
        }
    }

    /// Queues a job, after waiting for room. Whether it was taken: not when the crew was closed.
    pub(crate) async fn enter(&self, priority: Priority, job: J) -> bool {
        let mut job = Some(job);
        let mut caller = Caller { crew: self, ticket: None };
        poll_fn(|cx| match (job.take(), caller.ticket) {
            (Some(job), _) => match self.offer(priority, job, Some(cx.waker())) {
                Offer::Waits(ticket) => {
                    caller.ticket = Some(ticket);
                    Poll::Pending
                }
                offer => Poll::Ready(offer == Offer::Entered),
            },
            (None, Some(ticket)) => {
                let (answer, former) = self.state.lock().agenda.ask(ticket, cx.waker().clone());
                drop(former);
                match answer {
                    Answer::Waits => Poll::Pending,
                    answer => Poll::Ready(answer == Answer::Entered),
                }
            }
            (None, None) => unreachable!("it is not polled after it was ready"),
        })
        .await
    }

    /// Takes no more jobs; what waits is still run, and then the threads end.
    pub(crate) fn close(&self) {
        let callers = self.state.lock().agenda.close();
        self.work.notify_all();
        callers.into_iter().for_each(Waker::wake);
    }

    /// Takes out what has not started.
    pub(crate) fn drain(&self) -> Vec<J> {
        let jobs = self.state.lock().agenda.drain();
        jobs.into_iter().map(|(_, job)| job).collect()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().agenda.waiting()
    }

    pub(crate) fn running(&self) -> usize {
        self.state.lock().counts.running()
    }

    pub(crate) fn stats(&self, threads: usize) -> PoolStats {
        let state = self.state.lock();
        state.counts.stats(threads, state.agenda.waiting())
    }

    /// The life of a thread: runs jobs until the crew is closed and none is left.
    ///
    /// `run` says whether somebody who waited for the job was woken.
    pub(crate) fn work(&self, run: impl Fn(J) -> bool) {
        let mut searches = Searches::default();
        let mut state = self.state.lock();
        // The end of the last job is the start of the next: one look at the clock for both.
        let mut ended = None;
        loop {
            if let Some(Taken { priority, job: (queued, job), entered, wake }) = state.agenda.take()
            {
                let started = ended.unwrap_or_else(Instant::now);
                state.counts.start(queued, started);
                drop(state);
                self.wake(wake);
                entered.into_iter().for_each(Waker::wake);
                let woke = run(job);
                let now = Instant::now();
                if woke && priority >= Priority::High {
                    // Threads that compute may hold every processor: who waits for an urgent job shall not wait for them.
                    thread::yield_now();
                }
                ended = Some(now);
                state = self.state.lock();
                state.counts.end(started, now);
            } else if state.agenda.is_closed() {
                return;
            } else {
                ended = None;
                state = self.idle(state, &mut searches);
            }
        }
    }

    /// Comes back when there may be work.
    fn idle<'c>(
        &'c self,
        mut state: MutexGuard<'c, State<J>>,
        searches: &mut Searches,
    ) -> MutexGuard<'c, State<J>> {
        if searches.next() && state.agenda.start_search() {
            // ORDERING: Relaxed; a hint, written under the lock as in `offer`.
            self.hint.store(false, Ordering::Relaxed);
            drop(state);
            let (came, away) = self.search();
            searches.ended(away);
            state = self.state.lock();
            state.agenda.end_search();
            if came || state.agenda.waiting() > 0 || state.agenda.is_closed() {
                return state;
            }
        }
        state.agenda.fall_asleep();
        state = self.work.wait(state);
        state.agenda.wake_up();
        state
    }

    /// Looks for a job for a moment. Says whether one may have come, and the longest time that it was away from its processor.
    #[cfg(not(loom))]
    fn search(&self) -> (bool, Duration) {
        let since = Instant::now();
        let (mut last, mut away) = (since, Duration::ZERO);
        loop {
            // ORDERING: Relaxed; see `offer`.
            if self.hint.load(Ordering::Relaxed) {
                return (true, away);
            }
            if last - since > SEARCH {
                return (false, away);
            }
            // Whoever waits for the last result may have been woken onto this processor.
            thread::yield_now();
            let now = Instant::now();
            away = away.max(now - last);
            last = now;
        }
    }

    /// One look is all that a model needs: time does not pass in it.
    #[cfg(loom)]
    fn search(&self) -> (bool, Duration) {
        thread::yield_now();
        // ORDERING: Relaxed; see `offer`.
        (self.hint.load(Ordering::Relaxed), Duration::ZERO)
    }

    fn wake(&self, wake: bool) {
        if wake {
            self.work.notify_one();
        }
    }
}

/// A caller that waits for room. Dropped at the door, it takes its job with it.
struct Caller<'c, J> {
    crew: &'c Crew<J>,
    ticket: Option<u64>,
}

impl<J> Drop for Caller<'_, J> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let left = self.crew.state.lock().agenda.leave(ticket);
            // The drops of job and waker are foreign code: after the lock.
            drop(left);
        }
    }
}
