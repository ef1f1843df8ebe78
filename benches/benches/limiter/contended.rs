//! More tasks than permits, each: acquire, yield, release.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_benches::Suite;
use tokio::runtime::{Builder, Runtime};

use crate::peer::Peer;

const LIMIT: usize = 8;
const ROUND: Duration = Duration::from_millis(100);

pub(crate) fn measure(suite: &mut Suite) {
    for (workers, promise) in [(2, 0.87), (1, 0.91)] {
        for tasks in [64, 1024] {
            let name = if workers == 1 { "one-worker" } else { "contended" };
            let runtime = &runtime(workers);
            suite
                .group(&format!("limiter/{name}/{tasks}"))
                .ours(hand_over::<tidegate_limiter::Semaphore>(runtime, tasks))
                .peer("tokio", hand_over::<tokio::sync::Semaphore>(runtime, tasks))
                .peer("asyncband", hand_over::<asyncband::semaphore::Semaphore>(runtime, tasks))
                .peer("async-lock", hand_over::<async_lock::Semaphore>(runtime, tasks))
                .at_most_of("tokio", promise)
                .rounds_of(ROUND)
                .run();
        }
    }
}

pub(crate) fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).build().expect("a runtime")
}

fn hand_over<P: Peer>(runtime: &Runtime, tasks: u64) -> impl FnMut(u64) -> Duration + '_ {
    move |n| {
        let each = n.div_ceil(tasks);
        let semaphore = Arc::new(P::new(LIMIT));
        let took = runtime.block_on(async {
            let start = Instant::now();
            let tasks = (0..tasks).map(|_| {
                let semaphore = Arc::clone(&semaphore);
                tokio::spawn(async move {
                    for _ in 0..each {
                        let permit = semaphore.acquire().await;
                        tokio::task::yield_now().await;
                        drop(permit);
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.expect("the task does not panic");
            }
            start.elapsed()
        });
        took.mul_f64(n as f64 / (each * tasks) as f64)
    }
}
