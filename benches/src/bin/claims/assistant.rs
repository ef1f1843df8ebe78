//! Eight tasks of an assistant that need each other: calls that wait, and two that compute.

use std::time::{Duration, Instant};

use tidegate_workflow::pools::{Kind, Priority};
use tidegate_workflow::{Graph, Orchestrator, Task, TaskError};
use tokio::runtime::Runtime;

use super::compute::fibonacci;
use super::{Claim, median, millis};

/// Id, what it needs, how long it waits in milliseconds; none: it computes.
const TASKS: [(&str, &[&str], Option<u64>); 8] = [
    ("understand", &[], Some(180)),
    ("recall", &[], Some(220)),
    ("search the web", &[], Some(300)),
    ("search the files", &[], Some(240)),
    ("rank", &["recall", "search the web", "search the files"], None),
    ("summarise", &["understand", "rank"], Some(260)),
    ("check the facts", &["understand"], Some(200)),
    ("format", &["check the facts"], None),
];

/// Tasks at once: half as many as there are.
const LIMIT: usize = 4;

pub(crate) fn measure(runtime: &Runtime, rounds: usize) -> Vec<Claim> {
    let (mut alone, mut ours, mut faster) = (Vec::new(), Vec::new(), Vec::new());
    let mut ideal = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        compute();
        let computing = start.elapsed().as_secs_f64();
        let one_by_one = runtime.block_on(sequential()).as_secs_f64();
        let took = runtime.block_on(orchestrated()).as_secs_f64();
        alone.push(one_by_one);
        ours.push(took);
        faster.push(100.0 * (1.0 - took / one_by_one));
        // The longest chain: the search, the ranking, the summary.
        ideal.push(0.3 + computing + 0.26);
    }
    let (alone, ideal) = (median(alone), median(ideal));
    vec![
        Claim {
            id: "P9",
            what: "eight typical tasks that need each other, until all are done",
            unit: " s",
            claimed: 0.8,
            sequential: alone,
            ours: median(ours),
            ideal,
            less: true,
        },
        Claim {
            id: "P9",
            what: "the same: how much faster than one after another",
            unit: " %",
            claimed: 48.1,
            sequential: 0.0,
            ours: median(faster),
            ideal: 100.0 * (1.0 - ideal / alone),
            less: false,
        },
    ]
}

fn compute() {
    assert_eq!(fibonacci(31), 1_346_269);
}

async fn sequential() -> Duration {
    let start = Instant::now();
    for (_, _, waits) in TASKS {
        match waits {
            Some(ms) => tokio::time::sleep(millis(ms)).await,
            None => compute(),
        }
    }
    start.elapsed()
}

async fn orchestrated() -> Duration {
    let orchestrator = Orchestrator::builder().limit(LIMIT).build().expect("it is sound");
    let start = Instant::now();
    let mut graph = Graph::new();
    for (id, needs, waits) in TASKS {
        let task = match waits {
            Some(ms) => Task::new(id, move |_| async move {
                tokio::time::sleep(millis(ms)).await;
                Ok::<(), TaskError>(())
            }),
            None => Task::offloaded(id, Kind::Cpu(Priority::Normal), |_| {
                compute();
                Ok::<(), TaskError>(())
            }),
        };
        graph.add(task.needs(needs.iter().copied())).expect("no cycle");
    }
    assert!(orchestrator.run(graph).await.expect("it starts").is_success());
    start.elapsed()
}
