//! Computations: one thread, our CPU pool behind the orchestrator, bare threads.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tidegate_workflow::pools::{Kind, Priority, processors};
use tidegate_workflow::{Graph, Orchestrator};
use tokio::runtime::Runtime;

use super::{Claim, median};

const TASKS: usize = 16;
const N: u32 = 30;

/// The slow way on purpose: it is the work of the claim.
pub(crate) fn fibonacci(n: u32) -> u64 {
    if black_box(n) < 2 { u64::from(n) } else { fibonacci(n - 1) + fibonacci(n - 2) }
}

/// How much sooner the same computations end on all cores.
pub(crate) fn measure(runtime: &Runtime, rounds: usize) -> Vec<Claim> {
    let (mut ours, mut ideal) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let alone = sequential().as_secs_f64();
        ours.push(alone / runtime.block_on(orchestrated()).as_secs_f64());
        ideal.push(alone / bare_threads().as_secs_f64());
    }
    vec![Claim {
        id: "K8",
        what: "speed-up of computations on all cores",
        unit: "x",
        claimed: 1.76,
        sequential: 1.0,
        ours: median(ours),
        ideal: median(ideal),
        less: false,
    }]
}

fn sequential() -> Duration {
    let start = Instant::now();
    (0..TASKS).for_each(|_| {
        black_box(fibonacci(N));
    });
    start.elapsed()
}

async fn orchestrated() -> Duration {
    let orchestrator = Orchestrator::builder().limit(TASKS).build().expect("it is sound");
    let start = Instant::now();
    let mut graph = Graph::new();
    for at in 0..TASKS {
        let work = |()| Ok(fibonacci(N));
        let task = graph.task(format!("fibonacci {at}"));
        task.offload(Kind::Cpu(Priority::Normal), work).expect("ids differ");
    }
    assert!(orchestrator.run(graph).await.expect("it starts").is_success());
    start.elapsed()
}

fn bare_threads() -> Duration {
    let threads = processors();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for at in 0..threads {
            scope.spawn(move || {
                (at..TASKS).step_by(threads).for_each(|_| {
                    black_box(fibonacci(N));
                });
            });
        }
    });
    start.elapsed()
}
