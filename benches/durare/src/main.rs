//! Steps that do nothing, kept by our journal, by a plain file and by durare with SQLite, in rounds that take turns.
//!
//! `cargo xtask peers workflow --durare`. Figures are microseconds a step, the median of the rounds,
//! and ours as a share of durare's by the median of the rounds' ratios.

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use durare::{DurableContext, DurableEngine, SqliteProvider, WorkflowOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tidegate_workflow::journal::{Durability, FileStore, History};
use tidegate_workflow::{Graph, Orchestrator, Task, TaskError};

const ROUNDS: usize = 7;
const ALONE: usize = 300;
/// So many at once, so many steps each.
const LANES: usize = 256;
const STEPS: usize = 8;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    // Where there is a disk: what is in memory syncs for nothing.
    let folder =
        std::env::current_dir()?.join(format!("target/beside-durare-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut rounds: Vec<Round> = Vec::new();
    for at in 0..ROUNDS {
        let folder = folder.join(at.to_string());
        std::fs::create_dir_all(&folder)?;
        rounds.push(Round::measure(&folder).await?);
    }
    std::fs::remove_dir_all(&folder)?;
    let column = |of: fn(&Round) -> f64| median(rounds.iter().map(of));
    println!("plain file, one sync a step                {:9.1}", column(|round| round.plain));
    for (name, ours, theirs) in [
        (
            "one after another, synced",
            (|round| round.alone.0) as fn(&Round) -> f64,
            (|round| round.alone.1) as fn(&Round) -> f64,
        ),
        ("one after another, written", |round| round.written.0, |round| round.written.1),
        ("256 lanes, synced", |round| round.lanes.0, |round| round.lanes.1),
    ] {
        let share = median(rounds.iter().map(|round| ours(round) / theirs(round)));
        println!("{name:28} ours {:9.1}  durare {:9.1}  {share:.3}x", column(ours), column(theirs));
    }
    Ok(())
}

/// Microseconds a step; ours, and durare's.
struct Round {
    plain: f64,
    alone: (f64, f64),
    written: (f64, f64),
    lanes: (f64, f64),
}

impl Round {
    async fn measure(folder: &Path) -> Result<Self> {
        use Durability::{PowerLoss, ProcessCrash};
        use SqliteSynchronous::{Full, Normal};
        Ok(Self {
            plain: plain(&folder.join("plain"))?,
            alone: (
                ours(&folder.join("alone"), PowerLoss, 1, ALONE).await?,
                theirs(&folder.join("alone.db"), Full, 1, ALONE).await?,
            ),
            written: (
                ours(&folder.join("written"), ProcessCrash, 1, ALONE).await?,
                theirs(&folder.join("written.db"), Normal, 1, ALONE).await?,
            ),
            lanes: (
                ours(&folder.join("lanes"), PowerLoss, LANES, STEPS).await?,
                theirs(&folder.join("lanes.db"), Full, LANES, STEPS).await?,
            ),
        })
    }
}

fn plain(path: &Path) -> Result<f64> {
    let mut file = File::create(path)?;
    let began = Instant::now();
    for _ in 0..ALONE {
        file.write_all(&[7; 64])?;
        file.sync_data()?;
    }
    Ok(each(began, ALONE))
}

/// Lanes of tasks one behind the other.
async fn ours(path: &Path, level: Durability, lanes: usize, steps: usize) -> Result<f64> {
    let orchestrator = Orchestrator::builder().limit(lanes).agent_default(lanes).build()?;
    let mut graph = Graph::durable();
    for lane in 0..lanes {
        for step in 0..steps {
            let task = Task::durable(format!("{lane}-{step}"), async |_| Ok::<_, TaskError>(()));
            let before = step.checked_sub(1).map(|before| format!("{lane}-{before}"));
            graph.add(task.needs(before))?;
        }
    }
    let graph = graph.journal(History::open(FileStore::open(path)?)?, level);
    let began = Instant::now();
    orchestrator.run(graph).await?;
    Ok(each(began, lanes * steps))
}

/// Workflows of steps one behind the other.
async fn theirs(path: &Path, sync: SqliteSynchronous, lanes: usize, steps: usize) -> Result<f64> {
    // As `SqliteProvider::connect` sets it up, but for when it syncs.
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(sync)
        .busy_timeout(std::time::Duration::from_secs(60));
    let pool = SqlitePoolOptions::new().max_connections(5).connect_with(options).await?;
    let mut engine = DurableEngine::new(Arc::new(SqliteProvider::from_pool(pool))).await?;
    engine.register("lane", |context: DurableContext, steps: usize| async move {
        for _ in 0..steps {
            context.step("step", || async { Ok::<_, durare::Error>(()) }).await?;
        }
        Ok(())
    });
    let began = Instant::now();
    let mut handles = Vec::new();
    for lane in 0..lanes {
        let options = WorkflowOptions::with_id(format!("lane-{lane}"));
        handles.push(engine.start::<usize, ()>("lane", steps, options).await?);
    }
    for handle in handles {
        handle.await?;
    }
    Ok(each(began, lanes * steps))
}

fn each(began: Instant, steps: usize) -> f64 {
    began.elapsed().as_secs_f64() * 1e6 / steps as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
