//! The guide: the first graph, then each power with an example that runs. Nothing to call is in here.
//!
//! # The first graph in ten lines
//! ```
//! use tidegate_workflow::{Graph, Orchestrator};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut graph = Graph::new();
//! let text = graph.task("text").run(async |()| Ok("to be or not to be".to_owned()))?;
//! let words = graph.task("words").after(&text).run(async |text| Ok(text.split(' ').count()))?;
//! let letters = graph.task("letters").after(&text).run(async |text| Ok(text.len()))?;
//! let mean = graph.task("mean").after((&letters, &words)).run(async |(l, w)| Ok(*l / *w))?;
//! let finished = Orchestrator::builder().build()?.run(graph).await?;
//! assert_eq!(*finished.get(&mean)?, 3);
//! # Ok(()) }
//! ```
//! `words` and `letters` run at the same time, because nothing says that one needs the other. Types follow from the handles;
//! those that do not fit do not compile. The same graph [by id](crate::Graph::add), in any order, is for programs that read it
//! from somewhere.
//!
//! # Limits and agents
//! An agent is whatever can bear only so much: a model, a service, a card. Each has its own limits, beside the overall one. A
//! blocked agent blocks only itself.
//! ```
//! use tidegate_workflow::{Agent, Graph, Orchestrator, Task, TaskError};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let orchestrator = Orchestrator::builder()
//!     .limit(64)
//!     .agent("model", Agent::new(8).requests_per_minute(60).memory_mb(4096))
//!     .resource("licences", 2)
//!     .build()?;
//! let mut graph = Graph::new();
//! for page in 0..10 {
//!     let work = async |_| Ok::<(), TaskError>(());
//!     let task = Task::new(format!("page {page}"), work).agent("model").memory_mb(1024);
//!     graph.add(task.uses("licences", 1))?;
//! }
//! let report = orchestrator.run(graph).await?.into_report();
//! assert_eq!(report.peak, 2, "two licences are the tightest of these limits");
//! orchestrator.set_agent_limit("model", 4); // and so on, while it works
//! # Ok(()) }
//! ```
//! Several agents that can do the same: [`Task::any_agent`](crate::Task::any_agent).
//!
//! # Priorities
//! Among what is ready, [`priority`](crate::Task::priority) decides, then the longest estimated way to the end, then who came
//! first. Of tasks that have a [`kind`](crate::Task::kind), durations are learned. Or say it yourself:
//! ```
//! use tidegate_workflow::{Facts, Orchestrator, Weighted};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let shortest_first = |facts: &Facts| -facts.estimate.as_secs_f64();
//! let orchestrator = Orchestrator::builder().prioritizer(shortest_first).build()?;
//! let weighted = Orchestrator::builder().prioritizer(Weighted::default()).build()?;
//! # drop((orchestrator, weighted)); Ok(()) }
//! ```
//!
//! # Retries and time-outs
//! A time-out asks the attempt to stop by its token; only after the grace period it is dropped. What it returns until then
//! counts.
//! ```
//! use std::time::Duration;
//! use tidegate_workflow::{Context, Graph, Orchestrator, Outcome, Retry, Task, TaskError};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut graph = Graph::new();
//! let flaky = async |cx: Context| if cx.attempt() < 3 { Err("busy") } else { Ok(cx.attempt()) };
//! graph.add(Task::new("flaky", flaky).retry(Retry::attempts(5)))?;
//! let hopeless = async |_| Err::<(), _>(TaskError::fatal("no such model"));
//! graph.add(Task::new("hopeless", hopeless).retry(Retry::attempts(5)))?;
//! let hangs = async |_| Ok::<(), TaskError>(std::future::pending().await);
//! graph.add(Task::new("hangs", hangs).timeout(Duration::from_secs(30)))?;
//!
//! let finished = Orchestrator::builder().build()?.run(graph).await?;
//! assert_eq!(*finished.output::<u32>("flaky")?, 3);
//! assert_eq!(finished.report().tasks[1].attempts, 1, "another would be in vain");
//! assert_eq!(finished.report().tasks[2].outcome, Outcome::TimedOut);
//! # Ok(()) }
//! ```
//!
//! # Conditions and fallbacks
//! ```
//! use tidegate_workflow::{Context, Graph, Orchestrator, Outcome, Task, TaskError};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut graph = Graph::new();
//! graph.add(Task::new("live", async |_| Err::<u32, _>("no connection")))?;
//! graph.add(Task::new("archive", async |_| Ok::<u32, TaskError>(7)).on_failure(["live"]))?;
//! let either = async |cx: Context| Ok::<_, TaskError>(*cx.first_input::<u32>(&["live", "archive"])?);
//! graph.add(Task::new("answer", either).wants(["live", "archive"]))?;
//! let is_large = |cx: &Context| cx.input::<u32>("answer").is_ok_and(|answer| *answer > 100);
//! let alarm = async |_| Ok::<(), TaskError>(());
//! graph.add(Task::new("alarm", alarm).needs(["answer"]).when(is_large))?;
//!
//! let finished = Orchestrator::builder().build()?.run(graph).await?;
//! assert_eq!(*finished.output::<u32>("answer")?, 7);
//! assert_eq!(finished.report().tasks[3].outcome, Outcome::Declined);
//! # Ok(()) }
//! ```
//!
//! # Work that computes, blocks, or must not be trusted
//! [`Task::offloaded`](crate::Task::offloaded) takes plain functions to the pool of their kind. What must end when it is
//! told to, whatever it does, is known by its [name](crate::executor) and runs in
//! [worker processes](crate::executor::Processes).
//! ```
//! use tidegate_workflow::pools::{Kind, Priority};
//! use tidegate_workflow::{Graph, Orchestrator};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut graph = Graph::new();
//! let text = graph.task("read").offload(Kind::Blocking, |()| Ok(std::fs::read_to_string("Cargo.toml")?))?;
//! let sum = graph.task("sum").after(&text).offload(Kind::Cpu(Priority::High), |text| {
//!     Ok(text.bytes().map(u64::from).sum::<u64>())
//! })?;
//! let finished = Orchestrator::builder().build()?.run(graph).await?;
//! assert!(*finished.get(&sum)? > 0);
//! # Ok(()) }
//! ```
//!
//! # Adding to a live run
//! What a task finds out may be more tasks: it adds them [before](crate::Run::submit) one that still waits.
//! ```
//! use tidegate_workflow::{Context, Graph, Orchestrator, Task, TaskError};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut graph = Graph::new();
//! let plan = async |cx: Context| {
//!     for page in 0..3 {
//!         let work = move |_| async move { Ok::<u32, TaskError>(page) };
//!         cx.run().submit(Task::new(format!("page {page}"), work), &["gather"]).await?;
//!     }
//!     Ok::<(), TaskError>(())
//! };
//! graph.add(Task::new("plan", plan))?;
//! let gather = async |cx: Context| Ok::<_, TaskError>(*cx.input::<u32>("page 2")?);
//! graph.add(Task::new("gather", gather).needs(["plan"]))?;
//! let finished = Orchestrator::builder().build()?.run(graph).await?;
//! assert_eq!((*finished.output::<u32>("gather")?, finished.report().tasks.len()), (2, 5));
//! # Ok(()) }
//! ```
//! With typed inputs: [`Task::typed`](crate::Task::typed).
//!
//! # Tasks within tasks
//! A task can run a [graph](crate::Context::sub_graph), a task for each item of a [list](crate::Context::map) with a limit of
//! the map's own, or [stages](crate::Flow) that work on items while these are still produced. It holds no slot meanwhile.
//! ```
//! use tidegate_workflow::{Context, Flow, Graph, Orchestrator, Task, TaskError};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let orchestrator = Orchestrator::builder().limit(1).build()?;
//! fn square(n: u64) -> Task {
//!     Task::new("square", move |_| async move { Ok::<_, TaskError>(n * n) })
//! }
//! let mut graph = Graph::new();
//! graph.add(Task::new("map", async |cx: Context| {
//!     let squares = cx.map::<u64>(3, (1..=10).map(square)).await?;
//!     Ok::<u64, TaskError>(squares.iter().map(|square| **square).sum())
//! }))?;
//! graph.add(Task::new("flow", async |cx: Context| {
//!     let numbers = Flow::source(2, async |sink| {
//!         for n in 1..=10 {
//!             sink.send(n).await?; // waits for room
//!         }
//!         Ok(())
//!     });
//!     let mut sum = 0;
//!     let add = |square: std::sync::Arc<u64>| { sum += *square; Ok(()) };
//!     numbers.stage("square", 3, 2, square).run(&cx, add).await?;
//!     Ok::<u64, TaskError>(sum)
//! }))?;
//! let finished = orchestrator.run(graph).await?;
//! assert_eq!((*finished.output::<u64>("map")?, *finished.output::<u64>("flow")?), (385, 385));
//! # Ok(()) }
//! ```
//! What many tasks want of one agent goes there together by [`Orchestrator::batch`](crate::Orchestrator::batch). What other
//! limits would have made of a run: [`whatif`](crate::whatif).
//!
//! # Running again
//! One task, or it with everything downstream, in a live run; and a finished run again but for what is to stay:
//! [`Graph::rerun`](crate::Graph::rerun).
//! ```
//! use tidegate_workflow::{Graph, Orchestrator, Reach};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut graph = Graph::new();
//! let draft = graph.task("draft").run_with(async |cx, ()| Ok(cx.attempt()))?;
//! let text = graph.task("text").after(&draft).run(async |draft| Ok(format!("draft {draft}")))?;
//! graph.task("review").after(&text).run_with(async |cx, text| {
//!     if *text == "draft 1" {
//!         cx.run().rerun("draft", Reach::Downstream).await?; // the review, too
//!     }
//!     Ok(())
//! })?;
//! let finished = Orchestrator::builder().build()?.run(graph.keep_work()).await?;
//! assert_eq!(*finished.get(&text)?, "draft 2");
//! # Ok(()) }
//! ```
//!
//! # Pipelines of agents
//! Stages are agents at work on a request. A [pipeline](crate::pipeline) is built once and asked any number of times, a router
//! chooses among several. An answer says who was missing.
//! ```
//! use std::time::Duration;
//! use tidegate_workflow::pipeline::{Draft, Router};
//! use tidegate_workflow::{Agent, Orchestrator};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut draft = Draft::<str>::new("research").about("questions that need looking up");
//! let terms = draft.stage("reader").run(async |question, ()| Ok(question.to_lowercase()))?;
//! let books = draft.stage("books").after(&terms).run(async |_, terms| Ok(format!("a book on {terms}")))?;
//! // One agent may work at several stages; this one is too slow for it.
//! let web = draft.stage("web").agent("browser").timeout(Duration::from_secs(5)).after(&terms);
//! let web = web.run(async |_, _| Ok(std::future::pending::<String>().await))?;
//! let writer = draft.stage("writer").after((&books, web.optional()));
//! let answer = writer.run(async |question, (books, _web)| Ok(format!("{question}? Read {books}.")))?;
//! let research = draft.answer(&answer)?;
//!
//! let mut draft = Draft::<str>::new("greeting").about("greetings");
//! let hello = draft.stage("host").run(async |_, ()| Ok("Hello!".to_owned()))?;
//! let greeting = draft.answer(&hello)?;
//!
//! let router = Router::new(&research).when(|question| question.starts_with("hello"), &greeting);
//! let orchestrator = Orchestrator::builder().agent("browser", Agent::new(2).requests_per_minute(60)).build()?;
//! let (route, answer) = router.ask(&orchestrator, "Spiders").await;
//! let answer = answer?;
//! assert_eq!((&*route.pipeline, answer.value.as_str()), ("research", "Spiders? Read a book on spiders."));
//! assert_eq!(answer.missing[0].to_string(), "agent `browser` at stage `web` timed out");
//! let (_, hello) = router.ask(&orchestrator, "hello there").await;
//! assert_eq!(*hello?.value, "Hello!");
//! let statistics = router.statistics();
//! assert_eq!((statistics.degraded, statistics.complete), (1, 1));
//! # Ok(()) }
//! ```
//! `Router::model` (feature `http`) lets a model choose. The example `answers` is such a system over this repository.
//!
//! # What is going on
//! ```
//! use std::time::Duration;
//! use tidegate_workflow::{EventKind, Graph, Next, Orchestrator, Task, TaskError, Waiting};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let orchestrator = Orchestrator::builder().limit(1).build()?;
//! let mut events = orchestrator.events();
//! let mut graph = Graph::new();
//! for id in ["first", "second"] {
//!     let work = async |_| Ok::<(), TaskError>(tokio::time::sleep(Duration::from_secs(9)).await);
//!     graph.add(Task::new(id, work).estimate(Duration::from_secs(9)))?;
//! }
//! let running = orchestrator.start(graph)?;
//! assert_eq!(running.why("second").await, Some(Waiting::Limit));
//! let status = running.status().await.ok_or("it is live")?;
//! assert_eq!((status.running.len(), status.progress(), status.remaining.mean.as_secs()), (1, 0.0, 18));
//!
//! println!("{}", running.wait().await?.into_report());
//! let mut ends = 0;
//! while let Some(Next::Event(event)) = events.try_next() {
//!     ends += u32::from(matches!(event.kind, EventKind::TaskEnded { .. }));
//! }
//! assert_eq!(ends, 2);
//! # Ok(()) }
//! ```
//! For machines there are metrics, named at [`Orchestrator`](crate::Orchestrator), and `tracing` spans:
//! one for the run, in it one for each task, in that one for each attempt. What an attempt calls can go on with the trace by
//! [`Context::trace_parent`](crate::Context::trace_parent), as chat tasks do by themselves, and a run with the trace of whoever
//! asked for it by [`Graph::trace_parent`](crate::Graph::trace_parent). With the feature `otel`, and the layer of
//! `tracing-opentelemetry` on the subscriber, that place is the very span that the exporter gets; with the feature `otlp`, module
//! `otlp` has that layer, and sends the spans to a collector.
//!
//! # A limit that follows
//! ```
//! use tidegate_workflow::telemetry::Registry;
//! use tidegate_workflow::{Config, Orchestrator, RegistrySource};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new();
//! let queue = registry.gauge("queue_depth", "Requests that wait.")?;
//! let source = RegistrySource::new(registry.clone()).queue_depth("queue_depth");
//! let config = Config {
//!     base_limit: 2,
//!     min_limit: 1,
//!     max_limit: 5,
//!     queue_high_watermark: 10.0,
//!     gpu_wait_high: 0.0, // off
//!     error_rate_high: 0.0,
//!     ..Config::default()
//! };
//! let pause = 2 * config.adaptation_interval;
//! let orchestrator = Orchestrator::builder().adaptive(config, source).registry(registry).build()?;
//! queue.set(30.0);
//! tokio::time::sleep(pause).await;
//! assert!(orchestrator.limit() > 2);
//! # Ok(()) }
//! ```
//! [`Builder::law`](crate::Builder::law) takes any [law](crate::laws), [`Agent::adaptive`](crate::Agent::adaptive) one for an
//! agent, by what is measured of it.
//!
//! # What the machine can bear
//! A source beside the queue: processors, memory, load and pressure of the machine and of its control group, as a share of what
//! counts as high. What a source cannot read changes nothing, and is told.
//! ```
//! use tidegate_workflow::telemetry::Registry;
//! use tidegate_workflow::{Config, MachineSource, MachineUse, Orchestrator, RegistrySource, Source};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new();
//! let high = MachineUse { memory: Some(0.9), cpu_pressure: Some(0.5), ..MachineUse::default() };
//! let machine = MachineSource::new().high(high).publish(&registry)?;
//! let queue = RegistrySource::new(registry.clone()).queue_depth("orchestrator_ready_tasks");
//! let config = Config { gpu_wait_high: 1.0, error_rate_high: 0.0, ..Config::default() };
//! let pause = 2 * config.adaptation_interval;
//! let orchestrator =
//!     Orchestrator::builder().registry(registry.clone()).adaptive(config, queue.and(machine)).build()?;
//! tokio::time::sleep(pause).await;
//! if let Some(trouble) = orchestrator.source_trouble() {
//!     println!("{} reads left something out: {}", trouble.count, trouble.why); // no pressure in this kernel
//! }
//! # #[cfg(target_os = "linux")]
//! assert!(registry.value("machine_memory_use_ratio").is_some_and(|share| share > 0.0));
//! # Ok(()) }
//! ```
//! NVIDIA's cards: `GpuSource`, feature `nvml`. Whatever another program shows as Prometheus text: `HttpSource`, feature `http`.
//!
//! # Alerts
//! Rules on metrics, evaluated in this process; the same rules as a file for a Prometheus server.
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use tidegate_workflow::Orchestrator;
//! use tidegate_workflow::alert::{Alerts, Rules};
//! use tidegate_workflow::telemetry::Registry;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new();
//! let orchestrator = Orchestrator::builder().registry(registry.clone()).limit(0).build()?;
//! let alerts = Arc::new(Alerts::new(&registry, Rules::shipped())?);
//! let mut changes = alerts.changes();
//! let watching = Arc::clone(&alerts);
//! tokio::spawn(async move { watching.watch(Duration::from_secs(15)).await });
//!
//! orchestrator.go("waits", async |_token| Ok::<(), std::io::Error>(()))?;
//! let pending = changes.next().await.ok_or("the alerts are there")?;
//! println!("{pending}"); // TidegateStalled pending (critical): tasks of this process are ready and none runs
//! assert!(alerts.is_healthy(), "not for five minutes yet");
//! let firing = changes.next().await.ok_or("the alerts are there")?;
//! assert!(!alerts.is_healthy() && firing.rule == "TidegateStalled");
//!
//! std::fs::write(std::env::temp_dir().join("tidegate.rules.yml"), Rules::shipped().to_prometheus_yaml("tidegate"))?;
//! # Ok(()) }
//! ```
//!
//! # Settings
//! Files, the environment and code, in this order; each value knows where it came from, and most change while it runs (feature
//! `config`).
//! ```
//! # #[cfg(feature = "config")] {
//! use tidegate_workflow::config::{Format, Layers};
//! use tidegate_workflow::telemetry::Registry;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let toml = "[agents.coding]\nmax_concurrent_tasks = 5\n";
//! let layers = Layers::new().file_if_there("tidegate.yaml").text("built in", Format::Toml, toml).environment();
//! let mut configuration = layers.load()?;
//! println!("{}", configuration.explain());
//! let orchestrator = configuration.builder(&Registry::new()).build()?;
//! configuration.update(&orchestrator, "agents.coding.max_requests_per_minute", 120)?;
//! for change in configuration.reload(&orchestrator)? {
//!     println!("{change}"); // what has changed in the file
//! }
//! let mistaken = Layers::new().set("max_concurrent", -1.5).set("agents.coding.memroy_mb", 5).load();
//! let told = mistaken.err().map(|problems| problems.to_string()).unwrap_or_default();
//! assert!(told.ends_with("did you mean `agents.coding.memory_mb`?"), "{told}");
//! # Ok(()) }
//! # }
//! ```
//!
//! # Tenants and budgets
//! ```
//! use tidegate_workflow::{Graph, Orchestrator, Outcome, Task, TaskError};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let orchestrator = Orchestrator::builder().limit(1).tenant("paying", 3.0).build()?;
//! let mut graph = Graph::new().tenant("paying").budget(10);
//! for id in ["a", "b", "c"] {
//!     graph.add(Task::new(id, async |_| Ok::<(), TaskError>(())).cost(4))?;
//! }
//! let report = orchestrator.run(graph).await?.into_report();
//! assert_eq!(report.tasks[2].outcome, Outcome::Failed { error: "the run's budget is spent".into() });
//! # Ok(()) }
//! ```
//!
//! What all runs of a tenant may cost: [`Builder::tenant_budget`](crate::Builder::tenant_budget). A task is paid for once,
//! whatever its attempts, and once more each time it runs again.
//!
//! # Going on after a crash
//! [`Graph::durable`](crate::Graph::durable) with a [journal](crate::journal): what was over is not run again. A run that was begun by
//! one process and goes on in another:
//! ```
//! use tidegate_workflow::journal::{Durability, FileStore, History};
//! use tidegate_workflow::{Graph, Orchestrator, Task, TaskError};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let file = std::env::temp_dir().join(format!("tidegate-guide-{}", std::process::id()));
//! for process in ["first", "second"] {
//!     let mut graph = Graph::durable();
//!     graph.add(Task::durable("pay", async move |_| Ok::<_, TaskError>(process.to_owned())))?;
//!     let history = History::open(FileStore::open(&file)?)?;
//!     let finished = Orchestrator::builder().build()?.run(graph.journal(history, Durability::PowerLoss)).await?;
//!     assert_eq!(*finished.output::<String>("pay")?, "first");
//! }
//! # std::fs::remove_file(&file)?;
//! # Ok(()) }
//! ```
//! A run that a planner has planned: [`Planning::outline_of`](crate::planner::Planning::outline_of). Items that are done within
//! the work of a task: [`Context::sub_task`](crate::Context::sub_task).
//!
//! Results that any run may use again, in memory or in a folder that processes share: `Task::cached`, module `cache`, feature
//! `cache`.
