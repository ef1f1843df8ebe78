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
//! attempt is queued, at most [`BATCH`] ends wait, and none of an attempt that took longer than [`SHORT`].
//!
//! A runner that finds nothing to do looks again for a short time before it sleeps: waking the runtime's thread
//! takes far longer than a short task, which is what counts when a graph is only as wide as the machine.

mod guard;

use std::collections::VecDeque;
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
use guard::Guard;

/// How long a runner looks for work before it sleeps.
const LOOK: Duration = Duration::from_micros(50);

/// How many ends are told together at most.
const BATCH: usize = 16;

/// The end of an attempt that took longer is told at once.
const SHORT: Duration = Duration::from_micros(20);

/// The memory of a queue that was longer is given back when it is empty.
const MANY: usize = 512;

/// How many attempts a runner polls before it lets the runtime's other tasks have a turn.
const TURN: u32 = 32;

/// Lets another worker have the task that was woken or spawned last here. A worker keeps that one to itself until it has
/// finished what it is at, which may be an attempt that computes; the next one to come takes its place.
fn share() {
    if let Ok(runtime) = Handle::try_current()
        && runtime.runtime_flavor() != RuntimeFlavor::CurrentThread
    {
        drop(runtime.spawn(std::future::ready(())));
    }
}

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

/// Who takes a turn of the engine, and what that leaves to it.
#[derive(Default)]
pub(super) struct Taker {
    /// Whether it can go on with an attempt that will wait.
    goes_on: bool,
    /// That attempt.
    next: Option<Job>,
    /// Whether a task was woken or spawned that others are to have if this one goes on for long.
    has_woken: bool,
}

impl Taker {
    /// A task of the runtime whose attempt has ended.
    pub(super) fn that_goes_on() -> Self {
        Self { goes_on: true, ..Self::default() }
    }

    /// It has to see to something first.
    pub(super) fn is_held_up(&mut self) {
        self.goes_on = false;
    }

    pub(super) fn has_woken(&mut self) {
        self.has_woken = true;
    }

    /// Lets others have what was woken.
    pub(super) fn share(&mut self) {
        if std::mem::take(&mut self.has_woken) {
            share();
        }
    }

    /// Whether an attempt waits for it to go on.
    pub(super) fn is_wanted(&self) -> bool {
        self.next.is_some()
    }

    /// The attempt that it goes on with.
    pub(super) fn next(self) -> Option<Job> {
        self.next
    }

    /// The attempt, unless it goes on with that.
    fn offer(&mut self, job: Job) -> Option<Job> {
        if !self.goes_on || self.next.is_some() {
            return Some(job);
        }
        self.next = Some(job);
        None
    }
}

pub(crate) struct Runners {
    state: Mutex<State<Job, Ended>>,
    /// Weak, since the engine, which is the link's, has the runners.
    link: Weak<Link>,
    wake: Notify,
    group: Spawner<(), Infallible>,
    /// As many as there are workers; one that has nothing to do ends if there are more.
    enough: usize,
    look: Duration,
    guard: Guard,
}

struct State<J, E> {
    queue: VecDeque<J>,
    /// What is not told yet.
    ended: Vec<E>,
    /// Whether it is to be told at once.
    is_urgent: bool,
    /// How many runners there are.
    all: usize,
    /// How many of them are not inside an attempt, and awake or about to be.
    looking: usize,
    sleeping: usize,
}

impl<J, E> Default for State<J, E> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            ended: Vec::new(),
            is_urgent: false,
            all: 0,
            looking: 0,
            sleeping: 0,
        }
    }
}

