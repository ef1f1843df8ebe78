//! A service that runs for long: many graphs at once, agents that fail and recover, a model whose capacity changes, goals that
//! are planned and mended, and cron beside them. At its end every metric is what the books say, the limit has followed
//! the capacity, and the memory is what it was.
//!
//! Time is virtual: the clock goes on when nothing else does. 20,000 tasks; a million by
//! `TIDEGATE_NIGHTLY=1 cargo test --release -p tidegate-workflow --all-features --test service -- --nocapture`.

#![expect(clippy::print_stdout, reason = "the figures, for whoever wants to see them")]

mod backend;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tidegate_workflow::laws::Aimd;
use tidegate_workflow::planner::{Plan, Planning, Step, StepInputs, TablePlanner, Workers};
use tidegate_workflow::schedule::{Job, JobEnd, Missed, Overlap, Scheduler, Timestamp};
use tidegate_workflow::telemetry::Registry;
use tidegate_workflow::{
    Agent, Breaker, Context, Graph, Next, Orchestrator, Retry, Task, TaskError,
};
use tokio::time::{interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use backend::{Backend, CAPACITIES, LATENCY, PHASE};
use tally::Tally;

/// How often the model's limit may change.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long a task of `go` takes.
const ALONE: Duration = Duration::from_millis(10);

struct Service {
    scheduler: Arc<Scheduler>,
    registry: Registry,
    backend: Arc<Backend>,
    tally: Mutex<Tally>,
    alone: Arc<[AtomicU64; 2]>,
    hung: AtomicU64,
}

#[test]
fn a_service_keeps_its_books_its_limits_and_its_memory() {
    let tasks = if std::env::var_os("TIDEGATE_NIGHTLY").is_some() { 1_000_000 } else { 20_000 };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime starts");
    runtime.block_on(serve(tasks));
}

async fn serve(tasks: u64) {
    let registry = Registry::new();
    let backend = Arc::new(Backend::new());
    let law = Aimd { min: 1, max: 100, timeout: LATENCY.mul_f64(1.25), ..Aimd::default() };
    let breaker = Breaker { failures: 4, cool_down: Duration::from_millis(200) };
    let orchestrator = Orchestrator::builder()
        .limit(256)
        .agent("model", Agent::new(8).adaptive(law, INTERVAL))
        .agent("tool", Agent::new(8).breaker(breaker))
        .agent_default(64)
        .registry(registry.clone())
        .event_capacity(1 << 13)
        .build()
        .expect("the settings are sound");
    let mut events = orchestrator.events();
    let clock = Arc::clone(&backend);
    let scheduler =
        Scheduler::new(orchestrator).clock(move || Timestamp::UNIX_EPOCH + clock.uptime());
    let service = Arc::new(Service {
        scheduler: Arc::new(scheduler),
        registry,
        backend,
        tally: Mutex::default(),
        alone: Arc::default(),
        hung: AtomicU64::new(0),
    });
    let heard = tokio::spawn({
        let service = Arc::clone(&service);
        async move {
            while let Some(next) = events.next().await {
                match next {
                    Next::Event(event) => service.tally.lock().event(&event.kind),
                    Next::Lost(lost) => panic!("{lost} events are lost"),
                }
            }
        }
    });
    let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
    let cron = tokio::spawn(Arc::clone(&service).cron(stop.clone()));
    let watch = tokio::spawn(Arc::clone(&service).watch(tasks, stopped.clone()));
    tokio::join!(service.calls(tasks), service.trials(tasks), service.goals(tasks));
    stopped.cancel();
    // In the middle of a second nothing of cron is under way.
    let seconds = service.backend.uptime().as_secs() + 1;
    let began = tokio::time::Instant::now() - service.backend.uptime();
    sleep_until(began + Duration::from_secs(seconds) + Duration::from_millis(500)).await;
    stop.cancel();
    cron.await.expect("cron ends");
    let memory = watch.await.expect("the watch ends");
    let first = service.scheduler.orchestrator().wait().await.expect_err("some fail");
    assert_eq!(first.task.as_ref(), "alone");

    let Service { scheduler, registry, backend, tally, alone, hung } =
        Arc::into_inner(service_of(service, heard).await).expect("nobody else has it");
    drop(scheduler);
    let mut tally = tally.into_inner();
    tally.alone = [0, 1].map(|at| alone[at].load(Ordering::Relaxed));
    assert_eq!(tally.cron, seconds, "one run each second");
    assert_eq!(tally.calls, backend.calls(), "the model has seen every attempt");
    tally.agrees_with(&registry, hung.into_inner(), ALONE);
    println!("resident: {memory:?} KiB at each quarter");
    // A tenth of what a task takes that is not over.
    let bound = memory[0] + 1024 + tasks * 4 / 1024;
    assert!(memory[3] < bound, "it grows: {memory:?} KiB at each quarter");
}

/// The service, once all events are heard.
async fn service_of(service: Arc<Service>, heard: tokio::task::JoinHandle<()>) -> Arc<Service> {
    // What has been told is read before a timer rings.
    sleep(Duration::from_millis(1)).await;
    heard.abort();
    assert!(heard.await.is_err_and(|error| error.is_cancelled()), "no event was lost");
    service
}

impl Service {
    async fn run<K>(&self, graph: Graph<K>) {
        self.tally.lock().submitted += graph.len() as u64;
        let finished = self.scheduler.orchestrator().run(graph).await.expect("it runs");
        self.tally.lock().report(finished.report());
    }

    /// Four fifths of the tasks: many calls of the model, gathered.
    async fn calls(&self, tasks: u64) {
        let batch = |_| self.run(self.batch());
        futures::stream::iter(0..tasks * 8 / 10 / 50).for_each_concurrent(8, batch).await;
    }

    fn batch(&self) -> Graph {
        let mut graph = Graph::new();
        let quick = Retry { first_delay: INTERVAL, ..Retry::attempts(4) };
        for call in 0..40 {
            let backend = Arc::clone(&self.backend);
            let work = move |_| {
                let backend = Arc::clone(&backend);
                async move { backend.call().await }
            };
            let task = Task::new(format!("call {call}"), work).agent("model").retry(quick);
            graph.add(task).expect("no cycle");
        }
        for part in 0..9 {
            let calls = (0..40).filter(|call| call % 9 == part).map(|call| format!("call {call}"));
            let calls: Vec<String> = calls.collect();
            let wanted = calls.clone();
            let work = move |cx: Context| {
                let there = wanted.iter().filter(|call| cx.input::<u64>(call).is_ok()).count();
                async move { Ok::<_, TaskError>(there) }
            };
            graph.add(Task::new(format!("part {part}"), work).wants(calls)).expect("no cycle");
        }
        let parts = (0..9).map(|part| format!("part {part}"));
        let all = Task::new("all", async |_| Ok::<(), TaskError>(())).needs(parts);
        graph.add(all).expect("no cycle");
        graph
    }

    /// About a seventh: a tool that fails and recovers, what then is skipped or replaced, what hangs, what is cancelled,
    /// and single tasks.
    async fn trials(&self, tasks: u64) {
        let trial = |trial| async move {
            self.alone(trial);
            let (graph, is_cancelled) = (self.trial(trial), trial % 25 == 3);
            self.tally.lock().submitted += graph.len() as u64;
            let running = self.scheduler.orchestrator().start(graph).expect("it starts");
            if is_cancelled {
                running.cancel();
            }
            let finished = running.wait().await.expect("it ends");
            self.tally.lock().report(finished.report());
        };
        futures::stream::iter(0..tasks * 15 / 100 / 11).for_each_concurrent(4, trial).await;
    }

    fn alone(&self, trial: u64) {
        self.tally.lock().submitted += 1;
        let counts = Arc::clone(&self.alone);
        let work = move |_| async move {
            sleep(ALONE).await;
            let fails = trial % 10 == 7;
            counts[usize::from(fails)].fetch_add(1, Ordering::Relaxed);
            if fails { Err("no") } else { Ok(()) }
        };
        self.scheduler.orchestrator().go("alone", work).expect("it is open");
    }

    fn trial(&self, trial: u64) -> Graph {
        let mut graph = Graph::new();
        let mut add = |task| graph.add(task).expect("no cycle");
        let quick = Retry { first_delay: INTERVAL, ..Retry::attempts(3) };
        for at in 0..4 {
            let backend = Arc::clone(&self.backend);
            let work = move |_| {
                let backend = Arc::clone(&backend);
                async move { backend.tool().await }
            };
            add(Task::new(format!("use {at}"), work).agent("tool").retry(quick));
        }
        let nothing = |id: &str| Task::new(id, async |_| Ok::<(), TaskError>(()));
        add(nothing("after").needs(["use 0", "use 1"]));
        add(nothing("instead").on_failure(["use 2"]));
        add(nothing("declined").when(move |_| !trial.is_multiple_of(5)));
        add(nothing("last").wants(["after", "instead", "declined", "use 3"]));
        add(nothing("priority").priority(5));
        let hangs = trial % 20 == 1;
        self.hung.fetch_add(u64::from(hangs), Ordering::Relaxed);
        let work = move |_| async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok::<(), TaskError>(())
        };
        add(Task::new("may hang", work).timeout(INTERVAL).grace(Duration::ZERO));
        graph
    }

    /// The rest: goals that a planner turns into graphs. Where the first agent is out of order, another step is put in.
    async fn goals(&self, tasks: u64) {
        let table = TablePlanner::new()
            .otherwise(Plan::single("{goal}", "first"))
            .if_fails("first", Plan::single("{instruction}", "second"));
        let backend = Arc::clone(&self.backend);
        let workers = Workers::new()
            .with("first", move |_: Step, _: StepInputs| {
                let backend = Arc::clone(&backend);
                async move { backend.tool().await.map(|()| json!("first")) }
            })
            .with("second", async |step: Step, _: StepInputs| {
                Ok::<Value, TaskError>(json!(step.instruction))
            });
        let planning = Planning::new(table, workers, "second", 1);
        for goal in 0..tasks * 5 / 100 / 3 {
            let goal = format!("goal {}", goal % 10);
            let outline = planning.outline(&goal).await;
            self.run(planning.graph(&goal, &outline.plan).expect("the plan is sound")).await;
        }
    }

    /// A small graph each second, until it is stopped.
    async fn cron(self: Arc<Self>, stop: CancellationToken) {
        let graph = || {
            let mut graph = Graph::new();
            for id in ["sweep", "report"] {
                let work = async |_| {
                    sleep(LATENCY).await;
                    Ok::<(), TaskError>(())
                };
                graph.add(Task::new(id, work)).expect("no cycle");
            }
            graph
        };
        let job = Job::cron("each second", "* * * * * *", "UTC", graph).expect("it is a schedule");
        let job = job.missed(Missed::Each { at_most: 100 }).overlap(Overlap::Allow);
        self.scheduler.add(job).expect("it is the only one");
        let told = |done: tidegate_workflow::schedule::JobReport| {
            let JobEnd::Ran(report) = &done.end else { panic!("{done:?}") };
            assert!(report.is_success(), "{report}");
            let mut tally = self.tally.lock();
            tally.submitted += 2;
            tally.cron += 1;
            tally.report(report);
        };
        Arc::clone(&self.scheduler).run(stop, told).await;
    }

    /// Looks at the model's limit while there are calls, and at the memory at each quarter of the tasks.
    async fn watch(self: Arc<Self>, tasks: u64, stopped: CancellationToken) -> Vec<u64> {
        let mut memory = Vec::new();
        let mut looks = [(0_u32, usize::MAX, 0); CAPACITIES.len()];
        let mut ticks = interval(INTERVAL);
        while !stopped.is_cancelled() {
            ticks.tick().await;
            let of_model = |name: &str| {
                let value = self.registry.value_of(name, &[("agent", "model")]);
                value.expect("it is there") as usize
            };
            if self.backend.calls() == 0 {
                continue;
            }
            let (limit, inflight) = (
                of_model("orchestrator_agent_concurrency_limit"),
                of_model("orchestrator_agent_inflight_tasks"),
            );
            assert!(self.backend.busy() <= inflight, "an attempt runs that is not counted");
            let (phase, since) = self.backend.phase();
            let is_wanted = self.registry.value("orchestrator_ready_tasks") > Some(0.0);
            if since > PHASE / 2 && is_wanted {
                let (count, least, most) = &mut looks[phase];
                (*count, *least, *most) = (*count + 1, limit.min(*least), limit.max(*most));
            }
            let over = self.registry.sum("orchestrator_tasks_total").expect("it is there");
            while memory.len() < 4 && over >= (tasks * (memory.len() as u64 + 1) / 4) as f64 {
                memory.push(resident());
            }
        }
        memory.resize(4, resident());
        println!("after {:?}: limit by capacity {CAPACITIES:?}: {looks:?}", self.backend.uptime());
        for (capacity, (count, least, most)) in CAPACITIES.into_iter().zip(looks) {
            assert!(count > 20, "capacity {capacity} was not seen for long: {count} looks");
            let near = capacity * 2 / 3..=capacity * 3 / 2 + 1;
            assert!(
                near.contains(&least) && near.contains(&most),
                "at capacity {capacity} the limit went from {least} to {most}"
            );
        }
        memory
    }
}

/// The process's resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is there");
    let number = line.trim().trim_end_matches(" kB");
    number.parse().expect("a number")
}
