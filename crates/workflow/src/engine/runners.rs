//! The tasks that run attempts.
//!
//! An attempt is first polled by a runner: if it ends there, it never was a task of the runtime. If it waits for
//! something, it becomes one, and the runner goes on. There are as many runners as the runtime has workers, and more while
//! attempts keep theirs busy:
//!
//! 1. While an attempt is queued, a runner that is not inside an attempt is awake or about to be. An attempt that computes for
//!    long, or blocks, holds up nobody.
//!
//! A runner that finds nothing to do looks again for a short time before it sleeps: waking the runtime's thread
//! takes far longer than a short task, which is what counts when a graph is only as wide as the machine.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tidegate_taskgroup::Spawner;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::attempt::{Job, Trying, tell};

/// How long a runner looks for work before it sleeps.
const LOOK: Duration = Duration::from_micros(50);

/// How many attempts a runner polls before it lets the runtime's other tasks have a turn.
const TURN: u32 = 32;

pub(crate) struct Runners {
    state: Mutex<State>,
    wake: Notify,
    group: Spawner<(), Infallible>,
    /// As many as there are workers; one that has nothing to do ends if there are more.
    enough: usize,
    look: Duration,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<QueuedJob>,
    /// How many runners there are.
    all: usize,
    /// How many of them are not inside an attempt, and awake or about to be.
    looking: usize,
    sleeping: usize,
}

struct QueuedJob(Job);

impl std::fmt::Debug for QueuedJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QueuedJob")
    }
}

impl Runners {
    pub(crate) fn start(group: Spawner<(), Infallible>) -> Arc<Self> {
        let runtime = Handle::current();
        let enough = runtime.metrics().num_workers().max(1);
        // The only thread of a runtime must not look while it could work.
        let alone = runtime.runtime_flavor() == RuntimeFlavor::CurrentThread || enough == 1;
        let look = if alone { Duration::ZERO } else { LOOK };
        Arc::new(Self { state: Mutex::default(), wake: Notify::new(), group, enough, look })
    }

    /// Queues the jobs and empties the list.
    pub(super) fn push(self: &Arc<Self>, jobs: &mut Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        state.queue.extend(jobs.drain(..).map(QueuedJob));
        let more = state.needs_a_looker();
        drop(state);
        self.act(more);
    }

    fn act(self: &Arc<Self>, more: More) {
        match more {
            More::None => {}
            More::Wake => self.wake.notify_one(),
            More::Spawn => {
                // A refusal means that the orchestrator was dropped, and the queue goes with it.
                let _ = self.group.spawn(Arc::clone(self).run());
            }
        }
    }

    async fn run(self: Arc<Self>) -> Result<(), Infallible> {
        loop {
            let mut turn = 0;
            while let Some(job) = self.take() {
                let mut trying = Trying::new(job);
                let polled = poll_fn(|cx| Poll::Ready(trying.poll_end(cx))).await;
                // Before the end is told: what starts because of it is for this runner.
                self.state.lock().looking += 1;
                match polled {
                    Poll::Ready(ended) => tell(ended),
                    Poll::Pending => {
                        let _ = self.group.spawn(async move {
                            trying.await;
                            Ok(())
                        });
                    }
                }
                turn += 1;
                if turn == TURN {
                    turn = 0;
                    yield_now().await;
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

    /// A job for a runner that looks for one; afterwards it is inside.
    fn take(self: &Arc<Self>) -> Option<Job> {
        let mut state = self.state.lock();
        let QueuedJob(job) = state.queue.pop_front()?;
        state.looking -= 1;
        let more = state.needs_a_looker();
        drop(state);
        self.act(more);
        Some(job)
    }

    /// Looks for a while; whether there is something to do.
    async fn look(&self) -> bool {
        let since = Instant::now();
        loop {
            if self.look.is_zero() {
                return false;
            }
            yield_now().await;
            if !self.state.lock().queue.is_empty() {
                return true;
            }
            if self.look <= since.elapsed() {
                return false;
            }
        }
    }

    /// Sleeps until there is something to do; `false` if the runner is one too many.
    async fn sleep(&self) -> bool {
        let rest = self.state.lock().rest(self.enough);
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

/// What a runner that has found nothing does.
enum Rest {
    Work,
    Sleep,
    End,
}

/// What is to be done for invariant 1.
enum More {
    None,
    Wake,
    Spawn,
}

impl State {
    fn rest(&mut self, enough: usize) -> Rest {
        if !self.queue.is_empty() {
            return Rest::Work;
        }
        self.looking -= 1;
        if enough < self.all {
            self.all -= 1;
            return Rest::End;
        }
        self.sleeping += 1;
        Rest::Sleep
    }

    fn needs_a_looker(&mut self) -> More {
        if self.queue.is_empty() || self.looking > 0 {
            return More::None;
        }
        self.looking += 1;
        if self.sleeping > 0 {
            self.sleeping -= 1;
            return More::Wake;
        }
        self.all += 1;
        More::Spawn
    }
}
