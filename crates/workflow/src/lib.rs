//! Adaptive orchestrator: graphs of tasks under limits that follow live metrics.
//!
//! | you want | use |
//! |---|---|
//! | run single tasks under one limit | [`Orchestrator::go`], [`wait`](Orchestrator::wait), [`shutdown`](Orchestrator::shutdown) |
//! | run tasks that need each other, their inputs checked by the compiler | [`Graph::task`], [`Handle`], [`Orchestrator::run`] |
//! | run tasks that name each other by id, in any order | [`Graph::add`], [`Task::needs`] |
//! | let a limit follow live metrics | [`Builder::adaptive`], [`Config`], [`Source`], [`RegistrySource`] |
//! | let it follow the machine, cards, or what another program shows | [`MachineSource`], `GpuSource` (feature `nvml`), `HttpSource` (feature `http`), [`Source::and`] |
//! | be told when something is wrong, here and by a Prometheus server | [`alert`] |
//! | compute, or make calls that block | [`Task::offloaded`] |
//! | run functions by name, in other processes or elsewhere | [`executor`], [`Task::named`] |
//! | limit each backend on its own, choose among several | [`Task::agent`], [`Builder::agent`], [`Task::any_agent`] |
//! | survive failures | [`Task::retry`], [`Task::timeout`], [`Task::wants`] |
//! | add tasks while a run is live | [`Run::submit`], through [`Context::run`]; [`Task::typed`] |
//! | run a task again, alone or with all that needs it | [`Run::rerun`], [`Graph::rerun`] |
//! | run a graph, or a task for each item of a list, as a part of a task | [`Context::sub_graph`], [`Context::map`] |
//! | work on items while they are still produced, within bounds | [`Flow`] |
//! | ask an agent for many things at once | [`Orchestrator::batch`] |
//! | go on after a crash with what is not done | [`Graph::durable`], [`Graph::journal`], [`journal`] |
//! | let a planner make the graph, and mend it while it runs | [`planner`] |
//! | answer requests by agents one after another or at once, and without those that fail | [`pipeline`] |
//! | compute nothing twice | `Task::cached`, module `cache` (feature `cache`) |
//! | run graphs at their time | `Scheduler`, module `schedule` (feature `schedule`) |
//! | settings from files and the environment, changed while it runs | `Layers`, `Configuration`, module `config` (feature `config`) |
//! | send the spans of runs to a collector | `Otlp`, module `otlp` (feature `otlp`) |
//! | ask a model over HTTP (feature `http`) | `chat` |
//! | know what other limits would have made of a run | [`whatif`] |
//! | see what happens, and what has happened | [`Orchestrator::events`], [`Run::why`], [`Report`] |
//!
//! ```
//! use tidegate_workflow::{Graph, Orchestrator};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut graph = Graph::new();
//! let text = graph.task("text").run(async |()| Ok("to be or not to be".to_owned()))?;
//! let words = graph.task("words").after(&text).run(async |text| Ok(text.split(' ').count()))?;
//! let finished = Orchestrator::builder().build()?.run(graph).await?;
//! assert_eq!(*finished.get(&words)?, 6);
//! # Ok(()) }
//! ```
//!
//! The [`guide`] goes on from here, with an example for each power.
//!
//! # When not to use it
//! For a loop over one list with one limit, `tidegate-taskgroup` alone is smaller; for a request limit in a server,
//! `tidegate-limiter`.
#![forbid(unsafe_code)]
#![cfg(not(loom))]

mod agent;
pub mod alert;
mod batch;
#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "http")]
pub mod chat;
mod chunks;
#[cfg(feature = "config")]
pub mod config;
mod context;
mod controller;
mod durable;
mod durations;
mod engine;
mod event;
pub mod executor;
mod flow;
mod graph;
pub mod guide;
pub mod journal;
mod machine;
mod metrics;
mod nearest;
mod offload;
mod orchestrator;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod pipeline;
pub mod planner;
mod prioritizer;
mod report;
mod rerun;
mod retry;
mod run;
#[cfg(feature = "schedule")]
pub mod schedule;
mod source;
mod sub;
mod sync;
mod task;
mod trace;
mod typed;
pub mod whatif;

pub use agent::{Agent, Breaker};
pub use batch::Batch;
pub use context::{Context, InputError, Missing};
pub use durable::{Durable, Keeps, Volatile};
pub use durations::{Durations, Estimate};
pub use event::{Event, EventKind, Events, Next, Outcome};
pub use flow::{Flow, FlowWatch, Sink, StageView};
pub use graph::{AddError, Graph, Unresolved};
pub use orchestrator::{BuildError, Builder, GoError, Orchestrator, StartError};
pub use prioritizer::{Facts, Prioritizer, Weighted};
pub use report::{AgentReport, Report, TaskReport};
pub use rerun::{Reach, RerunError};
pub use retry::Retry;
pub use run::{Finished, Run, Running, Status, Stopped, SubmitError, TooMuch, Waiting};
pub use source::{Both, MachineSource, MachineUse, Reading, RegistrySource, Source, SourceTrouble};
#[cfg(feature = "nvml")]
pub use source::{GpuError, GpuSource, GpuUse};
#[cfg(feature = "http")]
pub use source::{HttpSource, NotAnAddress, Series};
pub use sub::SubError;
pub use task::{DEFAULT_AGENT, Task, TaskError};
pub use trace::{TraceParent, TraceParentError};
pub use typed::{Handle, Inputs, Optional, TaskBuilder};

#[doc(no_inline)]
pub use tidegate_limiter::{
    Law, Sample, ThresholdConfig as Config, ThresholdConfigError as ConfigError,
};
/// Control laws, for [`Builder::law`] and [`Agent::adaptive`].
pub mod laws {
    #[doc(no_inline)]
    pub use tidegate_limiter::{Aimd, EnvoyGradient, Fixed, Gradient2, Knee, Threshold, Vegas};
}
/// The pools crate, for the kinds of [`Task::offloaded`].
#[doc(no_inline)]
pub use tidegate_pools as pools;
/// The metrics crate, for the registry that [`Builder::registry`] takes.
#[doc(no_inline)]
pub use tidegate_telemetry as telemetry;
