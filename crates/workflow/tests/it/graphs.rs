use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_workflow::pools::{Kind, Priority};
use tidegate_workflow::telemetry::Registry;
use tidegate_workflow::{
    AddError, Context, EventKind, Graph, InputError, Missing, Next, Orchestrator, Outcome, Retry,
    StartError, Stopped, Task, TaskError,
};

use crate::{echo, failing, until_stopped};

fn orchestrator(limit: usize) -> Orchestrator {
    Orchestrator::builder().limit(limit).build().expect("the settings are sound")
}

#[tokio::test]
async fn tasks_come_in_any_order_and_read_what_they_need() {
    let mut graph = Graph::new();
    let join = Task::new("join", async |cx: Context| {
        Ok::<_, TaskError>(format!("{} {}", cx.input::<&str>("a")?, cx.input::<&str>("b")?))
    });
    graph.add(join.needs(["a", "b"])).expect("forward references are fine");
    graph.add(echo("b").needs(["a"])).expect("no cycle");
    graph.add(echo("a")).expect("no cycle");
    let finished = orchestrator(4).run(graph).await.expect("every need is there");
    assert_eq!(*finished.output::<String>("join").expect("it succeeded"), "a b");
    let path: Vec<&str> = finished.report().critical_path.iter().map(|id| &**id).collect();
    assert_eq!(path, ["a", "b", "join"]);
}

#[tokio::test]
async fn a_task_reads_all_its_inputs_in_the_order_in_which_it_names_them() {
    let mut graph = Graph::new();
    let work = async |cx: Context| {
        let inputs = cx.inputs::<&str>();
        assert_eq!(inputs.len(), 4);
        let read = |input: Result<Arc<&str>, InputError>| match input {
            Ok(value) => Ok((*value).to_owned()),
            Err(InputError { task, why: Missing::DidNotSucceed }) => Ok(format!("no {task}")),
            Err(error) => Err(error),
        };
        Ok::<_, TaskError>(inputs.map(read).collect::<Result<Vec<_>, _>>()?.join(" "))
    };
    graph.add(Task::new("join", work).wants(["x", "a"]).needs(["c", "b"])).expect("no cycle");
    for id in ["a", "b", "c"] {
        graph.add(echo(id)).expect("no cycle");
    }
    graph.add(failing("x")).expect("no cycle");
    graph
        .add(
            Task::new("typed", async |cx: Context| {
                let wrong = cx.inputs::<u32>().next().expect("it has one");
                Ok::<_, TaskError>(wrong.expect_err("it is a text").to_string())
            })
            .needs(["a"]),
        )
        .expect("no cycle");
    let finished = orchestrator(4).run(graph).await.expect("every need is there");
    assert_eq!(*finished.output::<String>("join").expect("it succeeded"), "c b no x a");
    assert_eq!(
        *finished.output::<String>("typed").expect("it succeeded"),
        "the output of `a` is no `u32`"
    );
}

#[test]
fn a_task_that_closes_a_cycle_is_refused_with_the_path_and_the_graph_stays() {
    let mut graph = Graph::new();
    graph.add(echo("a").needs(["b"])).expect("no cycle");
    graph.add(echo("b").needs(["c", "x"])).expect("no cycle");
    let refused = graph.add(echo("c").needs(["a"])).expect_err("a -> b -> c -> a");
    let path = ["c", "a", "b", "c"].map(String::from).to_vec();
    assert_eq!(refused, AddError::Cycle { path });
    assert_eq!(graph.len(), 2);
    assert!(matches!(graph.add(echo("s").needs(["s"])), Err(AddError::Cycle { .. })));
    assert!(matches!(graph.add(echo("a")), Err(AddError::Duplicate { .. })));
}

#[tokio::test]
async fn needs_that_name_no_task_are_all_told_before_anything_starts() {
    let mut graph = Graph::new();
    graph.add(echo("a").needs(["x", "y"])).expect("they may still come");
    let Err(StartError::Unresolved(missing)) = orchestrator(1).start(graph) else {
        panic!("it must not start")
    };
    let ids: Vec<&str> = missing.iter().map(|need| need.id.as_str()).collect();
    assert_eq!(ids, ["x", "y"]);
}

