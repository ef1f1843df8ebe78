//! The same graph, built and run by each contender. A task's value is 1 more than the sum of what it needs, so that each
//! hands data on; wrapping, since sums double.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dagrs::{
    Action, Content, DefaultNode, EnvVar, InChannels, Node as _, NodeTable, OutChannels, Output,
};
use dagx::{DagRunner, TaskHandle, task_fn};
use tidegate_workflow::{Context, Graph, Orchestrator, Retry, Task, TaskError};
use tokio::task::JoinSet;

use crate::shapes::Shape;
use crate::timed;

/// Ours with everything on.
pub(crate) async fn ours_run(shape: Shape) -> Duration {
    timed(async move {
        let mut builder = Orchestrator::builder().limit(64);
        let agents: Vec<Arc<str>> = (0..16).map(|at| Arc::from(format!("agent-{at}"))).collect();
        for agent in &agents {
            builder = builder.agent(Arc::clone(agent), 16);
        }
        let orchestrator = builder.build().expect("the settings are sound");
        let mut events = orchestrator.events();
        let reader = tokio::spawn(async move { while events.next().await.is_some() {} });
        let finished = orchestrator.run(graph(&shape, &agents)).await.expect("it runs");
        assert!(finished.is_success());
        drop(orchestrator);
        reader.abort();
    })
    .await
}

pub(crate) fn graph(shape: &Shape, agents: &[Arc<str>]) -> Graph {
    let ids: Vec<Arc<str>> =
        (0..shape.needs.len()).map(|at| Arc::from(format!("task-{at}"))).collect();
    let mut graph = Graph::new();
    for (at, needs) in shape.needs.iter().enumerate() {
        let inputs: Vec<Arc<str>> =
            needs.iter().map(|need| Arc::clone(&ids[*need as usize])).collect();
        let task = Task::new(Arc::clone(&ids[at]), |cx: Context| {
            let sum = cx.inputs::<u64>().map(|value| value.map(|value| *value));
            let sum = sum.sum::<Result<u64, _>>();
            std::future::ready(sum.map(|sum| (sum + 1) & 0xffff).map_err(TaskError::from))
        })
        .needs(inputs)
        .agent(Arc::clone(&agents[at % agents.len()]))
        .priority(i32::try_from(at % 3).expect("small"))
        .timeout(Duration::from_secs(60))
        .retry(Retry::attempts(3));
        graph.add(task).expect("ids differ and no cycle closes");
    }
    graph
}

/// What a user writes by hand: counts, dependents, a task for each that is ready.
pub(crate) async fn join_set_run(shape: Shape) -> Duration {
    timed(async move {
        let dependents = shape.dependents();
        let mut missing: Vec<usize> = shape.needs.iter().map(Vec::len).collect();
        let mut values: Vec<u64> = vec![0; shape.needs.len()];
        let mut set = JoinSet::new();
        for at in (0..shape.needs.len()).filter(|at| missing[*at] == 0) {
            set.spawn(async move { (at, 1) });
        }
        while let Some(done) = set.join_next().await {
            let (at, value) = done.expect("no panic");
            values[at] = value;
            for dependent in &dependents[at] {
                let next = *dependent as usize;
                missing[next] -= 1;
                if missing[next] == 0 {
                    let sum: u64 =
                        shape.needs[next].iter().map(|need| values[*need as usize]).sum();
                    set.spawn(async move { (next, (sum + 1) & 0xffff) });
                }
            }
        }
        assert!(values.iter().all(|value| *value > 0 || shape.needs.len() > 0xffff));
    })
    .await
}

struct Sum;

#[async_trait]
impl Action for Sum {
    async fn run(
        &self,
        inputs: &mut InChannels,
        outputs: &mut OutChannels,
        _: Arc<EnvVar>,
    ) -> Output {
        let value = |content: Result<Content, _>| content.ok().and_then(Content::into_inner::<u64>);
        let inputs = inputs.map(value).await;
        let sum: u64 = inputs.into_iter().flatten().map(|value| *value).sum();
        outputs.broadcast(Content::new((sum + 1) & 0xffff)).await;
        Output::empty()
    }
}

pub(crate) async fn dagrs_run(shape: Shape) -> Duration {
    timed(async move {
        let mut table = NodeTable::default();
        let mut graph = dagrs::Graph::new();
        let mut ids = Vec::with_capacity(shape.needs.len());
        for at in 0..shape.needs.len() {
            let node = DefaultNode::with_action(format!("task-{at}"), Sum, &mut table);
            ids.push(node.id());
            graph.add_node(node).expect("names differ");
        }
        for (at, dependents) in shape.dependents().into_iter().enumerate() {
            if !dependents.is_empty() {
                let to = dependents.into_iter().map(|to| ids[to as usize]).collect::<Vec<_>>();
                graph.add_edge(ids[at], to).expect("both ends are there");
            }
        }
        graph.set_env(EnvVar::new(table));
        graph.async_start().await.expect("it runs");
    })
    .await
}

pub(crate) async fn dagx_run(shape: Shape) -> Duration {
    timed(async move {
        let dag = DagRunner::new();
        let mut handles: Vec<TaskHandle<u64>> = Vec::with_capacity(shape.needs.len());
        for needs in &shape.needs {
            let of = |at: usize| &handles[needs[at] as usize];
            let handle = match needs.len() {
                0 => dag.add_task(task_fn(|(): ()| async { 1_u64 })).into(),
                1 => dag
                    .add_task(task_fn(|a: u64| async move { (a + 1) & 0xffff }))
                    .depends_on(of(0)),
                _ => dag
                    .add_task(task_fn(|(a, b, c): (u64, u64, u64)| async move {
                        (a + b + c + 1) & 0xffff
                    }))
                    .depends_on((of(0), of(1), of(2))),
            };
            handles.push(handle);
        }
        dag.run(|task| drop(tokio::spawn(task))).await.expect("it runs");
    })
    .await
}

pub(crate) async fn async_dag_run(shape: Shape) -> Duration {
    async fn one() -> u64 {
        1
    }
    async fn next(a: u64) -> u64 {
        (a + 1) & 0xffff
    }
    async fn sum(a: u64, b: u64, c: u64) -> u64 {
        (a + b + c + 1) & 0xffff
    }
    timed(async move {
        let mut graph = async_dag::Graph::new();
        let mut nodes = Vec::with_capacity(shape.needs.len());
        for needs in &shape.needs {
            let of = |at: usize| nodes[needs[at] as usize];
            let node = match needs.len() {
                0 => graph.add_task(one),
                1 => graph.add_child_task(of(0), next, 0).expect("types match"),
                _ => {
                    let node = graph.add_child_task(of(0), sum, 0).expect("types match");
                    for at in 1..3 {
                        let index = u8::try_from(at).expect("small");
                        graph.update_dependency(of(at), node, index).expect("types match");
                    }
                    node
                }
            };
            nodes.push(node);
        }
        graph.run().await;
    })
    .await
}
