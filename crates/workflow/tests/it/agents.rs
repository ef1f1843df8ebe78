use std::sync::Arc;
use std::time::Duration;

use tidegate_workflow::{
    Agent, Breaker, Context, EventKind, Facts, Graph, Law, Next, Orchestrator, Outcome, Sample,
    StartError, Task, TaskError, TooMuch, Waiting, Weighted,
};
use tokio::time::Instant;

use crate::{echo, until_stopped};

const SECOND: Duration = Duration::from_secs(1);

fn with(agent: Agent) -> Orchestrator {
    Orchestrator::builder().limit(99).agent("model", agent).build().expect("the settings are sound")
}

fn graph(tasks: impl IntoIterator<Item = Task>) -> Graph {
    let mut graph = Graph::new();
    tasks.into_iter().for_each(|task| graph.add(task).expect("no cycle"));
    graph
}

fn of_model(id: String) -> Task {
    Task::new(id, async |_| Ok::<Instant, TaskError>(Instant::now())).agent("model")
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_start_in_a_minute_than_the_agent_bears() {
    let orchestrator = with(Agent::new(9).requests_per_minute(3));
    let began = Instant::now();
    let tasks = (0..7).map(|at| of_model(format!("task {at}")));
    let finished = orchestrator.run(graph(tasks)).await.expect("it runs");
    let start = |at: usize| {
        let at = finished.output::<Instant>(&format!("task {at}")).expect("it succeeded");
        (*at - began).as_secs()
    };
    assert_eq!((0..7).map(start).collect::<Vec<_>>(), [0, 0, 0, 60, 60, 60, 120]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_is_lifted_lets_go_of_what_waits() {
    let orchestrator = with(Agent::new(9).requests_per_minute(0));
    let running = orchestrator.start(graph([of_model("task".to_owned())])).expect("it starts");
    let waiting = Waiting::Rate { agent: Arc::from("model"), remaining: None };
    assert_eq!(running.why("task").await, Some(waiting));
    orchestrator.set_requests_per_minute("model", None);
    assert!(running.wait().await.expect("it lives").is_success());
}

#[tokio::test(start_paused = true)]
async fn tasks_share_the_memory_of_their_agent() {
    let orchestrator = with(Agent::new(9).memory_mb(1024));
    let task = |id, memory| until_stopped(id).agent("model").memory_mb(memory);
    let running = orchestrator
        .start(graph([task("first", 700), task("second", 400), task("third", 300)]))
        .expect("each fits alone");
    assert_eq!(running.why("third").await, Some(Waiting::Running), "it does not wait for others");
    let waiting =
        Waiting::Resource { resource: Arc::from("memory of model"), wanted: 400, free: 24 };
    assert_eq!(running.why("second").await, Some(waiting));
}

#[tokio::test]
async fn a_task_that_asks_for_more_than_there_can_be_is_refused_at_once() {
    let orchestrator = Orchestrator::builder()
        .agent("model", Agent::new(1).memory_mb(100))
        .resource("gpu", 2)
        .build()
        .expect("the settings are sound");
    let refused = |task| match orchestrator.start(graph([task])) {
        Err(StartError::TooMuch(why)) => why,
        other => panic!("it must be refused: {other:?}"),
    };
    let too_much = |resource: &str, wanted, capacity| TooMuch {
        task: "task".to_owned(),
        resource: resource.to_owned(),
        wanted,
        capacity,
    };
    let why = refused(echo("task").uses("gpu", 3));
    assert_eq!(why, too_much("gpu", 3, Some(2)));
    assert_eq!(why.to_string(), "task `task` takes 3 of `gpu`, of which there are only 2");
    assert_eq!(refused(echo("task").uses("tpu", 1)), too_much("tpu", 1, None));
    let why = refused(echo("task").agent("model").memory_mb(101));
    assert_eq!(why, too_much("memory of model", 101, Some(100)));
    orchestrator.set_resource("gpu", 3);
    let taken = orchestrator.run(graph([echo("task").uses("gpu", 3)])).await;
    assert!(taken.expect("now there is enough").is_success());
}

#[tokio::test(start_paused = true)]
async fn a_failing_agent_is_left_alone_until_its_cool_down_is_over() {
    let breaker = Breaker { failures: 2, cool_down: 10 * SECOND };
    let orchestrator = with(Agent::new(1).breaker(breaker));
    let fails = |id: &'static str| Task::new(id, async |_| Err::<(), _>("no")).agent("model");
    let tasks = [fails("one").priority(2), fails("two").priority(1), of_model("three".to_owned())];
    let began = Instant::now();
    let running = orchestrator.start(graph(tasks)).expect("it starts");
    let finished = running.wait().await.expect("it lives");
    let started = *finished.output::<Instant>("three").expect("it succeeded") - began;
    assert_eq!(started.as_secs(), 10);
}

/// Half after time-outs, one more otherwise, and what it was shown.
#[derive(Debug)]
struct Halve(tokio::sync::mpsc::UnboundedSender<Sample>);

impl Law for Halve {
    fn next(&mut self, limit: usize, sample: &Sample) -> usize {
        self.0.send(*sample).expect("the test listens");
        if sample.overloads > 0 { limit / 2 } else { limit + 1 }
    }
}

#[tokio::test(start_paused = true)]
async fn a_law_moves_the_limit_of_an_agent_by_what_is_measured() {
    let (shown, mut samples) = tokio::sync::mpsc::unbounded_channel();
    let orchestrator = with(Agent::new(4).adaptive(Halve(shown), SECOND));
    let mut events = orchestrator.events();
    let task = |id: String, seconds| {
        let work = move |_| async move {
            tokio::time::sleep(SECOND * seconds).await;
            Ok::<(), TaskError>(())
        };
        Task::new(id, work).agent("model").timeout(3 * SECOND / 4).grace(Duration::ZERO)
    };
    let tasks = (0..6).map(|at| task(format!("task {at}"), u32::from(at < 2)));
    orchestrator.run(graph(tasks)).await.expect("it runs");
    tokio::time::sleep(2 * SECOND).await;
    let mut limits = Vec::new();
    while let Some(Next::Event(event)) = events.try_next() {
        if let EventKind::AgentLimitChanged { to, .. } = event.kind {
            limits.push(to);
        }
    }
    assert_eq!(limits, [2, 3]);
    let first = samples.recv().await.expect("it was asked");
    assert_eq!((first.max_in_flight, first.overloads, first.error_rate), (4, 2, Some(2.0 / 6.0)));
    assert_eq!(first.latency.map(|latency| latency.count), Some(4), "of those that succeeded");
    assert_eq!(samples.recv().await.expect("it was asked").latency, None);
}

#[tokio::test(start_paused = true)]
async fn tenants_share_the_slots_by_weight() {
    let orchestrator = Orchestrator::builder()
        .limit(1)
        .tenant("small", 1.0)
        .tenant("large", 3.0)
        .build()
        .expect("the settings are sound");
    let work = |tenant: &'static str| {
        let task = |at: usize| {
            Task::new(format!("{tenant} {at}"), async |_| {
                tokio::time::sleep(SECOND).await;
                Ok::<Instant, TaskError>(Instant::now())
            })
        };
        graph((0..40).map(task)).tenant(tenant)
    };
    let small = orchestrator.start(work("small")).expect("it starts");
    let large = orchestrator.start(work("large")).expect("it starts");
    tokio::time::sleep(Duration::from_millis(40_500)).await;
    let small = small.status().await.expect("it is live").over;
    let large = large.status().await.expect("it is live").over;
    assert!((9..=11).contains(&small) && (29..=31).contains(&large), "{small} and {large}");
}

#[tokio::test]
async fn a_prioritizer_replaces_the_order_and_a_panic_of_it_takes_nothing_down() {
    let order = async |builder: tidegate_workflow::Builder| {
        let orchestrator = builder.limit(1).build().expect("the settings are sound");
        let mut events = orchestrator.events();
        let long = |seconds| Duration::from_secs(seconds);
        let tasks = [echo("long").estimate(long(9)), echo("short").estimate(long(1))];
        orchestrator.run(graph(tasks)).await.expect("it runs");
        let mut started = Vec::new();
        while let Some(Next::Event(event)) = events.try_next() {
            if let EventKind::TaskStarted { task, .. } = event.kind {
                started.push(task.to_string());
            }
        }
        started
    };
    let builder = Orchestrator::builder;
    assert_eq!(order(builder()).await, ["long", "short"]);
    assert_eq!(order(builder().prioritizer(Weighted::default())).await, ["short", "long"]);
    let panics = |_: &Facts| -> f64 { panic!("no idea") };
    assert_eq!(order(builder().prioritizer(panics)).await, ["long", "short"]);
}

#[tokio::test(start_paused = true)]
async fn limits_of_an_agent_change_while_it_works() {
    let orchestrator = with(Agent::new(1));
    let tasks = ["one", "two"].map(|id| until_stopped(id).agent("model"));
    let running = orchestrator.start(graph(tasks)).expect("it starts");
    assert_eq!(running.why("two").await, Some(Waiting::AgentLimit { agent: Arc::from("model") }));
    orchestrator.set_agent_limit("model", 2);
    assert_eq!(running.why("two").await, Some(Waiting::Running));
    running.cancel();
    let report = running.wait().await.expect("it lives").into_report();
    assert!(report.tasks.iter().all(|task| task.outcome == Outcome::Cancelled));
}

/// The agents of these tasks, in order.
fn agents_of(report: &tidegate_workflow::Report) -> Vec<&str> {
    report.tasks.iter().map(|task| &*task.agent).collect()
}

#[tokio::test(start_paused = true)]
async fn the_least_loaded_healthy_agent_of_several_gets_the_task() {
    let work = async |cx: Context| {
        tokio::time::sleep(SECOND).await;
        Ok::<_, TaskError>(cx.agent().to_owned())
    };
    let breaker = Breaker { failures: 1, cool_down: 60 * SECOND };
    let orchestrator = Orchestrator::builder()
        .limit(99)
        .agent("large", 4)
        .agent("small", 2)
        .agent("ill", Agent::new(50).breaker(breaker))
        .build()
        .expect("the settings are sound");
    let three = ["ill", "large", "small"];
    // While it is healthy, the one with the most room.
    let fails = Task::new("fails", async |_| Err::<(), _>("no")).any_agent(three);
    let report = orchestrator.run(graph([fails])).await.expect("it runs").into_report();
    assert_eq!(agents_of(&report), ["ill"]);
    // Its breaker is open now: the others share by what they may.
    let tasks = (0..6).map(|at| Task::new(format!("{at}"), work).any_agent(three));
    let finished = orchestrator.run(graph(tasks)).await.expect("it runs");
    let report = finished.report();
    assert_eq!((report.by_agent()["large"].tasks, report.by_agent()["small"].tasks), (4, 2));
    for task in &report.tasks {
        let told = finished.output::<String>(&task.id).expect("it returned");
        assert_eq!(*told, *task.agent, "the work knows whom to call");
    }
    assert_eq!(report.makespan, SECOND, "nobody waited");
    // And so into a live run.
    let running = orchestrator.start(graph([until_stopped("hold").agent("large")]));
    let running = running.expect("it starts");
    for id in ["x", "y"] {
        running.submit(Task::new(id, work).any_agent(["large", "small"]), &[]).await.expect("new");
    }
    tokio::time::sleep(2 * SECOND).await;
    running.cancel();
    let report = running.wait().await.expect("it ends").into_report();
    // 2 of 4 against 1 of 2: the first named; then 3 of 4 against 1 of 2.
    assert_eq!(agents_of(&report), ["large", "large", "small"]);
}

#[tokio::test]
async fn of_one_agent_and_several_those_that_were_named_last_count() {
    let orchestrator = Orchestrator::builder().agent("a", 1).agent("b", 9).agent("c", 9);
    let orchestrator = orchestrator.build().expect("the settings are sound");
    let ask =
        |id: &str| Task::new(id, async |cx: Context| Ok::<_, TaskError>(cx.agent().to_owned()));
    let tasks = [
        ask("one").any_agent(["b", "c"]).agent("a"),
        ask("several").agent("a").any_agent(["b"]),
        ask("none"),
    ];
    let finished = orchestrator.run(graph(tasks)).await.expect("it runs");
    let told = ["one", "several", "none"].map(|id| finished.output::<String>(id).expect("it ran"));
    assert_eq!(told.map(|of| of.to_string()), ["a", "b", tidegate_workflow::DEFAULT_AGENT]);
}

#[tokio::test(start_paused = true)]
async fn a_further_attempt_goes_to_another_agent_when_the_first_has_failed() {
    let breaker = Breaker { failures: 1, cool_down: 600 * SECOND };
    let orchestrator = Orchestrator::builder()
        .agent("first", Agent::new(9).breaker(breaker))
        .agent("second", 1)
        .build()
        .expect("the settings are sound");
    let task = Task::new(
        "task",
        async |cx: Context| {
            if cx.attempt() == 1 { Err("no connection") } else { Ok(()) }
        },
    );
    let task = task.any_agent(["first", "second"]).retry(tidegate_workflow::Retry::attempts(2));
    let report = orchestrator.run(graph([task])).await.expect("it runs").into_report();
    assert_eq!((agents_of(&report), report.is_success()), (vec!["second"], true));
}

#[tokio::test]
async fn a_task_that_one_of_its_agents_could_never_bear_is_refused() {
    let orchestrator = Orchestrator::builder()
        .agent("large", Agent::new(1).memory_mb(1000))
        .agent("small", Agent::new(1).memory_mb(10))
        .build()
        .expect("the settings are sound");
    let task = echo("task").any_agent(["large", "small"]).memory_mb(100);
    match orchestrator.start(graph([task])) {
        Err(StartError::TooMuch(why)) => assert_eq!(why.resource, "memory of small"),
        other => panic!("it must be refused: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_moves_to_another_agent_is_told_as_that_agents() {
    let orchestrator =
        Orchestrator::builder().limit(9).agent("a", 1).agent("b", 1).build().expect("sound");
    let tasks = [
        until_stopped("of a").agent("a"),
        until_stopped("of b").agent("b"),
        echo("of either").any_agent(["a", "b"]),
    ];
    let run = orchestrator.start(graph(tasks)).expect("it is open");
    assert_eq!(run.why("of either").await, Some(Waiting::AgentLimit { agent: "a".into() }));
    // Nobody has told the task of the change; it is put in line anew.
    orchestrator.set_agent_limit("b", 2);
    run.set_priority("of either", 1);
    tokio::time::sleep(SECOND).await;
    run.cancel();
    let report = run.wait().await.expect("it runs").into_report();
    assert_eq!(
        (report.tasks[2].outcome.clone(), &*report.tasks[2].agent),
        (Outcome::Succeeded, "b")
    );
}

#[tokio::test(start_paused = true)]
async fn the_probe_of_an_agent_that_was_ill_may_wait_for_a_task_of_the_same_agent() {
    let breaker = Breaker { failures: 1, cool_down: SECOND };
    let model = Agent::new(4).breaker(breaker);
    let builder = Orchestrator::builder().limit(4).agent("model", model);
    let orchestrator = builder.build().expect("the settings are sound");
    let mut graph = Graph::new();
    graph.add(Task::new("fails", async |_| Err::<(), _>("no")).agent("model")).expect("no cycle");
    let probe = Task::new("probe", async |cx: Context| {
        let part = Task::new("part", async |_| Ok::<_, TaskError>(7_u32)).agent("model");
        Ok::<u32, TaskError>(*cx.sub_task(part).await?)
    });
    graph.add(probe.agent("model").wants(["fails"])).expect("no cycle");
    let run = orchestrator.run(graph);
    let finished = tokio::time::timeout(60 * SECOND, run).await.expect("it ends");
    assert_eq!(finished.expect("it runs").output("probe").ok().as_deref(), Some(&7_u32));
}

#[tokio::test(start_paused = true)]
async fn a_law_learns_how_long_successes_take_and_of_those_a_tenth() {
    #[derive(Debug)]
    struct Looks(Arc<parking_lot::Mutex<Vec<Sample>>>);
    impl Law for Looks {
        fn next(&mut self, limit: usize, sample: &Sample) -> usize {
            self.0.lock().push(*sample);
            limit
        }
    }
    let seen = Arc::default();
    let law = Looks(Arc::clone(&seen));
    let orchestrator = with(Agent::new(99).adaptive(law, 100 * SECOND));
    // One takes one second, the others ten to fifty; some fail at once.
    let tasks = (0..50_u32).map(|at| {
        let took = if at == 0 { SECOND } else { (10 + at % 5 * 10) * SECOND };
        Task::new(format!("{at}"), move |_| async move {
            if at % 5 == 4 {
                return Err(TaskError::fatal("refused"));
            }
            tokio::time::sleep(took).await;
            Ok(())
        })
        .agent("model")
    });
    let hold = Task::new("hold", async |_| {
        tokio::time::sleep(150 * SECOND).await;
        Ok::<(), TaskError>(())
    });
    orchestrator.run(graph(tasks.chain([hold]))).await.expect("it starts");
    let sample = seen.lock()[0];
    let latency = sample.latency.expect("some have succeeded");
    assert_eq!((latency.count, latency.min), (40, SECOND));
    assert_eq!((latency.p10, latency.p50), (10 * SECOND, 20 * SECOND));
    assert_eq!(sample.error_rate, Some(0.2));
}
