//! Who gets how much: Jain's index over the tasks, and how many others pass while one waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tidegate_benches::Suite;

use crate::contended::runtime;
use crate::peer::Peer;

const LIMIT: u64 = 8;

/// What one run shows.
struct Fairness {
    /// One minus Jain's index: 0 when all tasks got the same.
    unfairness: f64,
    overtakes_p999: f64,
}

/// A worker that the machine pauses leaves its tasks behind, whoever's semaphore it is: of so many runs the median counts.
const RUNS: usize = 5;

/// The same of one contender's runs.
#[derive(Default)]
struct Runs {
    unfairness: Vec<f64>,
    overtakes_p999: Vec<f64>,
}

impl Runs {
    fn take(&mut self, run: Fairness) {
        self.unfairness.push(run.unfairness);
        self.overtakes_p999.push(run.overtakes_p999);
    }
}

pub(crate) fn measure(suite: &mut Suite) {
    for tasks in [64, 1024] {
        let (unfair, passed) =
            (format!("limiter/unfairness/{tasks}"), format!("limiter/overtakes/{tasks}"));
        if !suite.wants(&unfair) && !suite.wants(&passed) {
            continue;
        }
        let time = Duration::from_millis(if suite.is_quick() { 200 } else { 1000 });
        let (mut ours, mut tokio, mut asyncband, mut async_lock) =
            <(Runs, Runs, Runs, Runs)>::default();
        for _ in 0..RUNS {
            ours.take(run::<tidegate_limiter::Semaphore>(tasks, time));
            tokio.take(run::<tokio::sync::Semaphore>(tasks, time));
            asyncband.take(run::<asyncband::semaphore::Semaphore>(tasks, time));
            async_lock.take(run::<async_lock::Semaphore>(tasks, time));
        }
        suite
            .figure(&unfair, "1-Jain")
            .ours(&ours.unfairness)
            .peer("tokio", &tokio.unfairness)
            .peer("asyncband", &asyncband.unfairness)
            .peer("async-lock", &async_lock.unfairness)
            .at_most_value(0.005)
            .report();
        suite
            .figure(&passed, "p99.9")
            .ours(&ours.overtakes_p999)
            .peer("tokio", &tokio.overtakes_p999)
            .peer("asyncband", &asyncband.overtakes_p999)
            .peer("async-lock", &async_lock.overtakes_p999)
            .at_most_value((tasks + LIMIT) as f64)
            .report();
    }
}

fn run<P: Peer>(tasks: u64, time: Duration) -> Fairness {
    let runtime = runtime(2);
    let semaphore = Arc::new(P::new(LIMIT as usize));
    let (granted, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let counts: Vec<(u64, Vec<u64>)> = runtime.block_on(async {
        let tasks = (0..tasks).map(|_| {
            let (semaphore, granted, stop) = (semaphore.clone(), granted.clone(), stop.clone());
            tokio::spawn(async move {
                let (mut mine, mut overtakes) = (0, Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    let asked = granted.load(Ordering::Relaxed);
                    let permit = semaphore.acquire().await;
                    overtakes.push(granted.fetch_add(1, Ordering::Relaxed) - asked);
                    mine += 1;
                    tokio::task::yield_now().await;
                    drop(permit);
                }
                (mine, overtakes)
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let stop = stop.clone();
        std::thread::spawn(move || {
            std::thread::sleep(time);
            stop.store(true, Ordering::Relaxed);
        });
        let mut counts = Vec::new();
        for task in tasks {
            counts.push(task.await.expect("the task does not panic"));
        }
        counts
    });
    let shares: Vec<f64> = counts.iter().map(|(mine, _)| *mine as f64).collect();
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    let mut overtakes: Vec<u64> = counts.into_iter().flat_map(|(_, waits)| waits).collect();
    overtakes.sort_unstable();
    Fairness {
        unfairness: 1.0 - sum * sum / (shares.len() as f64 * squares),
        overtakes_p999: overtakes[overtakes.len() * 999 / 1000] as f64,
    }
}
