//! `tidegate run`: from the command line to the exit code.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tidegate_workflow::config::Configuration;
use tidegate_workflow::journal::{FileStore, History};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::diagnostic::nearest;
use crate::event::{Event, Status};
use crate::file::Workflow;
use crate::job::Job;
use crate::meta::Meta;
use crate::past::Past;
use crate::process::{self, Stop};
use crate::progress::{self, Mode, Progress, is_trouble};
use crate::recording::Kept;
use crate::run_dir::{self, RunDir};
use crate::spans::Spans;
use crate::style::Style;
use crate::summary::Summary;
use crate::validate::report;
use crate::watchman::Watchman;
use crate::{args, engine, exit, file, settings};

/// Runs the file; gives the code to exit with.
pub(crate) fn run(args: &args::Run) -> ExitCode {
    ExitCode::from(try_run(args).unwrap_or_else(|code| code))
}

/// The code is an error where nothing was started.
fn try_run(args: &args::Run) -> Result<u8, u8> {
    let unwritable = |error: std::io::Error| {
        let folder = args.shown.state.state_dir.display();
        fail(&format!("cannot write {folder}: {error}"), exit::IO)
    };
    let start = Start {
        file: &args.file,
        cwd: std::env::current_dir().map_err(unwritable)?,
        inputs: &args.given.inputs,
        jobs: args.given.jobs,
        shown: &args.shown,
    };
    // What is wrong with the file is told before anything is written.
    let Loaded { workflow, .. } = load(&start)?;
    let dir = RunDir::create(&args.shown.state.state_dir).map_err(unwritable)?;
    Meta::new(start.file, &start.cwd, &args.given.inputs, args.given.jobs)
        .write(&dir.path)
        .map_err(unwritable)?;
    let store = FileStore::open(dir.path.join("journal")).map_err(unwritable)?;
    let mut history = History::open(store)
        .map_err(|error| fail(&format!("cannot begin a journal: {error}"), exit::IO))?;
    history.begin(&dir.id, workflow.name.clone().unwrap_or_default());
    self::start(start, dir, history)
}

/// What a run begins with, or goes on with.
pub(crate) struct Start<'a> {
    pub(crate) file: &'a Path,
    pub(crate) cwd: PathBuf,
    pub(crate) inputs: &'a [(String, String)],
    pub(crate) jobs: Option<u32>,
    pub(crate) shown: &'a args::Shown,
}

/// A workflow, what is in force for it, and its inputs with their values.
struct Loaded {
    workflow: Workflow,
    settings: Configuration,
    inputs: Vec<(String, String)>,
}

fn load(start: &Start<'_>) -> Result<Loaded, u8> {
    let (workflow, _) = file::load(start.file).map_err(|(source, found)| {
        report(&source, &found);
        if start.file.exists() { exit::INVALID } else { exit::USAGE }
    })?;
    let inputs = inputs(&workflow, start.inputs).map_err(|message| fail(&message, exit::USAGE))?;
    let settings = settings::of(Some((start.file, &workflow)), start.jobs)
        .map_err(|problems| fail(&problems.to_string(), exit::USAGE))?;
    Ok(Loaded { workflow, settings, inputs })
}

/// Begins the run in this folder, or goes on with it.
pub(crate) fn start(start: Start<'_>, dir: RunDir, mut history: History) -> Result<u8, u8> {
    let Loaded { workflow, settings, inputs } = load(&start)?;
    let past = Past::of(&mut history, &workflow)
        .map_err(|error| fail(&format!("the journal: {error}"), exit::INTERNAL))?;
    let Start { file, cwd, shown, .. } = start;
    let job = Job::new(workflow, settings, file, &inputs, dir, cwd)
        .map_err(|failure| fail(&format!("env: {failure}"), exit::INVALID))?;
    let spans = Spans::start(shown.otlp.as_deref()).map_err(|why| fail(&why, exit::USAGE))?;
    process::adopt_orphans();
    let cannot_start = |error| fail(&format!("cannot start: {error}"), exit::IO);
    let _watchman = Watchman::start(&job.mark(), &job.dir.lock).map_err(cannot_start)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(cannot_start)?;
    let code = runtime.block_on(async {
        let code = go(Arc::new(job), past, history, file, shown).await;
        spans.end().await;
        code
    });
    runtime.shutdown_background();
    Ok(code)
}

/// Says something on stderr.
pub(crate) fn say(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{message}");
}

/// Says what is wrong; gives the code.
pub(crate) fn fail(message: &str, code: u8) -> u8 {
    let _ = writeln!(std::io::stderr().lock(), "error: {message}");
    code
}

/// The inputs with their values: from the command line, else the default.
fn inputs(
    workflow: &Workflow,
    given: &[(String, String)],
) -> Result<Vec<(String, String)>, String> {
    let names = || workflow.inputs.iter().map(|(name, _)| name.as_str());
    for (name, _) in given {
        if !names().any(|known| known == name) {
            let hint = match nearest(name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if workflow.inputs.is_empty() => "it declares none".to_owned(),
                None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
            };
            return Err(format!("the workflow has no input `{name}`: {hint}"));
        }
    }
    let mut values = Vec::new();
    for (name, default) in &workflow.inputs {
        let value = given.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value);
        match value.or(default.as_ref()) {
            Some(value) => values.push((name.clone(), value.clone())),
            None => return Err(format!("input `{name}` has no value: give it by `-i {name}=…`")),
        }
    }
    Ok(values)
}

