//! The run that is killed.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidegate_workflow::journal::{Durability, History};
use tidegate_workflow::{
    Context, Durable, EventKind, Graph, Next, Orchestrator, Retry, Task, TaskError,
};

use crate::shape::Shape;
use crate::store::DeadlyStore;

/// Runs, or goes on, to the end; or until `death`.
pub(crate) fn run(
    folder: &Path,
    level: &str,
    shape: &Shape,
    death: Option<&&str>,
) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|why| why.to_string())?;
    let durability = match level {
        "power-loss" => Durability::PowerLoss,
        _ => Durability::ProcessCrash,
    };
    let death = death.and_then(|text| text.split_once(':'));
    let death = death.and_then(|(point, nth)| Some((point.to_owned(), nth.parse().ok()?)));
    runtime.block_on(live(folder, durability, shape, death))
}

async fn live(
    folder: &Path,
    level: Durability,
    shape: &Shape,
    death: Option<(String, u32)>,
) -> Result<(), String> {
    let text = |why: &dyn std::fmt::Display| why.to_string();
    let append = |name: &str| OpenOptions::new().create(true).append(true).open(folder.join(name));
    let effects = Arc::new(append("effects").map_err(|why| text(&why))?);
    let mut acknowledged = append("acknowledged").map_err(|why| text(&why))?;
    let store = DeadlyStore::open(&folder.join("journal"), death).map_err(|why| text(&why))?;
    let mut history = History::open(store).map_err(|why| text(&why))?;
    history.begin("crash", "");
    // Whoever decides has looked whether the effect is there.
    let doubtful = history.ledger().tasks.iter().filter(|task| task.is_doubtful());
    let doubtful: Vec<Arc<str>> = doubtful.map(|task| Arc::clone(&task.id)).collect();
    let seen = std::fs::read_to_string(folder.join("effects")).map_err(|why| text(&why))?;
    let values = shape.values();
    for id in doubtful {
        let had = seen.lines().any(|line| line.starts_with(&format!("crash/{id} ")));
        let decided = if had { history.done(&id, &values[at_of(&id)]) } else { history.again(&id) };
        decided.map_err(|why| text(&why))?;
    }
    let orchestrator = Orchestrator::builder().limit(4).build().map_err(|why| text(&why))?;
    let mut events = orchestrator.events();
    let graph = graph(shape, &effects).map_err(|why| text(&why))?;
    let running = orchestrator.start(graph.journal(history, level)).map_err(|why| text(&why))?;
    let mut end = std::pin::pin!(running.wait());
    let finished = loop {
        tokio::select! {
            biased;
            Some(Next::Event(event)) = events.next() => {
                if let EventKind::TaskEnded { task, outcome, .. } = event.kind && outcome.is_success() {
                    acknowledged.write_all(format!("{task}\n").as_bytes()).map_err(|why| text(&why))?;
                }
            }
            finished = &mut end => break finished.map_err(|why| text(&why))?,
        }
    };
    if finished.is_success() { Ok(()) } else { Err(finished.report().to_string()) }
}

fn at_of(id: &str) -> usize {
    id.split('-').nth(1).and_then(|at| at.parse().ok()).unwrap_or_default()
}

fn graph(
    shape: &Shape,
    effects: &Arc<File>,
) -> Result<Graph<Durable>, tidegate_workflow::AddError> {
    let mut graph = Graph::durable();
    for (at, needs) in shape.needs.iter().enumerate() {
        let needs = needs.iter().map(|need| Shape::id(*need)).collect();
        let id = Shape::id(at);
        let (is_once, is_flaky) = (id.starts_with("once"), id.starts_with("flaky"));
        let task = adding(id, needs, effects, is_flaky);
        graph.add(if is_once { task.commit_before_start() } else { task })?;
    }
    Ok(graph)
}

/// A task that leaves one line behind; a flaky one fails the first time.
fn adding(id: String, needs: Vec<String>, effects: &Arc<File>, flaky: bool) -> Task<Durable> {
    let (effects, names) = (Arc::clone(effects), needs.clone());
    let work = move |cx: Context| {
        let (effects, names) = (Arc::clone(&effects), names.clone());
        async move {
            // Time for a death in the midst of it.
            tokio::time::sleep(Duration::from_micros(300)).await;
            let line = format!("{} {}\n", cx.idempotency_key(), cx.attempt());
            // One call of the system: all of it or nothing.
            (&*effects).write_all(line.as_bytes())?;
            if flaky && cx.attempt() == 1 {
                return Err(TaskError::from("the first attempt fails"));
            }
            let inputs = names.iter().map(|name| cx.input::<u64>(name).map(|value| *value));
            let sum = inputs.sum::<Result<u64, _>>()?;
            Ok((sum + 1) & 0xffff_ffff)
        }
    };
    let retry = Retry { attempts: 3, first_delay: Duration::from_millis(1), ..Retry::default() };
    Task::durable(id, work).needs(needs).retry(retry)
}
