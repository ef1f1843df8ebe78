use std::sync::Arc;
use std::time::Duration;

use tidegate_workflow::pools::{Kind, Priority};
use tidegate_workflow::{
    AddError, Context, Graph, Handle, Orchestrator, Outcome, Report, Retry, StartError, Task,
    TaskError,
};

use crate::echo;

fn orchestrator(limit: usize) -> Orchestrator {
    Orchestrator::builder().limit(limit).build().expect("the settings are sound")
}

/// A typed task that returns this value.
fn gives<T: Clone + Send + Sync + 'static>(graph: &mut Graph, id: &str, value: T) -> Handle<T> {
    let work = move |()| std::future::ready(Ok(value.clone()));
    graph.task(id).run(work).expect("the id is new")
}

fn fails(graph: &mut Graph, id: &str) -> Handle<String> {
    graph.task(id).run(async |()| Err("out of order".into())).expect("the id is new")
}

fn outcome<'r>(report: &'r Report, id: &str) -> &'r Outcome {
    &report.tasks.iter().find(|task| *task.id == *id).expect("it is in the run").outcome
}

#[tokio::test]
async fn inputs_come_as_values_in_the_order_of_after() {
    let mut graph = Graph::new();
    let name = gives(&mut graph, "name", "Ada".to_owned());
    let year = gives(&mut graph, "year", 1815_u32);
    let line = graph.task("line").after((&name, &year)).run(async |(name, year)| {
        let name: Arc<String> = name;
        Ok(format!("{name}, born {year}"))
    });
    let line = line.expect("the id is new");
    let finished = orchestrator(2).run(graph).await.expect("every need is there");
    assert_eq!(*finished.get(&line).expect("it succeeded"), "Ada, born 1815");
}

#[tokio::test]
async fn tuples_go_up_to_eight_and_hold_other_groups() {
    let mut graph = Graph::new();
    let one = gives(&mut graph, "one", 1_u8);
    let all: Vec<Handle<u16>> = (2..=4).map(|n| gives(&mut graph, &format!("n{n}"), n)).collect();
    let lost = fails(&mut graph, "lost");
    let eight = (&one, &all, lost.optional(), (&one, &one), &all[..1], &one, one.optional(), ());
    let sum = graph.task("sum").after(eight).run(async |(a, b, c, (d, e), f, g, h, ())| {
        assert!(c.is_none(), "`lost` failed");
        let bytes =
            [a, d, e, g, h.expect("`one` succeeded")].iter().map(|n| u16::from(**n)).sum::<u16>();
        Ok(bytes + b.iter().chain(&f).map(|n| **n).sum::<u16>())
    });
    let sum = sum.expect("the id is new");
    let finished = orchestrator(2).run(graph).await.expect("every need is there");
    assert_eq!(*finished.get(&sum).expect("it succeeded"), 5 + (2 + 3 + 4) + 2);
}

#[tokio::test]
async fn a_failed_input_skips_the_task_unless_it_is_optional() {
    let mut graph = Graph::new();
    let bad = fails(&mut graph, "bad");
    let good = gives(&mut graph, "good", 7_u8);
    let strict = graph.task("strict").after((&good, &bad)).run(async |_| Ok(()));
    let also = gives(&mut graph, "also", "text".to_owned());
    let both = vec![also.optional(), bad.optional()];
    let lenient = graph.task("lenient").after((good.optional(), bad.optional(), both));
    let lenient = lenient.run(async |(good, bad, both)| {
        assert_eq!(both, [Some(Arc::new("text".to_owned())), bad.clone()]);
        Ok((good.is_some(), bad.is_some()))
    });
    let (strict, lenient) = (strict.expect("the id is new"), lenient.expect("the id is new"));
    let finished = orchestrator(2).run(graph).await.expect("every need is there");
    assert_eq!(*finished.get(&lenient).expect("it ran"), (true, false));
    finished.get(&strict).expect_err("it was skipped");
    let skipped = Outcome::Skipped { because: Arc::from("bad") };
    assert_eq!(*outcome(finished.report(), "strict"), skipped);
}

#[tokio::test]
async fn typed_tasks_and_tasks_by_id_need_each_other() {
    let mut graph = Graph::new();
    let late = Handle::<&str>::named("late");
    let after = graph.task("after").after(&late).run(async |late| Ok(late.len()));
    let after = after.expect("the id is new");
    graph.add(echo("late").needs(["first"])).expect("no cycle");
    gives(&mut graph, "first", 1_u8);
    let by_id = Task::new("by-id", async |cx: Context| {
        Ok::<_, TaskError>(*cx.input::<usize>("after")? + 1)
    });
    graph.add(by_id.needs([after.id()])).expect("no cycle");
    let finished = orchestrator(2).run(graph).await.expect("every need is there");
    assert_eq!(*finished.output::<usize>("by-id").expect("it succeeded"), 5);
}

#[tokio::test]
async fn a_handle_that_names_another_type_fails_the_task_that_reads_it_and_says_so() {
    let mut graph = Graph::new();
    graph.add(echo("text")).expect("no cycle");
    let wrong = Handle::<u64>::named("text");
    let reader = graph.task("reader").after(&wrong).run(async |number| Ok(*number));
    reader.expect("the id is new");
    let report = orchestrator(1).run(graph).await.expect("every need is there").into_report();
    let failed = Outcome::Failed { error: "the output of `text` is no `u64`".to_owned() };
    assert_eq!(*outcome(&report, "reader"), failed);
}

