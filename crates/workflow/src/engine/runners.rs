//! The tasks that run attempts.
//!
//! An attempt is first polled by a runner: if it ends there, it never was a task of the runtime. If it waits for
//! something, it becomes one, and the runner goes on; where the last attempt of its agent waited, it is one from the start
//! and no runner's business. Such a task goes on with the next attempt that will wait, if one starts because of its end:
//! what calls an agent all day costs a task for each that is in flight, not for each call.
//! There are as many runners as the runtime has workers, and more while attempts keep theirs busy:
//!
//! 1. While an attempt is queued, or an end is not told, a runner that is not inside an attempt is awake or about to be. An
//!    attempt that computes for long, or blocks, holds up nobody.
//!
//! The ends of short attempts are told together, so that one turn of the engine serves several of them: while more than one
//! attempt is queued, at most [`BATCH`](book::BATCH) ends wait, and none of an attempt that took longer than [`SHORT`].
//!
//! A runner that finds nothing to do looks again for a short time before it sleeps: waking the runtime's thread
//! takes far longer than a short task, which is what counts when a graph is only as wide as the machine.

mod book;
mod guard;
mod taker;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tidegate_taskgroup::Spawner;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;

use super::attempt::{Ended, Job, Trying};
use super::{Command, Link};
use book::{Book, Left, More, Next, Rest};
use guard::Guard;
pub(super) use taker::Taker;
use taker::share;

/// How long a runner looks for work before it sleeps.
const LOOK: Duration = Duration::from_micros(50);

/// The end of an attempt that took longer is told at once.
const SHORT: Duration = Duration::from_micros(20);

/// How many attempts a runner polls before it lets the runtime's other tasks have a turn.
const TURN: u32 = 32;

/// Lets the runtime's other tasks have a turn, and goes on in whichever worker is free first.
///
/// Not so `tokio::task::yield_now`, which stays with its worker until that one has nothing left to do: behind an attempt that
/// computes, a runner that looks would be counted as awake and never come to the next attempt.
async fn step_back() {
    let mut is_back = false;
    poll_fn(|cx| match std::mem::replace(&mut is_back, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

/// Tries an attempt, and after it the next that will wait, as long as there is one.
async fn try_each(mut trying: Trying) {
    let Some(link) = trying.link() else { return };
    while let Some(ended) = poll_fn(|cx| trying.poll_end(cx)).await
        && let Some(job) = link.end(ended)
    {
        trying = Trying::new(job, None);
    }
}

pub(crate) struct Runners {
    book: Mutex<Book<Job, Ended>>,
    /// Weak, since the engine, which is the link's, has the runners.
    link: Weak<Link>,
    wake: Notify,
    group: Spawner<(), Infallible>,
    /// As many as there are workers; one that has nothing to do ends if there are more.
    enough: usize,
    look: Duration,
    guard: Guard,
}

impl Runners {
    pub(crate) fn start(link: &Arc<Link>, group: Spawner<(), Infallible>) -> Arc<Self> {
        let runtime = Handle::current();
        let enough = runtime.metrics().num_workers().max(1);
        // The only thread of a runtime must not look while it could work.
        let alone = runtime.runtime_flavor() == RuntimeFlavor::CurrentThread || enough == 1;
        let look = if alone { Duration::ZERO } else { LOOK };
        let (book, wake, link) = (Mutex::default(), Notify::new(), Arc::downgrade(link));
        let guard = Guard::new(link.clone());
        Arc::new(Self { book, link, wake, group, enough, look, guard })
    }

    /// Queues the jobs, or makes tasks of them, and empties the list.
    pub(super) fn push(self: &Arc<Self>, jobs: &mut Vec<Job>, by: &mut Taker) {
        if jobs.iter().any(|job| job.waits) {
            for job in jobs.extract_if(.., |job| job.waits) {
                if let Some(job) = by.offer(job) {
                    self.spawn(Trying::new(job, None));
                    by.has_woken();
                }
            }
        }
        if jobs.is_empty() {
            return;
        }
        let mut book = self.book.lock();
        // Mostly they are few, for which this is cheaper than to extend the queue.
        jobs.drain(..).for_each(|job| book.queue.push_back(job));
        let more = book.needs_a_looker();
        drop(book);
        if self.act(more) {
            by.has_woken();
        }
    }

    /// Makes a task of the runtime of an attempt.
    fn spawn(&self, trying: Trying) {
        // A refusal drops the attempt, which tells its end.
        let _ = self.group.spawn(async move {
            try_each(trying).await;
            Ok(())
        });
    }

    /// Whether a task was woken or spawned.
    fn act(self: &Arc<Self>, more: More) -> bool {
        match more {
            More::None => return false,
            More::Wake => self.wake.notify_one(),
            More::Spawn => {
                // A refusal means that the orchestrator was dropped, and the queue goes with it.
                let _ = self.group.spawn(Arc::clone(self).run());
            }
        }
        true
    }

    async fn run(self: Arc<Self>) -> Result<(), Infallible> {
        let mut ends = Vec::new();
        loop {
            let mut turn = 0;
            let mut has_spawned = false;
            let mut left = None;
            // When the last attempt ended, while nothing has come in between: the next begins then.
            let mut now = None;
            loop {
                let next = self.book.lock().next(left.take(), &mut ends);
                let job = match next {
                    Next::Job { job, more, is_last } => {
                        has_spawned |= self.act(more);
                        if !is_last && !self.look.is_zero() {
                            self.guard.set();
                        }
                        job
                    }
                    Next::Tell => {
                        self.tell(&mut ends);
                        now = None;
                        continue;
                    }
                    Next::Nothing => break,
                };
                if std::mem::take(&mut has_spawned) {
                    share();
                    now = None;
                }
                let mut trying = Trying::new(job, now.take());
                let polled = poll_fn(|cx| Poll::Ready(trying.poll_end(cx))).await;
                left = Some(match polled {
                    Poll::Ready(ended) => {
                        now = ended.as_ref().map(|ended| ended.ended);
                        let is_long = ended.as_ref().is_some_and(|ended| SHORT < ended.took());
                        Left { ended, is_long }
                    }
                    Poll::Pending => {
                        has_spawned = true;
                        self.spawn(trying);
                        Left { ended: None, is_long: false }
                    }
                });
                turn += 1;
                if turn == TURN {
                    turn = 0;
                    now = None;
                    self.book.lock().leave(left.take());
                    step_back().await;
                }
            }
            if self.look().await {
                continue;
            }
            if !self.sleep().await {
                return Ok(());
            }
        }
    }

    /// Tells the engine of these ends, and empties the list.
    fn tell(&self, ends: &mut Vec<Ended>) {
        if let Some(link) = self.link.upgrade()
            && let Some(now) = ends.iter().map(|ended| ended.ended).max()
        {
            // It may be closed, and then nobody wants to know.
            let _ = link.send_all(ends.drain(..).map(Command::Ended), now);
        }
        ends.clear();
    }

    /// Looks for a while; whether there is something to do.
    async fn look(&self) -> bool {
        let since = Instant::now();
        loop {
            if self.look.is_zero() {
                return false;
            }
            step_back().await;
            if self.book.lock().has_work() {
                return true;
            }
            if self.look <= since.elapsed() {
                return false;
            }
        }
    }

    /// Sleeps until there is something to do; `false` if the runner is one too many.
    async fn sleep(&self) -> bool {
        let rest = self.book.lock().rest(self.enough);
        match rest {
            Rest::Work => true,
            Rest::End => false,
            Rest::Sleep => {
                // Whoever wakes a runner has counted it as looking.
                self.wake.notified().await;
                true
            }
        }
    }
}
