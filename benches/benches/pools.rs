//! The pools beside `spawn_blocking`, rayon with a oneshot channel, procspawn and, where it is installed, pebble.

#[path = "pools/cpu.rs"]
mod cpu;
#[cfg(target_os = "linux")]
#[path = "pools/process.rs"]
mod process;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tidegate_benches::Suite;
use tidegate_pools::{CpuPool, Priority};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

fn main() {
    #[cfg(target_os = "linux")]
    let host = process::become_worker();
    let mut suite = Suite::from_args("pools");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(2)
        .build()
        .expect("a runtime");
    let pool =
        CpuPool::builder().threads(2).queue(1 << 20).build().expect("threads can be started");
    let rayon =
        rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads can be started");

    suite
        .group("pools/cpu/empty_jobs")
        .ours(|n| ours(&runtime, &pool, n))
        .peer("spawn_blocking", |n| spawn_blocking(&runtime, n))
        .peer("rayon", |n| rayon_oneshot(&runtime, &rayon, n))
        .at_most_of("spawn_blocking", 0.8)
        .at_most_of("rayon", 1.0)
        .operations(100_000)
        .run();
    there_and_back(&mut suite, &runtime, &pool, &rayon);
    cpu::groups(&mut suite, &runtime, &pool, &rayon);
    #[cfg(target_os = "linux")]
    process::groups(&mut suite, &host);
    suite.finish();
}

/// One job there and back, the median of each round's trips: a mean would tell of the few that met another process.
///
/// Half of the rounds run beside threads that keep every processor awake and yield to all others; of the rest those count
/// in which processors fell asleep. The two differ by ten in what a wake-up costs, and each has its promise. Whoever adapts to
/// the one or the other does so in trips that do not count.
fn there_and_back(suite: &mut Suite, runtime: &Runtime, pool: &CpuPool, rayon: &rayon::ThreadPool) {
    let [quiet_id, busy_id] =
        ["quiet", "busy"].map(|what| format!("pools/cpu/there_and_back_p50/{what}"));
    if !suite.wants(&quiet_id) && !suite.wants(&busy_id) {
        return;
    }
    let (rounds, trips) = if suite.is_quick() { (18, 300) } else { (82, 2000) };
    let mut quiet = [const { Vec::new() }; 3];
    let mut busy = [const { Vec::new() }; 3];
    for round in 0..rounds {
        let load = (round % 2 == 1).then(Load::start);
        let mut figures = [0.0; 3];
        let mut asleep = is_quiet();
        for turn in 0..3 {
            let at = (round / 2 + turn) % 3;
            let trip = || match at {
                0 => ours(runtime, pool, 1),
                1 => spawn_blocking(runtime, 1),
                _ => rayon_oneshot(runtime, rayon, 1),
            };
            for _ in 0..trips / 2 {
                trip();
            }
            figures[at] = median((0..trips).map(|_| trip()).collect()).as_secs_f64() * 1e9;
        }
        asleep &= is_quiet();
        let rounds = match load {
            Some(_) => &mut busy,
            None if asleep => &mut quiet,
            None => continue,
        };
        rounds.iter_mut().zip(figures).for_each(|(all, figure)| all.push(figure));
    }
    let [ours, blocking, rayon] = busy;
    let busy = suite.figure(&busy_id, "ns").ours(&ours).peer("spawn_blocking", &blocking);
    busy.peer("rayon", &rayon).at_most_of("spawn_blocking", 1.1).report();
    let [ours, blocking, rayon] = quiet;
    if ours.len() < 3 {
        return suite.remark(&format!("{quiet_id}: not measured, the machine was not quiet"));
    }
    let quiet = suite.figure(&quiet_id, "ns").ours(&ours).peer("spawn_blocking", &blocking);
    quiet.peer("rayon", &rayon).at_most_of("rayon", 1.25).report();
}

/// A thread for each processor that computes when nobody else wants to.
struct Load {
    over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let threads = (0..tidegate_pools::processors())
            .map(|_| {
                let over = Arc::clone(&over);
                thread::spawn(move || {
                    #[cfg(target_os = "linux")]
                    rustix::process::nice(19).expect("lower is always allowed");
                    // ORDERING: Relaxed; it may end a little later.
                    while !over.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        Self { over, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // ORDERING: Relaxed; see `start`.
        self.over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().expect("it does not panic"));
    }
}

/// Whether a wake-up costs what it does where processors fall asleep: two of them over 10 µs, and else some two.
fn is_quiet() -> bool {
    const TRIPS: usize = 100;
    // Even turns are ours, odd ones the other's.
    let turn = Arc::new(AtomicUsize::new(0));
    let wait_for = |turn: &AtomicUsize, mine: usize| {
        // ORDERING: Acquire here and Release below; who parks sees the turn that it was woken for.
        while turn.load(Ordering::Acquire) != mine {
            thread::park();
        }
    };
    let (us, theirs) = (thread::current(), Arc::clone(&turn));
    let other = thread::spawn(move || {
        for trip in 0..TRIPS {
            wait_for(&theirs, 2 * trip + 1);
            theirs.store(2 * trip + 2, Ordering::Release);
            us.unpark();
        }
    });
    let trips = (0..TRIPS).map(|trip| {
        let start = Instant::now();
        turn.store(2 * trip + 1, Ordering::Release);
        other.thread().unpark();
        wait_for(&turn, 2 * trip + 2);
        start.elapsed()
    });
    let cost = median(trips.collect());
    other.join().expect("it does not panic");
    cost > Duration::from_micros(10)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// In milliseconds: so long, or less, for 99 of a hundred.
fn p99_ms(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[(times.len() * 99).div_ceil(100) - 1].as_secs_f64() * 1e3
}

fn ours(runtime: &Runtime, pool: &CpuPool, n: u64) -> Duration {
    runtime.block_on(async {
        let start = Instant::now();
        let mut jobs = Vec::with_capacity(n as usize);
        for at in 0..n {
            jobs.push(
                pool.submit(Priority::Normal, move || black_box(at))
                    .await
                    .expect("the pool is open"),
            );
        }
        for job in jobs {
            black_box(job.await.expect("it does not panic"));
        }
        start.elapsed()
    })
}

fn spawn_blocking(runtime: &Runtime, n: u64) -> Duration {
    runtime.block_on(async {
        let start = Instant::now();
        let mut jobs = Vec::with_capacity(n as usize);
        for at in 0..n {
            jobs.push(tokio::task::spawn_blocking(move || black_box(at)));
        }
        for job in jobs {
            black_box(job.await.expect("it does not panic"));
        }
        start.elapsed()
    })
}

fn rayon_oneshot(runtime: &Runtime, pool: &rayon::ThreadPool, n: u64) -> Duration {
    runtime.block_on(async {
        let start = Instant::now();
        let mut jobs = Vec::with_capacity(n as usize);
        for at in 0..n {
            let (sender, receiver) = oneshot::channel();
            pool.spawn(move || {
                let _ = sender.send(black_box(at));
            });
            jobs.push(receiver);
        }
        for job in jobs {
            black_box(job.await.expect("it does not panic"));
        }
        start.elapsed()
    })
}
