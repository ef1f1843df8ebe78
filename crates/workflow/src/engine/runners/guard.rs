//! Has a worker look around while work is left behind an attempt.
//!
//! A worker goes to sleep without a last look if, when it found nothing, others were searching already (tokio lets half of them
//! do so). What one of those queues right afterwards, nobody is told of: mostly no harm, since it comes back to its queue soon,
//! but an attempt that computes comes back late. The clock rings all the same, and whichever worker it wakes looks for work.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};

use crate::engine::Link;

/// How long work is left behind at most before a worker that sleeps is woken.
const AFTER: Duration = Duration::from_millis(5);

pub(super) struct Guard {
    ring: Arc<Ring>,
    waker: Waker,
    /// Made when it is first needed.
    timer: Mutex<Option<Pin<Box<Sleep>>>>,
}

struct Ring {
    is_set: AtomicBool,
    link: Weak<Link>,
}

impl Guard {
    pub(super) fn new(link: Weak<Link>) -> Self {
        let ring = Arc::new(Ring { is_set: AtomicBool::new(false), link });
        Self { waker: Waker::from(Arc::clone(&ring)), ring, timer: Mutex::default() }
    }

    /// Work is left behind an attempt that begins.
    pub(super) fn set(&self) {
        // ORDERING: Relaxed; whoever sees it set too early or too late sets it with the next attempt.
        if self.ring.is_set.load(Ordering::Relaxed)
            || self.ring.is_set.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let mut timer = self.timer.lock();
        let timer = timer.get_or_insert_with(|| Box::pin(sleep(AFTER)));
        timer.as_mut().reset(Instant::now() + AFTER);
        // Only a poll tells it whom to wake.
        let _ = timer.as_mut().poll(&mut Context::from_waker(&self.waker));
    }
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        // ORDERING: Relaxed; as in `Guard::set`.
        self.is_set.store(false, Ordering::Relaxed);
        if let Some(link) = self.link.upgrade() {
            link.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::AtomicUsize;

    use tidegate_taskgroup::TaskGroup;
    use tokio::sync::Notify;
    use tokio::task::yield_now;
    use tokio::time::advance;
    use tracing::Span;

    use super::super::taker::Taker;
    use super::super::{LOOK, Runners};
    use super::*;
    use crate::context::{self, Context as Seen};
    use crate::engine::attempt::{Attempt, Job};
    use crate::machine::RunId;
    use crate::run::{Address, Run};
    use crate::task::{DEFAULT_AGENT, Extras};

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            // ORDERING: Relaxed; there is one thread.
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Wakes {
        /// How often the engine's own task is woken in so much time, which is what has a worker look for work.
        async fn within(&self, time: Duration) -> usize {
            advance(time).await;
            // ORDERING: Relaxed; there is one thread.
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    /// The engine's own task, which is polled by hand.
    struct Engine(Pin<Box<dyn Future<Output = ()>>>, Arc<Wakes>);

    impl Engine {
        fn of(link: &Arc<Link>) -> Self {
            let link = Arc::clone(link);
            let drive = async { link.drive().await.unwrap_or_else(|never| match never {}) };
            Self(Box::pin(drive), Arc::default())
        }

        fn poll(&mut self) -> &Wakes {
            let waker = Waker::from(Arc::clone(&self.1));
            assert!(self.0.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            &self.1
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_is_woken_once_five_milliseconds_after_work_was_first_left_behind() {
        let link = Arc::new(Link::new(HashMap::new(), None));
        let guard = Guard::new(Arc::downgrade(&link));
        let mut engine = Engine::of(&link);
        for _ in 0..3 {
            let woken = engine.poll();
            guard.set();
            assert_eq!(woken.within(4 * MILLISECOND).await, 0, "who is awake may come to it");
            // What is left behind later puts it off for none.
            guard.set();
            assert_eq!(woken.within(2 * MILLISECOND).await, 1);
            let woken = engine.poll();
            assert_eq!(woken.within(99 * MILLISECOND).await, 0, "nothing was left behind since");
        }
    }

    /// An attempt that declines; how many have is counted.
    fn declines(link: &Arc<Link>, count: &Arc<AtomicUsize>) -> Job {
        let (id, agent) = (&"a".into(), &DEFAULT_AGENT.into());
        let (link, count) = (Arc::clone(link), Arc::clone(count));
        let run = Run::new(Address { id: RunId(0), link, name: None, trace_parent: None });
        let span = &Span::none();
        let of = context::Attempt { id, node: 0, attempt: 1, generation: 0, agent, span };
        let mut job = Attempt::new(Seen::new(&of, std::iter::empty(), &run));
        let condition = move |_: &Seen| {
            // ORDERING: Relaxed; there is one thread.
            count.fetch_add(1, Ordering::Relaxed);
            false
        };
        let extras = Extras { condition: Some(Box::new(condition)), ..Extras::default() };
        job.extras = Some(Arc::new(extras));
        job
    }

    #[tokio::test(start_paused = true)]
    async fn a_runner_has_a_worker_woken_if_it_leaves_work_behind_the_attempt_that_it_begins() {
        let link = Arc::new(Link::new(HashMap::new(), None));
        // Nobody hears of ends.
        link.close();
        let group = TaskGroup::new();
        let runners = Arc::new(Runners {
            book: Mutex::default(),
            link: Arc::downgrade(&link),
            wake: Notify::new(),
            group: group.spawner(),
            enough: 1,
            look: LOOK,
            guard: Guard::new(Arc::downgrade(&link)),
        });
        let mut engine = Engine::of(&link);
        for (attempts, wakes) in [(1, 0), (2, 1), (1, 0)] {
            let woken = engine.poll();
            let count = Arc::default();
            let mut jobs = (0..attempts).map(|_| declines(&link, &count)).collect();
            runners.push(&mut jobs, &mut Taker::default());
            // ORDERING: Relaxed; there is one thread.
            while count.load(Ordering::Relaxed) < attempts {
                yield_now().await;
            }
            assert_eq!(woken.within(9 * MILLISECOND).await, wakes, "{attempts} at once");
        }
    }
}
