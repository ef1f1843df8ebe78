//! Interleavings of the thread pools: submit × sleep, submit × close, room × cancel, cancel × take, abandon × end.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p tidegate-pools --test loom --target-dir target/loom`
//!
//! loom itself reports a thread that sleeps for ever (a lost notice or waker) as a deadlock.
#![cfg(loom)]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use tidegate_pools::{BlockingPool, CpuPool, JobError, Priority, SubmitError};

/// Explored up to so many preemptions: a bug here needs one or two.
fn bounded(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

fn pool(threads: usize, queue: usize) -> CpuPool {
    CpuPool::builder().threads(threads).queue(queue).build().expect("loom starts threads")
}

#[test]
fn a_job_submitted_while_threads_go_to_sleep_is_run() {
    bounded(|| {
        let pool = pool(2, 4);
        let one = pool.try_submit(Priority::Normal, || 1).expect("room");
        let two = pool.try_submit(Priority::Low, || 2).expect("room");
        assert_eq!(block_on(two), Ok(2));
        assert_eq!(block_on(one), Ok(1));
    });
}

#[test]
fn a_second_job_wakes_a_second_thread_while_the_first_job_runs() {
    bounded(|| {
        let pool = pool(2, 4);
        let (open, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (opens, waits) = (Arc::clone(&open), Arc::clone(&gate));
        // Each can end only while the other runs.
        let meet = |mine: Arc<AtomicUsize>, other: Arc<AtomicUsize>| {
            move || {
                mine.store(1, Ordering::Release);
                while other.load(Ordering::Acquire) == 0 {
                    thread::yield_now();
                }
            }
        };
        let one = pool.try_submit(Priority::Normal, meet(open, gate)).expect("room");
        let two = pool.try_submit(Priority::Normal, meet(waits, opens)).expect("room");
        assert_eq!(block_on(one), Ok(()));
        assert_eq!(block_on(two), Ok(()));
    });
}

#[test]
fn what_was_accepted_before_the_pool_closes_is_run_and_the_rest_refused() {
    bounded(|| {
        let pool = std::sync::Arc::new(pool(1, 4));
        let other = std::sync::Arc::clone(&pool);
        let closer = thread::spawn(move || other.close());
        match pool.try_submit(Priority::Normal, || 1) {
            Ok(job) => assert_eq!(block_on(job), Ok(1)),
            Err(refused) => assert_eq!(refused, SubmitError::Closed),
        }
        closer.join().expect("it does not panic");
    });
}

#[test]
fn a_job_dropped_with_its_pool_is_run_or_cancelled_and_its_caller_learns_which() {
    bounded(|| {
        let pool = pool(1, 4);
        let job = pool.try_submit(Priority::Normal, || 1).expect("room");
        let dropper = thread::spawn(move || drop(pool));
        let result = block_on(job);
        assert!(matches!(result, Ok(1) | Err(JobError::Cancelled)), "{result:?}");
        dropper.join().expect("it does not panic");
    });
}

#[test]
fn a_caller_that_waits_for_room_enters_when_a_job_is_taken() {
    bounded(|| {
        let pool = pool(1, 1);
        let one = pool.try_submit(Priority::Normal, || 1).expect("room");
        let two = block_on(pool.submit(Priority::Normal, || 2)).expect("open");
        assert_eq!(block_on(two), Ok(2));
        assert_eq!(block_on(one), Ok(1));
    });
}

#[test]
fn a_caller_at_the_door_learns_that_the_pool_closed() {
    bounded(|| {
        let pool = std::sync::Arc::new(pool(1, 1));
        let one = pool.try_submit(Priority::Normal, || 1).expect("room");
        let other = std::sync::Arc::clone(&pool);
        let closer = thread::spawn(move || other.close());
        match block_on(pool.submit(Priority::Normal, || 2)) {
            Ok(two) => assert_eq!(block_on(two), Ok(2)),
            Err(refused) => assert_eq!(refused, SubmitError::Closed),
        }
        assert_eq!(block_on(one), Ok(1));
        closer.join().expect("it does not panic");
    });
}

#[test]
fn a_caller_that_gives_up_at_the_door_takes_its_job_with_it_and_blocks_nobody() {
    bounded(|| {
        let pool = pool(1, 1);
        let one = pool.try_submit(Priority::Normal, || 1).expect("room");
        {
            let mut gone = pin!(pool.submit(Priority::Normal, || 2));
            let polled = gone.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(submitted) = polled {
                drop(submitted.expect("open"));
            }
        }
        let three = block_on(pool.submit(Priority::Normal, || 3)).expect("open");
        assert_eq!(block_on(three), Ok(3));
        assert_eq!(block_on(one), Ok(1));
    });
}

/// What a closure holds is dropped once, whoever does it.
struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_job_cancelled_while_it_is_taken_drops_its_work_once() {
    bounded(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let pool = pool(1, 1);
        let held = Held(Arc::clone(&drops));
        let job = pool.try_submit(Priority::Normal, move || held).expect("room");
        drop(job);
        let after = block_on(pool.submit(Priority::Normal, || ())).expect("open");
        assert_eq!(block_on(after), Ok(()));
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_call_abandoned_while_it_ends_is_counted_down_again() {
    bounded(|| {
        let pool = BlockingPool::builder().threads(1).build();
        drop(pool.submit(|| ()).expect("a thread starts"));
        loop {
            match pool.submit(|| 2) {
                Ok(job) => {
                    assert_eq!(block_on(job), Ok(2));
                    break;
                }
                Err(refused) => {
                    assert_eq!(refused, SubmitError::Stuck { abandoned: 1 });
                    thread::yield_now();
                }
            }
        }
        assert_eq!(pool.abandoned(), 0);
    });
}
