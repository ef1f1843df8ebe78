//! The same graph under each executor, and what only some of them can do.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_workflow::executor::{Encoded, Executor, Processes};
use tidegate_workflow::pools::process::{Host, ProcessPool};
use tidegate_workflow::{
    Finished, Graph, Handle, Orchestrator, Outcome, Retry, Task, TaskError, TaskReport,
};

use super::functions::{
    ABORT, COUNT, Counts, FETCH, FLAKY, KEY, MERGE, PANIC, Page, REFUSE, SPIN, UNWRITABLE, registry,
};
use super::{Test, block_on};

pub(crate) const TESTS: &[Test] = &[
    (
        "the_same_graph_gives_the_same_report_under_every_executor",
        the_same_graph_gives_the_same_report_under_every_executor,
    ),
    (
        "an_unknown_function_and_a_missing_executor_fail_their_task_and_say_so",
        an_unknown_function_and_a_missing_executor_fail_their_task_and_say_so,
    ),
    ("what_cannot_travel_is_found_by_the_encoding", what_cannot_travel_is_found_by_the_encoding),
    (
        "a_loop_that_overruns_ends_with_its_worker_and_the_next_task_runs",
        a_loop_that_overruns_ends_with_its_worker_and_the_next_task_runs,
    ),
    ("a_crash_is_its_tasks_own", a_crash_is_its_tasks_own),
    (
        "the_key_is_the_same_for_every_attempt_and_another_for_every_task_run_and_orchestrator",
        the_key_is_the_same_for_every_attempt_and_another_for_every_task_run_and_orchestrator,
    ),
];

pub(crate) fn processes(host: &Host) -> Processes {
    Processes::new(ProcessPool::builder(host).workers(2).build().expect("a pool starts"))
}

pub(crate) fn run(executor: impl Executor, graph: Graph) -> Finished {
    block_on(async {
        let orchestrator = Orchestrator::builder().limit(4).executor(executor);
        orchestrator.build().expect("it is sound").run(graph).await.expect("it starts")
    })
}

/// Typed tasks and tasks by id, values through closures and through functions, failures of every sort.
pub(crate) fn graph() -> (Graph, Handle<(Counts, bool)>) {
    let mut graph = Graph::new();
    let all = build(&mut graph).expect("no cycle and no duplicate");
    (graph, all)
}

fn build(graph: &mut Graph) -> Result<Handle<(Counts, bool)>, tidegate_workflow::AddError> {
    let mut counts = Vec::new();
    for site in ["a/b/a", "b/c", "d"] {
        let page = graph.task(format!("fetch {site}")).call_with(FETCH, site.to_owned())?;
        counts.push(graph.task(format!("count {site}")).after(&page).call(COUNT)?);
    }
    let missing = graph.task("refused").retry(Retry::attempts(5)).call_with(REFUSE, ())?;
    let all = graph.task("merge").after((&counts, missing.optional())).call(MERGE)?;
    let quick = Retry { first_delay: Duration::from_millis(1), ..Retry::attempts(3) };
    graph.task("flaky").retry(quick).call_with(FLAKY, 2)?;
    graph.task("given up").retry(quick).call_with(FLAKY, 7)?;
    graph.task("panic").call_with(PANIC, ())?;
    graph.add(
        Task::named("by id", FETCH, |cx| {
            let (all, _) = &*cx.input::<(Counts, bool)>("merge")?;
            Ok(all.keys().cloned().collect::<Vec<_>>().join("/"))
        })
        .needs(["merge"]),
    )?;
    graph.add(
        Task::new("closure", async |cx: tidegate_workflow::Context| {
            Ok::<usize, TaskError>(cx.input::<Page>("by id")?.words.len())
        })
        .needs(["by id"]),
    )?;
    graph.add(Task::named("skipped", FETCH, |_| Ok(String::new())).needs(["given up"]))?;
    Ok(all)
}

/// What does not depend on how long things took.
pub(crate) type Essence = BTreeMap<String, (Outcome, u32, Vec<String>)>;

pub(crate) fn essence(finished: &Finished) -> Essence {
    let of = |task: &TaskReport| {
        let needs = task.needs.iter().map(ToString::to_string).collect();
        (task.id.to_string(), (task.outcome.clone(), task.attempts, needs))
    };
    finished.report().tasks.iter().map(of).collect()
}

fn the_same_graph_gives_the_same_report_under_every_executor(host: &Host) {
    let (first, all) = graph();
    let here = run(registry(), first);
    let report = essence(&here);
    let counts = here.report().counts();
    assert_eq!((counts["succeeded"], counts["failed"], counts["skipped"]), (10, 3, 1));
    assert_eq!(
        report["panic"].0,
        Outcome::Failed { error: "panicked: an index out of bounds".into() }
    );
    assert_eq!((report["refused"].1, report["flaky"].1, report["given up"].1), (1, 3, 3));
    for other in [run(Encoded::new(registry()), graph().0), run(processes(host), graph().0)] {
        assert_eq!(essence(&other), report);
        assert_eq!(*other.get(&all).expect("it succeeded"), *here.get(&all).expect("it succeeded"));
        let page = other.output::<Page>("by id").expect("it succeeded");
        assert_eq!(*page, *here.output::<Page>("by id").expect("it succeeded"));
        assert_eq!(page.weight.to_bits(), (0.1_f64 + 0.2).to_bits());
        assert_eq!(*other.output::<usize>("closure").expect("it succeeded"), 4);
    }
}

