//! An urgent job behind a backlog, computations side by side, and batches.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tidegate_benches::Suite;
use tidegate_pools::{Batcher, CpuPool, Priority};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::p99_ms;

pub(crate) fn groups(
    suite: &mut Suite,
    runtime: &Runtime,
    pool: &CpuPool,
    rayon: &rayon::ThreadPool,
) {
    urgent(suite, runtime, pool, rayon);
    suite
        .group("pools/cpu/fib32_x16")
        .ours(|n| (0..n).map(|_| runtime.block_on(fibs_ours(pool))).sum())
        .peer("two threads", |n| (0..n).map(|_| fibs_threads()).sum())
        .peer("one after another", |n| (0..n).map(|_| fibs_in_turn()).sum())
        .at_most_of("two threads", 1.03)
        .operations(1)
        .run();
    batches(suite);
}

/// How long an urgent job takes that comes behind 500 of a millisecond, until it starts and until its caller goes on: the 99th of
/// a hundred is the figure. What lies between the two is the system's: who was woken waits for a processor, for ticks of
/// 4 ms where a third program computes. Two bare threads that look for urgent work between two such jobs are the floor.
fn urgent(suite: &mut Suite, runtime: &Runtime, pool: &CpuPool, rayon: &rayon::ThreadPool) {
    let [start_id, id] =
        ["pools/cpu/urgent_behind_500/start_p99", "pools/cpu/urgent_behind_500_p99"];
    if !suite.wants(id) && !suite.wants(start_id) {
        return;
    }
    let rounds = if suite.is_quick() { 100 } else { 500 };
    let (mut starts, mut ends) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    for _ in 0..rounds {
        let waits = [runtime.block_on(urgent_ours(pool)), urgent_threads(runtime)];
        for (at, (start, end)) in waits.into_iter().enumerate() {
            starts[at].push(start);
            ends[at].push(end);
        }
    }
    let peer = (0..3).map(|_| runtime.block_on(urgent_rayon(rayon))).fold(0.0, f64::max);
    for (id, times) in [(start_id, starts), (id, ends)] {
        let [ours, threads] = times.map(p99_ms);
        let figure = suite.figure(id, "ms").ours(&[ours]).peer("rayon", &[peer]);
        figure.peer("two bare threads", &[threads]).at_most_value(2.0).report();
    }
}

/// Until the job starts and until its caller goes on.
async fn urgent_ours(pool: &CpuPool) -> (Duration, Duration) {
    let mut backlog = VecDeque::new();
    for _ in 0..500 {
        backlog
            .push_back(pool.submit(Priority::Normal, spin_1_ms).await.expect("the pool is open"));
    }
    // Both threads are in the midst of it by then.
    for job in backlog.drain(..4) {
        job.await.expect("it does not panic");
    }
    let start = Instant::now();
    let urgent = pool.submit(Priority::Critical, Instant::now).await.expect("the pool is open");
    let started = urgent.await.expect("it does not panic");
    let (waited, took) = (started - start, start.elapsed());
    // The rest is cancelled, and two end: what is measured has been.
    backlog.clear();
    while pool.running() + pool.waiting() > 0 {
        thread::yield_now();
    }
    (waited, took)
}

/// As [`urgent_ours`], without a pool.
fn urgent_threads(runtime: &Runtime) -> (Duration, Duration) {
    let (sender, urgent) = mpsc::channel::<oneshot::Sender<Instant>>();
    let urgent = Mutex::new(urgent);
    let work = || loop {
        spin_1_ms();
        match urgent.lock().expect("nobody panics").try_recv() {
            Ok(reply) => _ = reply.send(Instant::now()),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => break,
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
        // Both are in the midst of it by then.
        thread::sleep(Duration::from_millis(2));
        let start = Instant::now();
        let (reply, started) = oneshot::channel();
        sender.send(reply).expect("the threads listen");
        let started = runtime.block_on(started).expect("a thread answers");
        let waits = (started - start, start.elapsed());
        drop(sender);
        waits
    })
}

async fn urgent_rayon(pool: &rayon::ThreadPool) -> f64 {
    let mut backlog = Vec::new();
    for _ in 0..500 {
        let (sender, done) = oneshot::channel();
        pool.spawn(move || {
            spin_1_ms();
            let _ = sender.send(());
        });
        backlog.push(done);
    }
    let start = Instant::now();
    let (sender, urgent) = oneshot::channel();
    pool.spawn(move || {
        let _ = sender.send(());
    });
    urgent.await.expect("it does not panic");
    let took = start.elapsed();
    join_all(backlog).await;
    took.as_secs_f64() * 1e3
}

fn spin_1_ms() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1) {
        std::hint::spin_loop();
    }
}

async fn fibs_ours(pool: &CpuPool) -> Duration {
    let start = Instant::now();
    let mut jobs = Vec::new();
    for _ in 0..16 {
        let job = pool.submit(Priority::Normal, || fib(black_box(32))).await;
        jobs.push(job.expect("the pool is open"));
    }
    for job in jobs {
        black_box(job.await.expect("it does not panic"));
    }
    start.elapsed()
}

fn fibs_threads() -> Duration {
    let start = Instant::now();
    let eight = || (0..8).map(|_| fib(black_box(32))).for_each(|n| _ = black_box(n));
    thread::scope(|scope| {
        scope.spawn(eight);
        scope.spawn(eight);
    });
    start.elapsed()
}

fn fibs_in_turn() -> Duration {
    let start = Instant::now();
    (0..16).map(|_| fib(black_box(32))).for_each(|n| _ = black_box(n));
    start.elapsed()
}

fn fib(n: u64) -> u64 {
    if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
}

/// 64 callers with items of their own, a thousand items a batch: at most 1,000 ns an item is a million items a second.
fn batches(suite: &mut Suite) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    let items = if suite.is_quick() { 64_000 } else { 640_000 };
    suite
        .group("pools/batcher/items")
        .ours(|n| {
            runtime.block_on(async {
                let builder =
                    Batcher::builder().max_items(1000).max_delay(Duration::from_millis(1));
                let batcher = builder.start(|batch: Vec<u64>| async move { batch });
                let start = Instant::now();
                let callers = (0..64).map(|_| batcher.all(0..n / 64));
                assert!(join_all(callers).await.iter().all(|all| all.iter().all(Result::is_ok)));
                start.elapsed()
            })
        })
        .operations(items)
        .at_most_ns(1000.0)
        .run();
    delay(suite, &runtime);
}

/// How long a lone item waits for others before its call is made; a bare sleep of that time beside it says what the runtime's
/// timer makes of it.
fn delay(suite: &mut Suite, runtime: &Runtime) {
    const DELAY: Duration = Duration::from_millis(5);
    let id = "pools/batcher/delay_5ms_p99";
    if !suite.wants(id) {
        return;
    }
    let rounds = if suite.is_quick() { 100 } else { 400 };
    let (delays, sleeps) = runtime.block_on(async {
        let builder = Batcher::builder().max_delay(DELAY);
        let batcher = builder.start(|batch: Vec<Instant>| async move {
            batch.into_iter().map(|came| came.elapsed()).collect()
        });
        let (mut delays, mut sleeps) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            delays.push(batcher.call(Instant::now()).await.expect("it is answered"));
            let start = Instant::now();
            tokio::time::sleep(DELAY).await;
            sleeps.push(start.elapsed());
        }
        (delays, sleeps)
    });
    let figure = suite.figure(id, "ms").ours(&[p99_ms(delays)]);
    figure.peer("tokio::time::sleep", &[p99_ms(sleeps)]).at_most_value(6.0).report();
}
