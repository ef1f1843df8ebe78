//! A recording driven through the scheduler's own machine.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::{Recording, Replayed, Settings, Used};
use crate::machine::{
    Action, Attempt, ClassId, Machine, Need, NodeSpec, On, Policy, Run, RunId, TaskRef, TenantId,
};
use crate::retry::Retry;

const RUN: RunId = RunId(0);

/// What a task is in the replay.
struct Part {
    agent: Arc<str>,
    class: ClassId,
    took: Duration,
}

pub(super) fn replay(recording: &Recording, settings: &Settings) -> Replayed {
    let mut machine = Machine::new(settings.limit);
    let parts = parts(recording, settings, &mut machine);
    let mut replayed = Replayed { slots: settings.limit, ..Replayed::default() };
    for part in &parts {
        let used: &mut Used = replayed.agents.entry(Arc::clone(&part.agent)).or_default();
        used.limit = settings.agents.get(&part.agent).copied();
        used.busy = used.busy.saturating_add(part.took);
        replayed.busy = replayed.busy.saturating_add(part.took);
    }
    let mut out = Vec::new();
    let mut now = Duration::ZERO;
    machine.submit(RUN, run(recording, settings, &parts), None, now, &mut out);
    let mut ready: HashMap<u32, Duration> = HashMap::new();
    let mut running: BinaryHeap<Reverse<(Duration, u32)>> = BinaryHeap::new();
    loop {
        machine.admit(now, &mut out);
        for action in out.drain(..) {
            match action {
                Action::Ready { task } => drop(ready.insert(task.node, now)),
                Action::Start { task, .. } => {
                    // What needs nobody is ready from the start.
                    let waited = now - ready.remove(&task.node).unwrap_or_default();
                    replayed.waited = replayed.waited.saturating_add(waited);
                    let end = now.saturating_add(parts[task.node as usize].took);
                    running.push(Reverse((end, task.node)));
                    replayed.peak = replayed.peak.max(running.len());
                }
                Action::RunDone { .. } => {
                    replayed.makespan = now;
                    return replayed;
                }
                _ => {}
            }
        }
        let due = machine.next_due();
        match running.peek() {
            Some(Reverse((end, node))) if due.is_none_or(|due| *end <= due) => {
                let task = TaskRef { run: RUN, node: *node };
                now = *end;
                running.pop();
                let took = parts[task.node as usize].took;
                machine.ended(task, Attempt::Succeeded, took, now, &mut out);
            }
            _ => {
                now = due.expect("what does not run waits for time").max(now);
                machine.tick(now, &mut out);
            }
        }
    }
}

fn parts(recording: &Recording, settings: &Settings, machine: &mut Machine) -> Vec<Part> {
    let mut classes: BTreeMap<Arc<str>, ClassId> = BTreeMap::new();
    let part = |task| {
        let agent = settings.assign.as_ref().map(|assign| assign(task));
        let agent = agent.unwrap_or_else(|| Arc::clone(&task.agent));
        let class = *classes.entry(Arc::clone(&agent)).or_insert_with(|| {
            let limit = settings.agents.get(&agent).copied().unwrap_or(usize::MAX);
            let id = machine.add_agent(limit);
            machine.set_rate(id, settings.per_minute.get(&agent).copied());
            machine.add_class(TenantId::DEFAULT, id, Box::default())
        });
        let speed = settings.speed.get(&agent).copied().unwrap_or(1.0);
        let took = Duration::try_from_secs_f64(task.busy.as_secs_f64() / speed);
        // Dividing by 1 would round.
        let took = if speed == 1.0 { task.busy } else { took.unwrap_or(Duration::MAX) };
        Part { agent, class, took }
    };
    recording.tasks.iter().map(part).collect()
}

fn run(recording: &Recording, settings: &Settings, parts: &[Part]) -> Run {
    let mut run = Run::new(false, None);
    let order = in_order(recording);
    for ((at, task), part) in recording.tasks.iter().enumerate().zip(parts) {
        // A recording may come from a file: what would close a cycle is passed over.
        let needs =
            task.needs.iter().filter(|need| order.get(**need).is_some_and(|of| *of < order[at]));
        let needs = needs.filter_map(|need| u32::try_from(*need).ok());
        run.push(NodeSpec {
            needs: needs.map(|task| Need { task, on: On::End }).collect(),
            class: part.class,
            priority: settings.priority.as_ref().map_or(task.priority, |of| of(task)),
            estimate: part.took.as_secs_f32(),
            complexity: 1.0,
            cost: 0,
            policy: Policy { timeout: None, retry: Retry::NEVER },
            past: None,
        });
    }
    run
}

/// Of each task its place in an order in which what it needs comes before it, as far as there is one.
fn in_order(recording: &Recording) -> Vec<usize> {
    let count = recording.tasks.len();
    let mut missing = vec![0; count];
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (at, task) in recording.tasks.iter().enumerate() {
        for need in task.needs.iter().filter(|need| **need < count) {
            missing[at] += 1;
            dependents[*need].push(at);
        }
    }
    let mut order: Vec<usize> = (0..count).filter(|at| missing[*at] == 0).collect();
    let mut next = 0;
    let mut place = vec![usize::MAX; count];
    while let Some(at) = order.get(next).copied() {
        place[at] = next;
        next += 1;
        for dependent in &dependents[at] {
            missing[*dependent] -= 1;
            if missing[*dependent] == 0 {
                order.push(*dependent);
            }
        }
    }
    place
}
