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

use crate::store::DeadlyStore;

const LAYERS: u64 = 8;
const WIDTH: u64 = 5;
/// With the last one.
pub(crate) const TASKS: usize = (LAYERS * WIDTH) as usize + 1;

/// Each hands on one more than the sum of what it needs.
pub(crate) fn expected() -> u64 {
    (WIDTH * value(LAYERS - 1) + 1) & 0xffff_ffff
}

/// What the tasks of a layer give.
fn value(layer: u64) -> u64 {
    (0..=layer).fold(0, |below, _| (WIDTH * below + 1) & 0xffff_ffff)
}

/// Runs, or goes on, to the end; or until `death`.
pub(crate) fn run(folder: &Path, level: &str, death: Option<&&str>) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|why| why.to_string())?;
    let durability = match level {
        "power-loss" => Durability::PowerLoss,
        _ => Durability::ProcessCrash,
    };
    let death = death.and_then(|text| text.split_once(':'));
    let death = death.and_then(|(point, nth)| Some((point.to_owned(), nth.parse().ok()?)));
    runtime.block_on(live(folder, durability, death))
}

async fn live(
    folder: &Path,
    level: Durability,
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
    for id in doubtful {
        let had = seen.lines().any(|line| line.starts_with(&format!("crash/{id} ")));
        let decided =
            if had { history.done(&id, &value(layer_of(&id))) } else { history.again(&id) };
        decided.map_err(|why| text(&why))?;
    }
    let orchestrator = Orchestrator::builder().limit(4).build().map_err(|why| text(&why))?;
    let mut events = orchestrator.events();
    let graph = graph(&effects).map_err(|why| text(&why))?;
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
    if finished.report.is_success() { Ok(()) } else { Err(finished.report.to_string()) }
}

fn layer_of(id: &str) -> u64 {
    id.split('-').nth(1).and_then(|layer| layer.parse().ok()).unwrap_or_default()
}

fn graph(effects: &Arc<File>) -> Result<Graph<Durable>, tidegate_workflow::AddError> {
    let mut graph = Graph::durable();
    // One of each layer must not be repeated.
    let id =
        |layer: u64, at: u64| format!("{}-{layer}-{at}", if at == 0 { "once" } else { "task" });
    for layer in 0..LAYERS {
        let below = |_: u64| (0..WIDTH).map(|at| id(layer - 1, at)).collect::<Vec<_>>();
        for at in 0..WIDTH {
            let needs = if layer == 0 { Vec::new() } else { below(layer) };
            let mut task = adding(id(layer, at), needs, effects, at == 3);
            if id(layer, at).starts_with("once") {
                task = task.commit_before_start();
            }
            graph.add(task)?;
        }
    }
    let last = (0..WIDTH).map(|at| id(LAYERS - 1, at)).collect();
    graph.add(adding("end".to_owned(), last, effects, false))?;
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
