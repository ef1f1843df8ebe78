//! Groups of `tidegate-taskgroup`, beside `JoinSet`, `TaskTracker` and `FuturesUnordered`.

mod memory;

use std::hint::black_box;
use std::io::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tidegate_benches::Suite;
use tidegate_taskgroup::TaskGroup;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const TASKS: u64 = 100_000;
const SLEEPERS: u64 = 10_000;

fn main() {
    keep_the_heap();
    let mut suite = Suite::from_args("taskgroup");
    for (name, runtime) in [("2-workers", workers()), ("current-thread", current_thread())] {
        spawn_and_wait(&mut suite, name, &runtime);
        that_wait(&mut suite, name, &runtime);
        limited(&mut suite, name, &runtime);
        first_error(&mut suite, name, &runtime);
    }
    memory::all(&mut suite, &current_thread());
    suite.finish();
}

/// Starts this program anew with glibc told to keep what is freed. By default it gives the top of the heap back after each
/// round, or does not, as chance has it; and then the page faults of the next round are a third of all its time.
#[cfg(unix)]
fn keep_the_heap() {
    use std::os::unix::process::CommandExt as _;

    const TRIM: &str = "MALLOC_TRIM_THRESHOLD_";
    if std::env::var_os(TRIM).is_none() {
        let itself = std::env::current_exe().expect("the path of this program");
        let mut again = std::process::Command::new(itself);
        again.args(std::env::args_os().skip(1)).env(TRIM, "4294967296");
        panic!("cannot start anew: {}", again.env("MALLOC_TOP_PAD_", "67108864").exec());
    }
}

#[cfg(not(unix))]
fn keep_the_heap() {}

fn workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime")
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// Runs a measurement in a task of the runtime, where its workers are.
fn within<T: Send + 'static>(
    runtime: &Runtime,
    measure: impl Future<Output = T> + Send + 'static,
) -> T {
    runtime.block_on(async { tokio::spawn(measure).await.expect("the measurement ended") })
}

async fn trivial() -> Result<(), Error> {
    black_box(());
    Ok(())
}

async fn timed(work: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    work.await;
    start.elapsed()
}

async fn group(n: u64) {
    let group = TaskGroup::<(), Error>::new();
    for _ in 0..n {
        group.spawn(trivial()).expect("open");
    }
    assert_eq!(group.wait().await.expect("none failed").len() as u64, n);
}

/// What nobody can go below on tokio: tasks that only count themselves out.
async fn bare(n: u64) {
    let gone = Arc::new((AtomicU64::new(0), Notify::new()));
    for _ in 0..n {
        let gone = Arc::clone(&gone);
        tokio::spawn(async move {
            trivial().await.expect("no error");
            if gone.0.fetch_add(1, Ordering::AcqRel) + 1 == n {
                gone.1.notify_one();
            }
        });
    }
    gone.1.notified().await;
}

async fn join_set(n: u64) {
    let mut set = JoinSet::new();
    for _ in 0..n {
        set.spawn(trivial());
    }
    while let Some(done) = set.join_next().await {
        done.expect("no panic").expect("no error");
    }
}

async fn tracker(n: u64) {
    let tracker = TaskTracker::new();
    for _ in 0..n {
        tracker.spawn(trivial());
    }
    tracker.close();
    tracker.wait().await;
}

/// What a user writes for cancellation by the first error.
async fn tracker_token_select(n: u64) {
    let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
    for _ in 0..n {
        let token = token.clone();
        tracker.spawn(async move {
            tokio::select! {
                biased;
                () = token.cancelled() => {}
                done = trivial() => if done.is_err() { token.cancel() },
            }
        });
    }
    tracker.close();
    tracker.wait().await;
}

async fn futures_unordered(n: u64) {
    let mut all: FuturesUnordered<_> = (0..n).map(|_| trivial()).collect();
    while let Some(done) = all.next().await {
        done.expect("no error");
    }
}

fn spawn_and_wait(suite: &mut Suite, name: &str, runtime: &Runtime) {
    suite
        .group(&format!("taskgroup/spawn-wait/{name}"))
        .operations(TASKS)
        .ours(|n| within(runtime, timed(group(n))))
        .peer("JoinSet", |n| within(runtime, timed(join_set(n))))
        .peer("TaskTracker", |n| within(runtime, timed(tracker(n))))
        .peer("TaskTracker+token+select", |n| within(runtime, timed(tracker_token_select(n))))
        .peer("tokio::spawn+counter", |n| within(runtime, timed(bare(n))))
        .at_most_of("JoinSet", 0.70)
        .at_most_of("TaskTracker", 1.10)
        .run();
    // Spawns nothing and uses one core: it shows what a task costs at all, and nothing is promised against it.
    suite
        .group(&format!("taskgroup/spawn-wait-unspawned/{name}"))
        .operations(TASKS)
        .ours(|n| within(runtime, timed(group(n))))
        .peer("FuturesUnordered", |n| within(runtime, timed(futures_unordered(n))))
        .run();
}

