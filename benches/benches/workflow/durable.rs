//! What it costs that a run survives: beside a plain file, redb and fjall that are synced as often, and beside the same run in
//! memory.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidegate_benches::Suite;
use tidegate_workflow::journal::{Durability, FileStore, History, Journal, Outcome, Record};
use tidegate_workflow::{Durable, Graph, Orchestrator, Task, TaskError};
use tokio::runtime::Runtime;

use crate::stores::{self, STORES};
use crate::within;

pub(crate) fn report(suite: &mut Suite, runtime: &Runtime) {
    let place = Place::new();
    alone(suite, runtime, &place);
    in_flight(suite, runtime, &place);
    waits(suite, runtime, &place);
    written(suite, runtime, &place);
    resumed(suite, runtime, &place);
}

/// One task after another: each end is synced before the next starts.
fn alone(suite: &mut Suite, runtime: &Runtime, place: &Place) {
    let tasks: usize = if suite.is_quick() { 100 } else { 500 };
    let mut group = suite
        .group("workflow/durable/alone")
        .operations(tasks as u64)
        .ours(|_| within(runtime, run(chain(tasks), 1, Some(Durability::PowerLoss), place.next())));
    for (name, open) in STORES {
        group = group.peer(name, move |_| stores::alone(tasks, open(&place.next())));
    }
    group.at_most_of("plain file", 1.25).run();
}

/// 256 at a time: those that end together share a sync. The peers' tasks do nothing but wait for their records.
fn in_flight(suite: &mut Suite, runtime: &Runtime, place: &Place) {
    let tasks: usize = if suite.is_quick() { 20_480 } else { 102_400 };
    let id = "workflow/durable/256-in-flight";
    let mut group = suite.group(id).operations(tasks as u64).ours(|_| {
        within(runtime, run(wide(tasks), 256, Some(Durability::PowerLoss), place.next()))
    });
    for (name, open) in STORES {
        group = group.peer(name, move |_| {
            let commit = open(&place.next());
            within(runtime, stores::group_commit(tasks, 256, commit)).0
        });
    }
    group.at_most_of("plain file", 1.0 / 0.6).at_most_ns(10_000.0).run();
}

/// How long the next task of a chain waits for the last one's end to be synced, while 256 chains do so.
fn waits(suite: &mut Suite, runtime: &Runtime, place: &Place) {
    let id = "workflow/durable/p99-wait";
    if !suite.wants(id) {
        return;
    }
    let (lanes, steps) = (256, 40);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..if suite.is_quick() { 5 } else { 21 } {
        ours.push(stores::p99(within(runtime, waited(lanes, steps, place.next()))));
        let commit = stores::plain_file(&place.next());
        let (_, waits) = within(runtime, stores::group_commit(lanes * steps, lanes, commit));
        peer.push(stores::p99(waits));
    }
    suite.figure(id, "ms").ours(&ours).peer("plain file", &peer).report();
}

/// From the end of each task to the start of the one behind it, in nanoseconds.
async fn waited(lanes: usize, steps: usize, path: PathBuf) -> Vec<u64> {
    let began = Instant::now();
    let now = move || u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let ends: Arc<Vec<AtomicU64>> = Arc::new((0..lanes).map(|_| AtomicU64::new(0)).collect());
    let waits: Arc<Vec<AtomicU64>> =
        Arc::new((0..lanes * steps).map(|_| AtomicU64::new(0)).collect());
    let mut graph = Graph::durable();
    for step in 0..steps {
        for lane in 0..lanes {
            let (ends, waits) = (Arc::clone(&ends), Arc::clone(&waits));
            let work = move |_| {
                let since = ends[lane].load(Ordering::Relaxed);
                waits[step * lanes + lane].store(now() - since, Ordering::Relaxed);
                ends[lane].store(now(), Ordering::Relaxed);
                std::future::ready(Ok::<(), TaskError>(()))
            };
            let needs = step.checked_sub(1).map(|before| format!("{lane}-{before}"));
            let task = Task::durable(format!("{lane}-{step}"), work).needs(needs);
            graph.add(task).expect("ids differ");
        }
    }
    run(graph, lanes, Some(Durability::PowerLoss), path).await;
    waits[lanes..].iter().map(|wait| wait.load(Ordering::Relaxed)).collect()
}