impl Runners {
    pub(crate) fn start(link: &Arc<Link>, group: Spawner<(), Infallible>) -> Arc<Self> {
        let runtime = Handle::current();
        let enough = runtime.metrics().num_workers().max(1);
        // The only thread of a runtime must not look while it could work.
        let alone = runtime.runtime_flavor() == RuntimeFlavor::CurrentThread || enough == 1;
        let look = if alone { Duration::ZERO } else { LOOK };
        let (state, wake, link) = (Mutex::default(), Notify::new(), Arc::downgrade(link));
        let guard = Guard::new(link.clone());
        Arc::new(Self { state, link, wake, group, enough, look, guard })
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
        let mut state = self.state.lock();
        // Mostly they are few, for which this is cheaper than to extend the queue.
        jobs.drain(..).for_each(|job| state.queue.push_back(job));
        let more = state.needs_a_looker();
        drop(state);
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
                let next = self.state.lock().next(left.take(), &mut ends);
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
                    self.state.lock().leave(left.take());
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
            if self.state.lock().has_work() {
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

/// What a runner brings from an attempt.
struct Left<E> {
    /// Its end, unless it became a task of its own.
    ended: Option<E>,
    is_long: bool,
}

/// What a runner that looks does next.
enum Next<J> {
    Job {
        job: J,
        more: More,
        /// Whether it leaves no work behind.
        is_last: bool,
    },
    Tell,
    Nothing,
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

impl<J, E> State<J, E> {
    /// What a runner that looks, or has just left an attempt, does next. With a job it is inside from now on; the ends to
    /// tell are moved to `ends`.
    fn next(&mut self, left: Option<Left<E>>, ends: &mut Vec<E>) -> Next<J> {
        self.leave(left);
        let is_due = self.is_urgent || BATCH <= self.ended.len() || self.queue.len() < 2;
        if is_due && !self.ended.is_empty() {
            self.is_urgent = false;
            std::mem::swap(&mut self.ended, ends);
            return Next::Tell;
        }
        let Some(job) = self.queue.pop_front() else {
            self.queue.shrink_to(MANY);
            return Next::Nothing;
        };
        self.looking -= 1;
        Next::Job { job, more: self.needs_a_looker(), is_last: !self.has_work() }
    }

    /// A runner is not inside any more. What starts because of the end is for this runner: it is counted as looking.
    fn leave(&mut self, left: Option<Left<E>>) {
        if let Some(Left { ended, is_long }) = left {
            self.looking += 1;
            self.is_urgent |= is_long;
            self.ended.extend(ended);
        }
    }

    fn has_work(&self) -> bool {
        !self.queue.is_empty() || !self.ended.is_empty()
    }

    fn rest(&mut self, enough: usize) -> Rest {
        if self.has_work() {
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
        if !self.has_work() || self.looking > 0 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Runner {
        Looking,
        Inside,
        Sleeping,
    }

    /// Runners and a driver in a random order of their steps; jobs are numbers of jobs.
    struct Model {
        state: State<u32, ()>,
        runners: Vec<Runner>,
        taken: u32,
        ended: usize,
        told: usize,
        seed: u64,
    }

    impl Model {
        fn below(&mut self, n: usize) -> usize {
            // Knuth's MMIX generator.
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.seed >> 33) as usize % n
        }

        fn act(&mut self, more: More) {
            match more {
                More::None => {}
                More::Spawn => self.runners.push(Runner::Looking),
                More::Wake => {
                    let asleep = self.runners.iter().position(|of| *of == Runner::Sleeping);
                    self.runners[asleep.expect("only a sleeping one is woken")] = Runner::Looking;
                }
            }
        }

        fn step(&mut self, jobs: &mut u32) {
            let count = self.runners.len();
            let at = self.below(count + 1);
            if at == count {
                let new = (self.below(3) as u32).min(*jobs);
                *jobs -= new;
                self.state.queue.extend(0..new);
                let more = self.state.needs_a_looker();
                self.act(more);
                return;
            }
            match self.runners[at] {
                Runner::Sleeping => {}
                Runner::Inside => {
                    let ended = (self.below(4) > 0).then_some(());
                    self.ended += usize::from(ended.is_some());
                    let is_long = self.below(8) == 0;
                    self.state.leave(Some(Left { ended, is_long }));
                    self.runners[at] = Runner::Looking;
                }
                Runner::Looking => {
                    let mut ends = Vec::new();
                    match self.state.next(None, &mut ends) {
                        Next::Job { more, .. } => {
                            self.taken += 1;
                            self.runners[at] = Runner::Inside;
                            self.act(more);
                        }
                        Next::Tell => self.told += ends.len(),
                        Next::Nothing => match self.state.rest(2) {
                            Rest::Work => panic!("it has just found nothing"),
                            Rest::Sleep => self.runners[at] = Runner::Sleeping,
                            Rest::End => drop(self.runners.swap_remove(at)),
                        },
                    }
                }
            }
        }
    }

    #[test]
    fn while_a_job_is_queued_or_an_end_untold_somebody_who_sees_to_it_is_awake() {
        for seed in 0..500 {
            let (state, runners) = (State::default(), Vec::new());
            let mut model = Model { state, runners, taken: 0, ended: 0, told: 0, seed };
            let mut jobs = 100;
            for _ in 0..2_000 {
                model.step(&mut jobs);
                let looking = model.runners.iter().filter(|of| **of == Runner::Looking).count();
                assert_eq!(looking, model.state.looking, "seed {seed}");
                assert!(!model.state.has_work() || looking > 0, "seed {seed}: nobody looks");
                assert!(model.state.ended.len() < BATCH + model.runners.len(), "seed {seed}");
                assert_eq!(model.runners.len(), model.state.all);
            }
            assert_eq!((model.taken, jobs), (100, 0), "seed {seed}");
            assert_eq!(model.told, model.ended, "seed {seed}: an end was not told");
            let awake = model.runners.iter().filter(|of| **of != Runner::Sleeping).count();
            assert!(model.runners.len() - awake <= 2, "seed {seed}: more sleep than are enough");
        }
    }
}
