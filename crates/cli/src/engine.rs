//! From a workflow to the engine and back: tasks become nodes of a live graph, outcomes become the summary.
//!
//! A plain task is one node. A `foreach` task is two: `audit (items)`, which computes the items once its upstreams have
//! finished and submits one node for each, and `audit` itself, which waits for them all and gathers what they wrote.
//! Whoever needs `audit` waits for the second, and so for every item.

mod nodes;
mod telling;

use std::sync::{Arc, Mutex};

use tidegate_workflow::journal::{Durability, History};
use tidegate_workflow::{Builder, Graph, Next, Orchestrator, StartError, Stopped, TraceParent};
use tokio::sync::SetOnce;
use tokio::sync::mpsc::UnboundedSender;

use self::nodes::{Run, named_in_file};
use crate::event::Event;
use crate::exit;
use crate::job::{Job, TRACE_PARENT};
use crate::past::Past;
use crate::recording::Kept;
use crate::settings::NO_LIMIT;
use crate::summary::Summary;

pub(crate) use self::nodes::{ITEMS, items_node};

/// How many events we may be behind the engine; above it only progress suffers, not the summary.
const EVENTS: usize = 1 << 16;

/// Runs the workflow to its end, or until it is told to stop; tells what happens as it happens. `began` is called before
/// anything of it is told, unless the run is refused.
///
/// # Errors
///
/// The engine refused the graph or ended before the run: a broken invariant, told in its words.
pub(crate) async fn execute(
    job: Arc<Job>,
    past: Past,
    history: History,
    events: UnboundedSender<Event>,
    began: impl FnOnce(),
) -> Result<(Summary, Kept), Broken> {
    let removed = removed(&history, &job);
    let (is_told, records) = (SetOnce::new(), Mutex::default());
    let run = Arc::new(Run { job, past, events, is_told, records });
    run.take_over();
    let orchestrator = limits(&run.job).build().map_err(Broken::ours)?;
    let mut seen = orchestrator.events();
    let mut graph = Graph::durable();
    if let Some(parent) = trace_parent() {
        graph = graph.trace_parent(parent);
    }
    for index in 0..run.job.workflow.tasks.len() {
        for node in run.nodes(index) {
            graph.add(node).map_err(Broken::ours)?;
        }
    }
    let graph = graph.journal(history, Durability::ProcessCrash);
    let running = orchestrator.start(graph).map_err(Broken::from)?;
    began();
    let _ = run.is_told.set(());
    if !removed.is_empty() {
        crate::run::say(&format!("no longer in the file: {}", removed.join(", ")));
    }
    let live = (*running).clone();
    let mut end = std::pin::pin!(running.wait());
    let mut stopped = false;
    let finished = loop {
        tokio::select! {
            biased;
            next = seen.next() => if let Some(Next::Event(event)) = next {
                run.tell(&event.kind);
            },
            () = run.job.stop.ask.cancelled(), if !stopped => {
                stopped = true;
                live.cancel();
            }
            finished = &mut end => break finished.map_err(Broken::from)?,
        }
    };
    while let Some(next) = seen.try_next() {
        if let Next::Event(event) = next {
            run.tell(&event.kind);
        }
    }
    let bounds = run.job.workflow.agents.keys().filter_map(|name| {
        let limit = run.job.settings.agent_limit(name);
        (limit < NO_LIMIT).then(|| (name.clone(), limit))
    });
    let kept = Kept::of(finished.report(), orchestrator.limit(), bounds.collect());
    Ok((run.summary(&finished), kept))
}

/// Where in which trace we are, if whoever runs us has said so.
fn trace_parent() -> Option<TraceParent> {
    std::env::var(TRACE_PARENT).ok()?.parse().ok()
}

/// An orchestrator with the limits that are in force.
fn limits(job: &Job) -> Builder {
    let mut builder = Orchestrator::builder().event_capacity(EVENTS).agent_default(usize::MAX);
    for name in job.workflow.agents.keys() {
        builder = builder.agent(agent_name(name), job.settings.agent(name));
    }
    builder.limit(job.settings.limit())
}

/// An agent of the file, as the engine calls it: apart from the engine's own name for no agent.
fn agent_name(name: &str) -> String {
    format!("{AGENT}{name}")
}

/// What the engine's names of agents begin with.
pub(crate) const AGENT: &str = "agent ";

/// Why there is no summary.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) message: String,
    /// To exit with.
    pub(crate) code: u8,
}

impl Broken {
    /// A broken invariant of ours.
    fn ours(error: impl ToString) -> Self {
        Self { message: format!("the engine: {}", error.to_string()), code: exit::INTERNAL }
    }
}

impl From<StartError> for Broken {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Changed { tasks } => {
                let tasks: Vec<&str> = tasks.iter().map(|id| named_in_file(id)).collect();
                let message = format!(
                    "changed since the run began: {}\n  go on by `--accept-changes`: what is done stays as it is, the rest \
                     is run as it is now",
                    tasks.join(", ")
                );
                Self { message, code: exit::USAGE }
            }
            StartError::Journal(error) => Self { message: error.to_string(), code: exit::IO },
            error => Self::ours(error),
        }
    }
}

impl From<Stopped> for Broken {
    fn from(error: Stopped) -> Self {
        match error {
            Stopped::Journal(error) => Self {
                message: format!(
                    "{error}\n  what was done before is kept: go on by `tidegate resume`"
                ),
                code: exit::IO,
            },
            Stopped::Dropped => Self::ours(error),
        }
    }
}

/// Tasks of the journal that the file has no more.
fn removed(history: &History, job: &Job) -> Vec<String> {
    let known = |id: &str| job.workflow.tasks.iter().any(|task| task.id == id);
    let entries = history.ledger().tasks.iter().filter(|entry| !entry.live);
    let ids = entries.map(|entry| &*entry.id).filter(|id| !id.ends_with(ITEMS));
    ids.filter(|id| !known(id)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