async fn go(job: Arc<Job>, past: Past, history: History, file: &Path, args: &args::Shown) -> u8 {
    let mode = match args {
        args::Shown { json: true, .. } => Mode::Json,
        args::Shown { quiet: true, .. } => Mode::Quiet,
        args::Shown { plain: true, .. } => Mode::Lines,
        _ => Mode::Auto,
    };
    let started = Instant::now();
    let (events, shown) = mpsc::unbounded_channel();
    let shower = tokio::task::spawn_blocking({
        let path = job.dir.path.join("events.jsonl");
        move || show(shown, Progress::new(mode), &path, started)
    });
    let began = {
        let (job, events, file) = (Arc::clone(&job), events.clone(), file.display().to_string());
        move || {
            // They tell of an end that is none any more.
            for told in ["report.json", "recording.json"] {
                let _ = std::fs::remove_file(job.dir.path.join(told));
            }
            let _ = events.send(Event::RunStarted {
                run: job.dir.id.clone(),
                file,
                name: job.workflow.name.clone(),
                tasks: job.workflow.tasks.len(),
                dir: job.dir.path.display().to_string(),
            });
        }
    };
    let signal = Arc::new(OnceLock::new());
    let signals = tokio::spawn(signals(job.stop.clone(), events.clone(), Arc::clone(&signal)));
    let mut late = false;
    let mut running =
        std::pin::pin!(engine::execute(Arc::clone(&job), past, history, events.clone(), began));
    let summary = loop {
        tokio::select! {
            summary = &mut running => break summary,
            () = over(job.workflow.limits.timeout, started), if !late => {
                late = true;
                job.stop.ask.cancel();
            }
        }
    };
    signals.abort();
    let signal = signal.get().copied();
    if signal.is_some() || late {
        process::kill_strays();
    }
    let (summary, recording) = match summary {
        Ok(done) => done,
        Err(error) => {
            drop(events);
            let _ = shower.await;
            return fail(&error.message, error.code);
        }
    };
    let _ = events.send(Event::RunFinished(Box::new(summary.clone())));
    drop(events);
    let mut written = shower.await.unwrap_or(false);
    keep(&job, &summary, &recording);
    if matches!(mode, Mode::Auto | Mode::Lines) {
        let mut out = std::io::stdout().lock();
        let style = Style::for_terminal(out.is_terminal());
        let shown = summary.write(&mut out, style).and_then(|()| out.flush());
        written &= !is_trouble(&shown);
    }
    match (signal, late, summary.status) {
        (Some(code), _, _) => code,
        (None, true, _) => exit::TIMED_OUT,
        (None, false, _) if !written => exit::IO,
        (None, false, Status::Ok) => exit::OK,
        (None, false, _) => exit::FAILED,
    }
}

/// Returns when the run has lasted `timeout`.
async fn over(timeout: Option<Duration>, started: Instant) {
    match timeout {
        Some(timeout) => tokio::time::sleep_until((started + timeout).into()).await,
        None => std::future::pending().await,
    }
}

/// The first signal asks what runs to end, the second kills it; notes the exit code of the first.
async fn signals(
    stop: Stop,
    events: mpsc::UnboundedSender<Event>,
    first: Arc<OnceLock<u8>>,
) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        let (signal, code) = tokio::select! {
            _ = interrupt.recv() => ("interrupted", exit::INTERRUPTED),
            _ = terminate.recv() => ("terminated", exit::TERMINATED),
            _ = hangup.recv() => ("hung up", exit::HUNG_UP),
        };
        let second = first.set(code).is_err();
        if second {
            stop.kill.cancel();
        }
        let _ = events.send(Event::Interrupted { signal: signal.to_owned(), second });
        stop.ask.cancel();
    }
}

/// Shows the events and keeps them in a file; false when either could not be written.
fn show(
    mut events: mpsc::UnboundedReceiver<Event>,
    mut progress: Progress,
    path: &Path,
    started: Instant,
) -> bool {
    let mut file = run_dir::appended(path).map(std::io::BufWriter::new);
    while let Some(event) = events.blocking_recv() {
        if let Ok(out) = &mut file {
            let written = writeln!(out, "{}", progress::json(&event, started.elapsed()))
                // Nothing more to come for now: let readers of the file see it.
                .and_then(|()| if events.is_empty() { out.flush() } else { Ok(()) });
            if let Err(error) = written {
                file = Err(error);
            }
        }
        progress.show(&event);
    }
    let is_shown = progress.finish();
    file.and_then(|mut out| out.flush()).is_ok() && is_shown
}

/// Keeps the summary beside the outputs, and what can be replayed.
fn keep(job: &Job, summary: &Summary, recording: &Kept) {
    let _ = recording.write(&job.dir.path);
    let report = serde_json::to_vec_pretty(summary).unwrap_or_default();
    let _ = run_dir::file(&job.dir.path.join("report.json"))
        .and_then(|mut file| file.write_all(&report));
}