fn error(finished: &Finished, id: &str) -> String {
    match &essence(finished)[id].0 {
        Outcome::Failed { error } => error.clone(),
        other => panic!("`{id}` is {other:?}"),
    }
}

fn of<O>(task: impl FnOnce(&mut Graph) -> Result<Handle<O>, tidegate_workflow::AddError>) -> Graph {
    let mut graph = Graph::new();
    task(&mut graph).expect("it is alone");
    graph
}

fn an_unknown_function_and_a_missing_executor_fail_their_task_and_say_so(host: &Host) {
    const NOBODY: tidegate_workflow::executor::Named<(), ()> =
        tidegate_workflow::executor::Named::new("nobody");
    let graph = || of(|graph| graph.task("x").retry(Retry::attempts(3)).call_with(NOBODY, ()));
    let unknown = "no function named `nobody` is registered";
    assert_eq!(error(&run(registry(), graph()), "x"), unknown);
    assert_eq!(error(&run(processes(host), graph()), "x"), unknown);
    let alone = block_on(async {
        let orchestrator = Orchestrator::builder().build().expect("it is sound");
        orchestrator.run(graph()).await.expect("it starts")
    });
    assert!(error(&alone, "x").contains("`nobody`: give the orchestrator an executor"));
    assert_eq!(alone.report().tasks[0].attempts, 1, "another attempt would be in vain");
}

fn what_cannot_travel_is_found_by_the_encoding(_: &Host) {
    let graph = || of(|graph| graph.task("x").call_with(UNWRITABLE, ()));
    assert!(run(registry(), graph()).is_success());
    let found = error(&run(Encoded::new(registry()), graph()), "x");
    assert!(found.starts_with("a value that cannot be encoded"), "{found}");
}

fn a_loop_that_overruns_ends_with_its_worker_and_the_next_task_runs(host: &Host) {
    let pool = ProcessPool::builder(host).workers(1).build().expect("a pool starts");
    let mut graph = Graph::new();
    let spin = graph.task("spin").timeout(Duration::from_millis(50));
    spin.call_with(SPIN, ()).expect("the id is free");
    let next = graph.task("next").with(|task| task.wants(["spin"]));
    let next = next.call_with(FETCH, "a".to_owned()).expect("the id is free");
    let finished = run(Processes::new(pool), graph);
    assert_eq!(essence(&finished)["spin"].0, Outcome::TimedOut);
    assert_eq!(finished.get(&next).expect("it ran").words, ["a"]);
    let spun = finished.report().tasks[0].busy;
    assert!(spun < Duration::from_secs(1), "the grace of 2 s is not waited for: {spun:?}");
}

fn a_crash_is_its_tasks_own(host: &Host) {
    let mut graph = of(|graph| graph.task("abort").call_with(ABORT, ()));
    for n in 0..10 {
        let task = graph.task(format!("fetch {n}"));
        task.call_with(FETCH, n.to_string()).expect("the id is free");
    }
    let finished = run(processes(host), graph);
    assert_eq!(finished.report().counts()["succeeded"], 10);
    assert!(error(&finished, "abort").contains("worker"), "{}", error(&finished, "abort"));
}

fn the_key_is_the_same_for_every_attempt_and_another_for_every_task_run_and_orchestrator(_: &Host) {
    let graph = || {
        let mut graph = Graph::new();
        for (id, failures) in [("a", 0), ("b", 1)] {
            let task =
                graph.task(id).retry(Retry { first_delay: Duration::ZERO, ..Retry::attempts(2) });
            task.call_with(KEY, failures).expect("the id is free");
        }
        // The key of the first attempt, from within.
        graph
            .add(
                Task::new("c", async |cx: tidegate_workflow::Context| {
                    if cx.attempt() == 1 {
                        Err(cx.idempotency_key())
                    } else {
                        Ok(cx.idempotency_key())
                    }
                })
                .retry(Retry { first_delay: Duration::ZERO, ..Retry::attempts(2) }),
            )
            .expect("the id is free");
        graph
    };
    let mut keys = Vec::new();
    for _ in 0..2 {
        let (first, second, retried) = block_on(async {
            let orchestrator = Orchestrator::builder().executor(Encoded::new(registry()));
            let orchestrator = orchestrator.build().expect("it is sound");
            let mut events = orchestrator.events();
            let first = orchestrator.run(graph()).await.expect("it starts");
            let mut retried = None;
            while retried.is_none() {
                if let Some(tidegate_workflow::Next::Event(event)) = events.next().await
                    && let tidegate_workflow::EventKind::TaskRetrying { task, error, .. } =
                        event.kind
                    && *task == *"c"
                {
                    retried = Some(error);
                }
            }
            (first, orchestrator.run(graph()).await.expect("it starts"), retried)
        });
        assert_eq!(retried.as_ref(), Some(&*first.output::<String>("c").expect("it succeeded")));
        for run in [first, second] {
            for id in ["a", "b"] {
                let key = run.output::<(String, u32, String)>(id).expect("it succeeded");
                assert_eq!((&*key.0, key.1), (id, if id == "a" { 1 } else { 2 }));
                keys.push(key.2.clone());
            }
        }
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 8);
}