#[tokio::test]
async fn dependents_of_a_failure_are_skipped_and_independent_tasks_finish() {
    let mut graph = Graph::new();
    for task in
        [failing("bad"), echo("after").needs(["bad"]), echo("last").needs(["after"]), echo("apart")]
    {
        graph.add(task).expect("no cycle");
    }
    let report = orchestrator(2).run(graph).await.expect("every need is there").into_report();
    let outcomes: Vec<&Outcome> = report.tasks.iter().map(|task| &task.outcome).collect();
    let skipped = Outcome::Skipped { because: Arc::from("bad") };
    let failed = Outcome::Failed { error: "out of order".to_owned() };
    assert_eq!(outcomes, [&failed, &skipped, &skipped, &Outcome::Succeeded]);
    assert!(!report.is_success());
}

#[tokio::test]
async fn a_wanted_task_that_failed_leaves_its_input_missing() {
    let mut graph = Graph::new();
    graph.add(failing("optional")).expect("no cycle");
    let partial = Task::new("partial", async |cx: Context| {
        Ok::<_, TaskError>(cx.input::<()>("optional").is_err())
    });
    graph.add(partial.wants(["optional"])).expect("no cycle");
    let finished = orchestrator(2).run(graph).await.expect("every need is there");
    assert!(*finished.output::<bool>("partial").expect("it ran"));
}