#[test]
fn a_taken_id_and_a_cycle_through_ids_are_refused() {
    let mut graph = Graph::new();
    let first = graph.task("first").needs(["second"]).run(async |()| Ok(1_u8));
    let first = first.expect("the id is new");
    let second = graph.task("second").after(&first).run(async |_| Ok(()));
    let path = ["second", "first", "second"].map(String::from).to_vec();
    assert_eq!(second.expect_err("they need each other"), AddError::Cycle { path });
    let again = graph.task("first").run(async |()| Ok(()));
    assert!(matches!(again, Err(AddError::Duplicate { .. })));
}

#[tokio::test]
async fn a_handle_of_another_graph_names_what_is_missing() {
    let stranger = gives(&mut Graph::new(), "stranger", 1_u8);
    let mut graph = Graph::new();
    graph.task("reader").after(&stranger).run(async |_| Ok(())).expect("the id is new");
    let Err(StartError::Unresolved(missing)) = orchestrator(1).start(graph) else {
        panic!("it must not start")
    };
    assert_eq!(missing[0].id, "stranger");
}

#[tokio::test(start_paused = true)]
async fn settings_hold_as_on_a_task() {
    let hour = Duration::from_secs(3600);
    let builder = Orchestrator::builder().limit(8).agent("slow", 1);
    let orchestrator = builder.build().expect("the settings are sound");
    let mut graph = Graph::new();
    for (id, priority) in [("low", 1), ("high", 2)] {
        let task = graph.task(id).agent("slow").priority(priority);
        task.run(async |()| {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok(())
        })
        .expect("the id is new");
    }
    let stuck = graph.task("stuck").timeout(hour).grace(Duration::ZERO);
    stuck.run(|()| std::future::pending::<Result<(), TaskError>>()).expect("the id is new");
    let flaky = graph.task("flaky").retry(Retry { attempts: 3, jitter: 0.0, ..Retry::default() });
    let flaky =
        flaky.run_with(
            async |cx, ()| {
                if cx.attempt() < 3 { Err("not yet".into()) } else { Ok(cx.attempt()) }
            },
        );
    let flaky = flaky.expect("the id is new");
    let finished = orchestrator.run(graph).await.expect("every need is there");
    let report = finished.report();
    assert_eq!(*outcome(report, "stuck"), Outcome::TimedOut);
    assert_eq!(*finished.get(&flaky).expect("the third attempt succeeds"), 3);
    assert_eq!(report.makespan, hour);
    let start =
        |id: &str| report.tasks.iter().find(|task| *task.id == *id).expect("it ran").started;
    assert!(start("high") < start("low"), "one slot, and the higher priority first");
}

#[tokio::test]
async fn plain_functions_run_on_the_pool_of_their_kind_with_typed_inputs() {
    let mut graph = Graph::new();
    let numbers = gives(&mut graph, "numbers", vec![3_u32, 1, 2]);
    let sorted = graph.task("sorted").after(&numbers);
    let sorted = sorted.offload_with(Kind::Cpu(Priority::Normal), |cx, numbers| {
        let mut numbers = Vec::clone(&numbers);
        numbers.sort_unstable();
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        Ok((cx.attempt(), thread, numbers))
    });
    let sorted = sorted.expect("the id is new");
    let finished = orchestrator(1).run(graph).await.expect("every need is there");
    let (attempt, thread, numbers) = &*finished.get(&sorted).expect("it succeeded");
    assert_eq!((*attempt, numbers.as_slice()), (1, [1, 2, 3].as_slice()));
    assert!(thread.starts_with("cpu-"), "{thread}");
}

#[tokio::test]
async fn a_panic_before_the_first_await_is_the_tasks_own() {
    let mut graph = Graph::new();
    let early = graph.task("early").run(|()| -> std::future::Ready<Result<u8, TaskError>> {
        panic!("before the first await")
    });
    early.expect("the id is new");
    let report = orchestrator(1).run(graph).await.expect("every need is there").into_report();
    let error = "panicked: before the first await".to_owned();
    assert_eq!(report.tasks[0].outcome, Outcome::Failed { error });
}

#[tokio::test]
async fn handles_in_a_list_are_taken_by_value_and_by_reference() {
    let mut graph = Graph::new();
    let parts: Vec<Handle<u32>> = (0..3).map(|n| gives(&mut graph, &n.to_string(), n)).collect();
    let sum = async |parts: Vec<Arc<u32>>| Ok(parts.iter().map(|part| **part).sum::<u32>());
    let borrowed = graph.task("borrowed").after(&parts).run(sum).expect("a new one");
    let owned = graph.task("owned").after(parts).run(sum).expect("a new one");
    let finished = orchestrator(2).run(graph).await.expect("every need is there");
    assert_eq!(finished.get(&borrowed), finished.get(&owned));
    assert_eq!(*finished.get(&owned).expect("it succeeded"), 3);
}

/// Outside a task, too, `?` takes its error.
#[test]
fn the_error_of_a_task_becomes_any_error() {
    let outside =
        || -> Result<(), Box<dyn std::error::Error>> { Err(TaskError::fatal("no model"))? };
    assert_eq!(outside().expect_err("it failed").to_string(), "no model");
}
