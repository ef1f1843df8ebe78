//! Tasks that wait instead of computing, as calls to an agent do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_workflow::{Graph, Orchestrator, Task, TaskError};
use tokio::task::JoinSet;

/// How many wait at once.
pub(crate) const IN_FLIGHT: usize = 256;
/// How long each waits.
pub(crate) const SLEEP: Duration = Duration::from_millis(1);

/// The ideal on this runtime's timer, which rounds a wait up: as many loops as may be in flight, that hand nothing over.
pub(crate) async fn ideal(each: usize) -> Duration {
    let start = Instant::now();
    let mut loops = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        loops.spawn(async move {
            for _ in 0..each {
                tokio::time::sleep(SLEEP).await;
            }
        });
    }
    loops.join_all().await;
    start.elapsed()
}

/// Ours: a graph of independent tasks under a limit.
pub(crate) async fn ours(each: usize) -> Duration {
    let orchestrator =
        Orchestrator::builder().limit(IN_FLIGHT).build().expect("the settings are sound");
    let start = Instant::now();
    let mut graph = Graph::new();
    for at in 0..IN_FLIGHT * each {
        let work = async |_| {
            tokio::time::sleep(SLEEP).await;
            Ok::<(), TaskError>(())
        };
        graph.add(Task::new(format!("task-{at}"), work)).expect("ids differ");
    }
    let finished = orchestrator.run(graph).await.expect("it runs");
    assert!(finished.is_success());
    let took = start.elapsed();
    assert_eq!(finished.report().peak, IN_FLIGHT, "the limit is used and holds");
    took
}

/// By hand: a `JoinSet`, and the next task for each that ended.
pub(crate) async fn join_set(each: usize) -> Duration {
    let start = Instant::now();
    let mut set = JoinSet::new();
    let mut left = (IN_FLIGHT * each).saturating_sub(IN_FLIGHT);
    let name: Arc<str> = Arc::from("task");
    let work = |name: Arc<str>| async move {
        tokio::time::sleep(SLEEP).await;
        name
    };
    for _ in 0..IN_FLIGHT {
        set.spawn(work(Arc::clone(&name)));
    }
    while let Some(done) = set.join_next().await {
        let name = done.expect("waiting does not panic");
        if left > 0 {
            left -= 1;
            set.spawn(work(name));
        }
    }
    start.elapsed()
}