/// Written and not synced, beside the same run in memory.
fn written(suite: &mut Suite, runtime: &Runtime, place: &Place) {
    let (id, size) = ("workflow/durable/process-crash", "workflow/durable/bytes");
    if !suite.wants(id) && !suite.wants(size) {
        return;
    }
    let tasks = 10_000;
    let (mut more, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..if suite.is_quick() { 15 } else { 41 } {
        let path = place.next();
        let level = Some(Durability::ProcessCrash);
        let kept = within(runtime, run(wide(tasks), 64, level, path.clone()));
        let plain = within(runtime, run(wide(tasks), 64, None, place.next()));
        more.push((kept.as_nanos() as f64 - plain.as_nanos() as f64) / tasks as f64);
        let length = std::fs::metadata(path).map_or(0, |file| file.len());
        bytes.push(length as f64 / tasks as f64);
    }
    suite.figure(id, "ns more a task").ours(&more).at_most_value(1000.0).report();
    suite.figure(size, "bytes a task").ours(&bytes).at_most_value(120.0).report();
}

/// From opening the journal of 100k tasks, half of them done, to the first task that starts.
fn resumed(suite: &mut Suite, runtime: &Runtime, place: &Place) {
    let id = "workflow/durable/resume-100k";
    if !suite.wants(id) {
        return;
    }
    let tasks = 100_000;
    let mut rounds = Vec::new();
    for _ in 0..if suite.is_quick() { 3 } else { 9 } {
        let path = place.next();
        half_done(tasks, &path);
        rounds.push(within(runtime, first_start(tasks, path)).as_secs_f64() * 1e3);
    }
    suite.figure(id, "ms").ours(&rounds).at_most_value(1000.0).report();
}

/// The journal of a run whose process died when half of its tasks were done.
fn half_done(tasks: usize, path: &PathBuf) {
    // A run of the first half, as it is written: the other tasks are added by the run that goes on.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
    runtime.block_on(run(wide(tasks / 2), 64, Some(Durability::ProcessCrash), path.clone()));
    let store = FileStore::open(path).expect("nobody has it");
    let mut journal = Journal::open(store).expect("it is one").journal;
    for task in tasks / 2..tasks {
        let (task, id) = (u32::try_from(task).expect("few"), format!("task-{task}").into());
        let added = Record::TaskAdded { task, id, needs: vec![], version: version(), live: false };
        journal.append(&added).expect("small");
    }
    journal.commit(Durability::ProcessCrash).expect("written");
}

/// That of a task without needs and without a version of its own.
fn version() -> u64 {
    tidegate_workflow::journal::digest([&0_u64.to_le_bytes()[..]])
}

async fn first_start(tasks: usize, path: PathBuf) -> Duration {
    let began = Instant::now();
    let first = Arc::new(AtomicU64::new(u64::MAX));
    let mut graph = Graph::durable();
    for at in 0..tasks {
        let first = Arc::clone(&first);
        let note = move |_| {
            let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            first.fetch_min(nanos, Ordering::Relaxed);
            std::future::ready(Ok::<(), TaskError>(()))
        };
        graph.add(Task::durable(format!("task-{at}"), note)).expect("ids differ");
    }
    let orchestrator = Orchestrator::builder().limit(64).build().expect("sound");
    let history = History::open(FileStore::open(path).expect("nobody has it")).expect("it opens");
    let done = history.ledger().tasks.iter().filter(|task| task.outcome == Some(Outcome::Done));
    assert_eq!(done.count(), tasks / 2);
    let graph = graph.journal(history, Durability::ProcessCrash);
    assert!(orchestrator.run(graph).await.expect("it runs").is_success());
    Duration::from_nanos(first.load(Ordering::Relaxed))
}

/// From the start of the run to its end; the graph is there before.
async fn run(
    graph: Graph<Durable>,
    limit: usize,
    level: Option<Durability>,
    path: PathBuf,
) -> Duration {
    let orchestrator = Orchestrator::builder().limit(limit).build().expect("sound");
    let graph = match level {
        Some(level) => {
            let store = FileStore::open(path).expect("a new file");
            graph.journal(History::open(store).expect("it opens"), level)
        }
        None => graph,
    };
    let began = Instant::now();
    let finished = orchestrator.run(graph).await.expect("it runs");
    let took = began.elapsed();
    assert!(finished.is_success());
    took
}

fn noop(at: usize) -> Task<Durable> {
    Task::durable(format!("task-{at}"), |_| std::future::ready(Ok::<(), TaskError>(())))
}

fn wide(tasks: usize) -> Graph<Durable> {
    let mut graph = Graph::durable();
    (0..tasks).for_each(|at| graph.add(noop(at)).expect("ids differ"));
    graph
}

fn chain(tasks: usize) -> Graph<Durable> {
    let mut graph = Graph::durable();
    for at in 0..tasks {
        let needs = at.checked_sub(1).map(|before| format!("task-{before}"));
        graph.add(noop(at).needs(needs)).expect("ids differ");
    }
    graph
}

/// A folder for files that are used once.
struct Place {
    folder: PathBuf,
    used: AtomicU64,
}

impl Place {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("tidegate-durable-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Self { folder, used: AtomicU64::new(0) }
    }

    fn next(&self) -> PathBuf {
        let last = self.used.fetch_add(1, Ordering::Relaxed);
        // What was used a while ago is of no use any more.
        if let Some(old) = last.checked_sub(8) {
            stores::remove(&self.folder.join(old.to_string()));
        }
        self.folder.join(last.to_string())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
