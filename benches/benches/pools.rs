//! The pools beside `spawn_blocking`, rayon with a oneshot channel, procspawn and (with `--pebble`) pebble.

#[path = "pools/cpu.rs"]
mod cpu;
#[cfg(target_os = "linux")]
#[path = "pools/process.rs"]
mod process;

use std::hint::black_box;
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
    let jobs = if suite.is_quick() { 10_000 } else { 100_000 };

    suite
        .group("pools/cpu/empty_jobs")
        .ours(|n| ours(&runtime, &pool, n))
        .peer("spawn_blocking", |n| spawn_blocking(&runtime, n))
        .peer("rayon", |n| rayon_oneshot(&runtime, &rayon, n))
        .at_most_of("spawn_blocking", 0.8)
        .at_most_of("rayon", 1.0)
        .operations(jobs)
        .run();
    there_and_back(&mut suite, &runtime, &pool, &rayon);
    cpu::groups(&mut suite, &runtime, &pool, &rayon);
    #[cfg(target_os = "linux")]
    process::groups(&mut suite, &host);
    suite.finish();
}

/// One job there and back, the median of each round's trips: a mean would tell of the few that met another process.
fn there_and_back(suite: &mut Suite, runtime: &Runtime, pool: &CpuPool, rayon: &rayon::ThreadPool) {
    let id = "pools/cpu/there_and_back_p50";
    if !suite.wants(id) {
        return;
    }
    let (rounds, trips) = if suite.is_quick() { (9, 500) } else { (41, 2000) };
    let mut p50 = [const { Vec::new() }; 3];
    for round in 0..rounds {
        for turn in 0..3 {
            let at = (round + turn) % 3;
            let trip = || match at {
                0 => ours(runtime, pool, 1),
                1 => spawn_blocking(runtime, 1),
                _ => rayon_oneshot(runtime, rayon, 1),
            };
            let mut took: Vec<Duration> = (0..trips).map(|_| trip()).collect();
            took.sort();
            p50[at].push(took[trips / 2].as_secs_f64() * 1e9);
        }
    }
    let [ours, blocking, rayon] = p50;
    suite
        .figure(id, "ns")
        .ours(&ours)
        .peer("spawn_blocking", &blocking)
        .peer("rayon", &rayon)
        .at_most_of("spawn_blocking", 1.1)
        .at_most_of("rayon", 1.25)
        .report();
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
