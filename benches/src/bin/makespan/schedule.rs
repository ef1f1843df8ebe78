//! One instance under one rule, by the orchestrator itself in virtual time.

use std::collections::HashMap;
use std::time::Duration;

use tidegate_workflow::{Facts, Graph, Orchestrator, Task, TaskError};

use crate::instance::Instance;
use crate::rule::{Lot, Rule};

/// How long the run took, in virtual seconds.
pub(crate) fn makespan(instance: &Instance, rule: Rule, seed: u64) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let graph = graph(instance, rule, seed);
    runtime.block_on(async {
        let mut builder = Orchestrator::builder().limit(instance.processors);
        for (at, capacity) in instance.capacities.iter().enumerate() {
            builder = builder.resource(resource(at), *capacity);
        }
        if rule == Rule::Fifo {
            builder = builder.prioritizer(|_: &Facts| 0.0);
        }
        let orchestrator = builder.build().expect("the settings are sound");
        let finished = orchestrator.run(graph).await.expect("it runs");
        assert!(finished.is_success(), "sleeping cannot fail");
        assert!(finished.report().peak <= instance.processors, "the limit holds");
        finished.report().makespan.as_secs_f64()
    })
}

fn graph(instance: &Instance, rule: Rule, seed: u64) -> Graph {
    let mut lot = Lot(seed);
    let mut dependents = vec![0.0; instance.tasks.len()];
    let mut by_kind: HashMap<&str, (f64, f64)> = HashMap::new();
    for task in instance.tasks.iter() {
        task.needs.iter().for_each(|need| dependents[*need] += 1.0);
        let sum = by_kind.entry(&task.kind).or_default();
        *sum = (sum.0 + task.seconds, sum.1 + 1.0);
    }
    let mut graph = Graph::new();
    for (at, node) in instance.tasks.iter().enumerate() {
        let length = Duration::from_secs_f64(node.seconds);
        let (total, count) = by_kind[node.kind.as_str()];
        let estimate = match rule {
            Rule::CriticalPath => node.seconds,
            Rule::Noisy => node.seconds * lot.log_normal(0.5),
            Rule::ByName => total / count,
            Rule::Fifo | Rule::Weighted | Rule::Random => 0.0,
        };
        let priority = match rule {
            // In thousandths, since priorities are whole numbers.
            Rule::Weighted => {
                let score = 0.3 + 0.2 / node.seconds.max(0.1) + 0.3 * dependents[at] + 0.2;
                (score * 1000.0) as i32
            }
            Rule::Random => (lot.next() >> 33) as i32,
            Rule::CriticalPath | Rule::Noisy | Rule::ByName | Rule::Fifo => 0,
        };
        let work = move |_| async move {
            tokio::time::sleep(length).await;
            Ok::<(), TaskError>(())
        };
        let mut task = Task::new(at.to_string(), work)
            .needs(node.needs.iter().map(|need| need.to_string()))
            .estimate(Duration::from_secs_f64(estimate))
            .priority(priority);
        for (of, demand) in node.demands.iter().enumerate().filter(|(_, demand)| **demand > 0) {
            task = task.uses(resource(of), *demand);
        }
        graph.add(task).expect("the instance has no cycle");
    }
    graph
}

fn resource(at: usize) -> String {
    format!("R{}", at + 1)
}
