//! Many small items, each a call that waits, through one agent.

use std::time::{Duration, Instant};

use tidegate_workflow::{Graph, Orchestrator, Task, TaskError};
use tokio::runtime::Runtime;

use super::{Claim, median, millis};

const ITEMS: usize = 400;
const CALL: Duration = Duration::from_millis(3);
/// How many the agent bears at once.
const AT_ONCE: usize = 8;

pub(crate) fn measure(runtime: &Runtime, rounds: usize) -> Vec<Claim> {
    let rate = |took: Duration| ITEMS as f64 / took.as_secs_f64();
    let (mut alone, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(rate(runtime.block_on(sequential())));
        ours.push(rate(runtime.block_on(orchestrated())));
    }
    // A timer that is due in 3 ms rings up to 1 ms later; what one by one reaches says how late it was here.
    let alone = median(alone);
    vec![Claim {
        id: "K8",
        what: "items a second, a call of 3 ms each, eight at once",
        unit: "/s",
        claimed: 314.0,
        sequential: alone,
        ours: median(ours),
        ideal: AT_ONCE as f64 * alone.max(1.0 / (CALL + millis(1)).as_secs_f64()),
        less: false,
    }]
}

async fn sequential() -> Duration {
    let start = Instant::now();
    for _ in 0..ITEMS {
        tokio::time::sleep(CALL).await;
    }
    start.elapsed()
}

async fn orchestrated() -> Duration {
    let orchestrator = Orchestrator::builder().limit(64).agent("service", AT_ONCE).build();
    let orchestrator = orchestrator.expect("it is sound");
    let start = Instant::now();
    let mut graph = Graph::new();
    for at in 0..ITEMS {
        let call = async |_| {
            tokio::time::sleep(CALL).await;
            Ok::<(), TaskError>(())
        };
        graph.add(Task::new(format!("item {at}"), call).agent("service")).expect("ids differ");
    }
    let finished = orchestrator.run(graph).await.expect("it starts");
    assert!(finished.is_success() && finished.report().peak <= AT_ONCE);
    start.elapsed()
}