/// Tasks that wait once, all in one group or in many small ones: what a first poll costs that was not the last. Nothing is
/// promised of it.
fn that_wait(suite: &mut Suite, name: &str, runtime: &Runtime) {
    async fn waits() -> Result<(), Error> {
        tokio::task::yield_now().await;
        Ok(())
    }
    async fn group(n: u64) {
        let group = TaskGroup::<(), Error>::new();
        for _ in 0..n {
            group.spawn(waits()).expect("open");
        }
        group.wait().await.expect("none failed");
    }
    async fn set(n: u64) {
        let mut set = JoinSet::new();
        for _ in 0..n {
            set.spawn(waits());
        }
        while let Some(done) = set.join_next().await {
            done.expect("no panic").expect("no error");
        }
    }
    async fn times(n: u64, work: impl AsyncFn()) {
        for _ in 0..n {
            work().await;
        }
    }
    suite
        .group(&format!("taskgroup/spawn-wait-yielding/{name}"))
        .operations(TASKS)
        .ours(|n| within(runtime, timed(group(n))))
        .peer("JoinSet", |n| within(runtime, timed(set(n))))
        .run();
    suite
        .group(&format!("taskgroup/groups-of-five/{name}"))
        .operations(TASKS)
        .ours(|n| within(runtime, timed(times(n / 5, async || group(5).await))))
        .peer("JoinSet", |n| within(runtime, timed(times(n / 5, async || set(5).await))))
        .run();
}

fn limited(suite: &mut Suite, name: &str, runtime: &Runtime) {
    const LIMIT: usize = 64;
    let ours = |n| async move {
        let group = TaskGroup::<(), Error>::builder().limit(LIMIT).build();
        for _ in 0..n {
            group.spawn(trivial()).expect("open");
        }
        group.wait().await.expect("none failed");
    };
    let tracker = |n| async move {
        let (tracker, permits) = (TaskTracker::new(), Arc::new(Semaphore::new(LIMIT)));
        for _ in 0..n {
            let permits = Arc::clone(&permits);
            tracker.spawn(async move {
                let _permit = permits.acquire().await.expect("open");
                trivial().await
            });
        }
        tracker.close();
        tracker.wait().await;
    };
    let set = |n| async move {
        let (mut set, permits) = (JoinSet::new(), Arc::new(Semaphore::new(LIMIT)));
        for _ in 0..n {
            let permits = Arc::clone(&permits);
            set.spawn(async move {
                let _permit = permits.acquire().await.expect("open");
                trivial().await
            });
        }
        while let Some(done) = set.join_next().await {
            done.expect("no panic").expect("no error");
        }
    };
    suite
        .group(&format!("taskgroup/limit-64/{name}"))
        .operations(TASKS)
        .ours(|n| within(runtime, timed(ours(n))))
        .peer("TaskTracker+Semaphore", |n| within(runtime, timed(tracker(n))))
        .peer("JoinSet+Semaphore", |n| within(runtime, timed(set(n))))
        .at_most_of("TaskTracker+Semaphore", 1.15)
        .run();
}

async fn sleeper(alive: Alive) -> Result<(), Error> {
    alive.begin();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drop(alive);
    Ok(())
}

/// Counts itself while it lives, and once when it begins.
struct Alive(Arc<Counts>);

#[derive(Default)]
struct Counts {
    alive: AtomicU64,
    begun: AtomicU64,
}

impl Counts {
    fn one(self: &Arc<Self>) -> Alive {
        self.alive.fetch_add(1, Ordering::Relaxed);
        Alive(Arc::clone(self))
    }

    async fn until_parked(&self, tasks: u64) {
        while self.begun.load(Ordering::SeqCst) != tasks {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    fn alive(&self) -> u64 {
        self.alive.load(Ordering::SeqCst)
    }
}

impl Alive {
    fn begin(&self) {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// From the failure of one to the return of the wait, none alive.
fn first_error(suite: &mut Suite, name: &str, runtime: &Runtime) {
    let ours = |n| async move {
        let counts = Arc::new(Counts::default());
        let group = TaskGroup::<(), Error>::new();
        for _ in 0..n {
            group.spawn(sleeper(counts.one())).expect("open");
        }
        counts.until_parked(n).await;
        let start = Instant::now();
        group.spawn(async { Err(Error::other("first")) }).expect("open");
        group.wait().await.expect_err("one failed");
        assert_eq!(counts.alive(), 0, "alive after the wait");
        start.elapsed()
    };
    let set = |n| async move {
        let counts = Arc::new(Counts::default());
        let mut set = JoinSet::new();
        for _ in 0..n {
            set.spawn(sleeper(counts.one()));
        }
        counts.until_parked(n).await;
        let start = Instant::now();
        set.spawn(async { Err(Error::other("first")) });
        while let Some(done) = set.join_next().await {
            if matches!(done, Ok(Err(_))) {
                set.abort_all();
            }
        }
        assert_eq!(counts.alive(), 0, "alive after the wait");
        start.elapsed()
    };
    let tracker = |n| async move {
        let counts = Arc::new(Counts::default());
        let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
        for _ in 0..n {
            let (token, alive) = (token.clone(), counts.one());
            tracker.spawn(async move {
                tokio::select! { () = token.cancelled() => {} _ = sleeper(alive) => {} }
            });
        }
        counts.until_parked(n).await;
        let start = Instant::now();
        tracker.spawn({
            let token = token.clone();
            async move { token.cancel() }
        });
        tracker.close();
        tracker.wait().await;
        assert_eq!(counts.alive(), 0, "alive after the wait");
        start.elapsed()
    };
    suite
        .group(&format!("taskgroup/first-error-10k/{name}"))
        .operations(SLEEPERS)
        .ours(|n| within(runtime, ours(n)))
        .peer("JoinSet+abort_all", |n| within(runtime, set(n)))
        .peer("TaskTracker+token+select", |n| within(runtime, tracker(n)))
        .at_most_of("JoinSet+abort_all", 1.0)
        .run();
}
