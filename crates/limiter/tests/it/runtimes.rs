//! The same work under each kind of runtime, and from plain threads: never above the limit, everyone served, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_limiter::Semaphore;

const TASKS: usize = 50;
const ROUNDS: usize = 20;
const LIMIT: usize = 3;

/// Counts who is inside at once.
#[derive(Default)]
struct Inside {
    now: AtomicUsize,
    most: AtomicUsize,
    served: AtomicUsize,
}

impl Inside {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn exit(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
        self.served.fetch_add(1, Ordering::SeqCst);
    }

    fn assert_all_served_within_the_limit(&self, semaphore: &Semaphore) {
        assert_eq!(self.served.load(Ordering::SeqCst), TASKS * ROUNDS);
        let most = self.most.load(Ordering::SeqCst);
        assert!((1..=LIMIT).contains(&most), "{most} inside at once");
        assert_eq!((semaphore.in_use(), semaphore.waiting()), (0, 0));
    }
}

async fn work<Y: Future<Output = ()>>(
    semaphore: Arc<Semaphore>,
    inside: Arc<Inside>,
    yield_now: fn() -> Y,
) {
    for round in 0..ROUNDS {
        if round % 5 == 4 {
            // One that asks, is queued or not, and leaves.
            let stopped = Arc::clone(&semaphore).acquire_owned().until(std::future::ready(()));
            assert!(stopped.await.is_err());
        }
        let permit = semaphore.acquire().await.expect("nobody closes it");
        inside.enter();
        yield_now().await;
        inside.exit();
        drop(permit);
    }
}

fn shared() -> (Arc<Semaphore>, Arc<Inside>) {
    (Arc::new(Semaphore::new(LIMIT)), Arc::new(Inside::default()))
}

fn under_tokio(runtime: &tokio::runtime::Runtime) {
    let (semaphore, inside) = shared();
    runtime.block_on(async {
        let tasks = (0..TASKS)
            .map(|_| tokio::spawn(work(semaphore.clone(), inside.clone(), tokio::task::yield_now)));
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("the task does not panic");
        }
    });
    inside.assert_all_served_within_the_limit(&semaphore);
}

#[test]
fn works_under_tokio_with_several_threads() {
    under_tokio(&tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap());
}

#[test]
fn works_under_tokio_with_one_thread() {
    under_tokio(&tokio::runtime::Builder::new_current_thread().build().unwrap());
}

#[test]
fn works_under_smol() {
    let (semaphore, inside) = shared();
    smol::block_on(async {
        let tasks = (0..TASKS)
            .map(|_| smol::spawn(work(semaphore.clone(), inside.clone(), smol::future::yield_now)));
        for task in tasks.collect::<Vec<_>>() {
            task.await;
        }
    });
    inside.assert_all_served_within_the_limit(&semaphore);
}

#[test]
fn works_from_plain_threads() {
    let (semaphore, inside) = shared();
    std::thread::scope(|scope| {
        for _ in 0..TASKS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let permit = semaphore.blocking_acquire().expect("nobody closes it");
                    inside.enter();
                    std::thread::yield_now();
                    inside.exit();
                    drop(permit);
                }
            });
        }
    });
    inside.assert_all_served_within_the_limit(&semaphore);
}

#[test]
fn tasks_and_threads_stand_in_one_queue() {
    let (semaphore, inside) = shared();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            smol::block_on(async {
                let tasks = (0..TASKS / 2).map(|_| {
                    let yield_now = smol::future::yield_now;
                    smol::spawn(work(semaphore.clone(), inside.clone(), yield_now))
                });
                for task in tasks.collect::<Vec<_>>() {
                    task.await;
                }
            });
        });
        for _ in 0..TASKS / 2 {
            scope.spawn(|| {
                smol::block_on(work(semaphore.clone(), inside.clone(), || {
                    std::thread::yield_now();
                    std::future::ready(())
                }));
            });
        }
    });
    inside.assert_all_served_within_the_limit(&semaphore);
}

#[test]
fn a_thread_that_times_out_leaves_the_queue() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let error = semaphore.acquire().wait_timeout(std::time::Duration::from_millis(1)).unwrap_err();
    assert_eq!(error, tidegate_limiter::AcquireError::TimedOut);
    assert_eq!(semaphore.waiting(), 0);
    drop(held);
    assert!(semaphore.acquire().wait_timeout(std::time::Duration::ZERO).is_ok());
}