#[tokio::test(start_paused = true)]
async fn a_flaky_task_is_tried_again_after_growing_waits() {
    let mut graph = Graph::new();
    let flaky = Task::new("flaky", async |cx: Context| {
        if cx.attempt() < 3 { Err(TaskError::from("not yet")) } else { Ok(cx.attempt()) }
    });
    graph
        .add(flaky.retry(Retry { attempts: 5, jitter: 0.0, ..Retry::default() }))
        .expect("no cycle");
    let finished = orchestrator(1).run(graph).await.expect("every need is there");
    assert_eq!(*finished.output::<u32>("flaky").expect("the third attempt succeeded"), 3);
    assert_eq!(finished.report().tasks[0].attempts, 3);
    assert_eq!(finished.report().makespan.as_secs(), 1 + 2);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_ignores_its_timeout_is_dropped_after_its_grace_period() {
    let mut graph = Graph::new();
    let stubborn = Task::new("stubborn", |_| std::future::pending::<Result<(), TaskError>>());
    graph
        .add(stubborn.timeout(Duration::from_secs(10)).grace(Duration::from_secs(3)))
        .expect("no cycle");
    let report = orchestrator(1).run(graph).await.expect("every need is there").into_report();
    assert_eq!(report.tasks[0].outcome, Outcome::TimedOut);
    assert_eq!(report.makespan.as_secs(), 13);
}

#[tokio::test]
async fn a_panic_fails_its_task_and_the_engine_goes_on() {
    let orchestrator = orchestrator(1);
    let mut graph = Graph::new();
    graph
        .add(Task::new("early", |_| -> std::future::Ready<Result<(), TaskError>> {
            panic!("before the first await")
        }))
        .expect("no cycle");
    graph
        .add(Task::new("late", async |_| -> Result<(), TaskError> { panic!("inside") }))
        .expect("no cycle");
    let report = orchestrator.run(graph).await.expect("every need is there").into_report();
    let error = |at: usize| match &report.tasks[at].outcome {
        Outcome::Failed { error } => error.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!([error(0), error(1)], ["panicked: before the first await", "panicked: inside"]);
    let mut next = Graph::new();
    next.add(echo("a")).expect("no cycle");
    assert!(orchestrator.run(next).await.expect("it goes on").is_success());
}

#[tokio::test]
async fn an_output_whose_drop_panics_takes_nothing_down() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let orchestrator = orchestrator(2);
    let mut events = orchestrator.events();
    let mut graph = Graph::new();
    graph.add(Task::new("bomb", async |_| Ok::<_, TaskError>(Bomb))).expect("no cycle");
    graph.add(until_stopped("hold")).expect("no cycle");
    let running = orchestrator.start(graph).expect("every need is there");
    while let Some(Next::Event(event)) = events.next().await {
        if matches!(event.kind, EventKind::TaskEnded { .. }) {
            break;
        }
    }
    // Nobody takes the outputs any more: the engine drops them.
    drop(running);
    orchestrator.wait().await.expect("no task of `go` has failed");
    let mut next = Graph::new();
    next.add(echo("a")).expect("no cycle");
    assert!(orchestrator.run(next).await.expect("it goes on").is_success());
}

#[tokio::test]
async fn no_more_than_the_limits_run_at_once() {
    let (running, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let orchestrator =
        Orchestrator::builder().limit(4).agent("gpu", 2).build().expect("the settings are sound");
    let mut graph = Graph::new();
    for at in 0..40 {
        let (running, peak) = (Arc::clone(&running), Arc::clone(&peak));
        let work = move |_| {
            let (running, peak) = (Arc::clone(&running), Arc::clone(&peak));
            async move {
                peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok::<(), TaskError>(())
            }
        };
        graph.add(Task::new(format!("gpu-{at}"), work).agent("gpu")).expect("no cycle");
    }
    let report = orchestrator.run(graph).await.expect("every need is there").into_report();
    assert_eq!((peak.load(Ordering::SeqCst), report.peak), (2, 2));
}

#[tokio::test]
async fn a_failing_task_of_a_fail_fast_graph_stops_the_rest() {
    let mut graph = Graph::new().fail_fast(true);
    for task in [until_stopped("long"), failing("bad"), echo("later").needs(["long"])] {
        graph.add(task).expect("no cycle");
    }
    let report = orchestrator(2).run(graph).await.expect("every need is there").into_report();
    let counts = report.counts();
    assert_eq!((counts["failed"], counts["cancelled"]), (1, 2));
}

#[tokio::test]
async fn an_empty_graph_is_over_at_once() {
    let report = orchestrator(1).run(Graph::new()).await.expect("nothing is missing").into_report();
    assert!(report.tasks.is_empty() && report.is_success());
}

#[tokio::test]
async fn synchronous_work_runs_on_the_pool_of_its_kind_and_its_panic_is_its_own() {
    let name = |_| Ok::<_, TaskError>(std::thread::current().name().unwrap_or_default().to_owned());
    let orchestrator = orchestrator(4);
    let mut graph = Graph::new();
    graph.add(Task::offloaded("compute", Kind::Cpu(Priority::High), name)).expect("no cycle");
    graph.add(Task::offloaded("wait", Kind::Blocking, name)).expect("no cycle");
    let panics = |_| -> Result<(), TaskError> { panic!("out of memory") };
    graph.add(Task::offloaded("panic", Kind::Blocking, panics)).expect("no cycle");
    let finished = orchestrator.run(graph).await.expect("every need is there");
    assert!(finished.output::<String>("compute").expect("it succeeded").starts_with("cpu-"));
    assert!(finished.output::<String>("wait").expect("it succeeded").starts_with("blocking-"));
    let failed = Outcome::Failed { error: "the job panicked: out of memory".to_owned() };
    assert_eq!(finished.report().tasks[2].outcome, failed);
}

#[tokio::test(start_paused = true)]
async fn in_the_order_of_the_list_one_after_another_by_a_limit_of_one() {
    let orchestrator = orchestrator(1);
    let mut events = orchestrator.events();
    let mut graph = Graph::new();
    let ids = ["d", "b", "a", "c"];
    ids.iter().for_each(|id| graph.add(echo(id)).expect("no cycle"));
    let report = orchestrator.run(graph).await.expect("it runs").into_report();
    let mut started = Vec::new();
    while let Some(Next::Event(event)) = events.try_next() {
        if let EventKind::TaskStarted { task, .. } = event.kind {
            started.push(task.to_string());
        }
    }
    assert_eq!((started, report.peak), (ids.map(str::to_owned).to_vec(), 1));
}

#[tokio::test]
async fn each_of_a_thousand_inputs_is_found_by_its_id_and_no_other() {
    let mut graph = Graph::new();
    let ids: Vec<String> = (0..1000).map(|at| format!("part {at}")).collect();
    for (at, id) in ids.iter().enumerate() {
        let work = move |_| async move { Ok::<usize, TaskError>(at) };
        graph.add(Task::new(id.clone(), work)).expect("no cycle");
    }
    let needs = ids.clone();
    let sum = Task::new("sum", move |cx: Context| {
        let ids = ids.clone();
        async move {
            let missing = cx.input::<usize>("part 1000").expect_err("nobody needs it");
            assert_eq!(missing.why, Missing::NotANeed);
            let mut sum = 0;
            for (at, id) in ids.iter().enumerate() {
                assert_eq!(*cx.input::<usize>(id)?, at);
                sum += at;
            }
            Ok::<usize, TaskError>(sum)
        }
    });
    graph.add(sum.needs(needs)).expect("no cycle");
    let finished = orchestrator(4).run(graph).await.expect("it runs");
    assert_eq!(*finished.output::<usize>("sum").expect("it succeeded"), 499_500);
}

#[tokio::test]
async fn a_context_that_is_kept_stays_what_it_was() {
    let kept: Arc<Mutex<Vec<Context>>> = Arc::default();
    let mut graph = Graph::new();
    for at in 0_u32..20 {
        let kept = Arc::clone(&kept);
        let work = move |cx: Context| {
            let attempt = cx.attempt();
            // Of some attempts the context is free again, those of the others stay here.
            if at % 3 != 1 {
                kept.lock().push(cx);
            }
            std::future::ready(if at % 4 == 0 && attempt == 1 { Err("once more") } else { Ok(at) })
        };
        let retry = Retry { attempts: 2, first_delay: Duration::ZERO, ..Retry::default() };
        let task = Task::new(at.to_string(), work).retry(retry);
        graph.add(task.needs(at.checked_sub(1).map(|at| at.to_string()))).expect("it is new");
    }
    let finished = orchestrator(3).run(graph).await.expect("every need is there");
    assert!(finished.is_success());
    let mut expected = Vec::new();
    for at in (0..20).filter(|at| at % 3 != 1) {
        expected.extend((1..=if at % 4 == 0 { 2 } else { 1 }).map(|attempt| (at, attempt)));
    }
    let kept = kept.lock();
    let found: Vec<(u32, u32)> =
        kept.iter().map(|cx| (cx.id().parse().expect("a number"), cx.attempt())).collect();
    assert_eq!(found, expected);
    for (cx, (at, _)) in kept.iter().zip(expected) {
        let input = at.checked_sub(1).map(|at| cx.input::<u32>(&at.to_string()).map(|it| *it));
        assert_eq!(input, at.checked_sub(1).map(Ok));
    }
}

#[tokio::test]
async fn an_output_of_nobody_says_who_may_have_been_meant() {
    let mut graph = Graph::new();
    for id in ["count", "words"] {
        graph.add(echo(id)).expect("no cycle");
    }
    graph.add(failing("fails")).expect("no cycle");
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    let finished = orchestrator.run(graph).await.expect("it starts");
    let why = |id: &str| finished.output::<String>(id).expect_err("none").to_string();
    assert_eq!(why("cuont"), "no task `cuont` was in the run; did you mean `count`?");
    assert_eq!(why("other things"), "no task `other things` was in the run");
    assert_eq!(why("fails"), "no output of `fails`: it did not succeed");
    assert_eq!(why("words"), "the output of `words` is no `alloc::string::String`");
}

/// A program may keep its orchestrator longer than its runtime.
#[test]
fn who_waits_for_an_orchestrator_whose_runtime_has_ended_is_told() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().expect("a runtime")
    };
    let first = runtime();
    let (orchestrator, running) = first.block_on(async {
        let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
        let mut graph = Graph::new();
        graph.add(until_stopped("endless")).expect("a new one");
        let running = orchestrator.start(graph).expect("every need is there");
        assert!(running.status().await.is_some());
        (orchestrator, running)
    });
    drop(first);
    let late = orchestrator.start(Graph::new()).map(drop);
    runtime().block_on(async {
        let patience = Duration::from_secs(20);
        let ended = tokio::time::timeout(patience, running.wait()).await.expect("it is told");
        // Whichever the runtime ends first: its attempt, or the engine.
        assert!(ended.map_or_else(|why| why == Stopped::Dropped, |run| !run.is_success()));
        assert_eq!(late, Err(StartError::Closed));
        tokio::time::timeout(patience, orchestrator.wait()).await.expect("nothing is live").ok();
        tokio::time::timeout(patience, orchestrator.shutdown()).await.expect("nothing is live");
    });
}

#[tokio::test]
async fn orchestrators_share_a_registry_by_a_label() {
    let registry = Registry::new();
    let first = Orchestrator::builder().registry(registry.clone()).build().expect("a new registry");
    let refused = Orchestrator::builder().registry(registry).build().expect_err("it is taken");
    assert!(refused.to_string().ends_with("give each a `Registry::with_label` of it"), "{refused}");
    drop(first);
    let registry = Registry::new();
    let labelled = ["first", "second"].map(|name| {
        let scope = registry.with_label("orchestrator", name).expect("a new label");
        Orchestrator::builder().registry(scope).limit(name.len()).build().expect("told apart")
    });
    let limit = |of| registry.value_of("orchestrator_concurrency_limit", &[("orchestrator", of)]);
    assert_eq!([limit("first"), limit("second")], [Some(5.0), Some(6.0)]);
    drop(labelled);
}
