use std::collections::HashMap;

use super::*;
use crate::journal::Record;
use crate::task::{Task, TaskError};

fn task(id: &str) -> Task {
    Task::new(id, async |_| Ok::<_, TaskError>(()))
}

/// What is known of a run in which `by` has put a plan: the names of a task and of what it needs, one behind the other.
fn planned(plan: &[u8]) -> Ledger {
    let (id, needs) = (Arc::from("by"), Vec::new());
    let added = Record::TaskAdded { task: 0, id, needs, version: 0, live: false };
    Ledger::of([added, Record::Planned { by: Some(0), plan: plan.to_vec() }])
}

/// A graph of `by`, which puts in what its plan says, before `after`.
fn graph() -> Graph {
    let grow = |plan: &[u8]| {
        let names = String::from_utf8(plan.to_vec()).map_err(|error| error.to_string())?;
        let (new, need) = names.split_once(' ').ok_or("no plan")?;
        let made = task(new).needs([need]);
        let made = if new == "dear" { made.uses("disk", 3) } else { made };
        Ok(vec![Grown { task: made, before: vec!["after".into()] }])
    };
    let mut graph = Graph::new();
    graph.add(task("by").grows(grow)).expect("it is new");
    graph.add(task("after").needs(["by"])).expect("it is new");
    graph
}

fn grown(plan: &str) -> Result<(Graph, Vec<(u32, u32)>), StartError> {
    let (mut graph, link) = (graph(), Link::new(HashMap::new(), None));
    let arrows = regrow(&mut graph, &planned(plan.as_bytes()), &link)?;
    Ok((graph, arrows))
}

#[test]
fn what_was_put_in_is_there_again_before_what_it_was_to_precede() {
    let (graph, arrows) = grown("new by").expect("it fits");
    assert_eq!((graph.parts.place_of("new"), arrows), (Some(2), vec![(2, 1)]));
    assert_eq!(graph.parts.plans, [(Arc::from("by"), b"new by".to_vec())]);
}

#[test]
fn what_was_put_in_and_needs_a_task_that_is_gone_keeps_the_run_from_starting() {
    let Err(StartError::Unresolved(missing)) = grown("new gone") else { panic!("it is refused") };
    let texts: Vec<String> = missing.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 1);
    assert!(texts[0].contains("`gone`") && texts[0].contains("`new`"), "{texts:?}");
}

#[test]
fn what_was_put_in_and_wants_more_than_there_is_keeps_the_run_from_starting() {
    let Err(StartError::TooMuch(why)) = grown("dear by") else { panic!("it is refused") };
    assert_eq!((&*why.task, &*why.resource, why.wanted), ("dear", "disk", 3));
}

#[test]
fn what_cannot_be_made_of_a_plan_again_is_told_with_who_had_put_it_in() {
    for (plan, why) in [("nothing", "no plan"), ("by after", "by")] {
        let Err(StartError::Plan { task, error }) = grown(plan) else { panic!("it is refused") };
        assert_eq!(task, "by");
        assert!(error.contains(why), "{error}");
    }
}
