//! `tidegate resume` and `tidegate retry`: going on with a run of another process.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tidegate_workflow::journal::{FileStore, History, Outcome};

use crate::history;
use crate::meta::Meta;
use crate::run::{self, Start, fail};
use crate::run_dir::RunDir;
use crate::{args, exit};

/// How long commands that were left behind may take to end.
const PATIENCE: Duration = Duration::from_secs(15);

/// Goes on with what was not done.
pub(crate) fn resume(args: &args::Resume) -> ExitCode {
    ExitCode::from(
        go_on(args.run.as_deref(), &args.going_on, |_| Ok(())).unwrap_or_else(|code| code),
    )
}

/// Runs failed tasks once more, or those that are named, and what was not done.
pub(crate) fn retry(args: &args::Retry) -> ExitCode {
    let change = |history: &mut History| {
        let failed = |outcome: &Option<Outcome>| {
            matches!(outcome, Some(Outcome::Failed(_) | Outcome::TimedOut))
        };
        let tasks = &history.ledger().tasks;
        let mut chosen: Vec<String> = if args.tasks.is_empty() {
            let of = tasks.iter().filter(|entry| failed(&entry.outcome));
            of.map(|entry| entry.id.to_string()).collect()
        } else {
            args.tasks.clone()
        };
        if chosen.is_empty() {
            return Err("no task has failed: name those to run once more".to_owned());
        }
        if args.downstream {
            let below = chosen.iter().flat_map(|id| history.downstream(id));
            let below: Vec<String> = below.map(|id| id.to_string()).collect();
            chosen.extend(below);
        }
        // The items of a list are not named one by one.
        let items = chosen.iter().flat_map(|id| {
            let start = format!("{id}[");
            let of = history.ledger().tasks.iter().map(|entry| &entry.id);
            let of = of.filter(move |id| id.starts_with(&start)).map(|id| id.to_string());
            of.collect::<Vec<_>>()
        });
        let items: Vec<String> = items.collect();
        // A list whose item runs again is gathered again.
        let lists = chosen.iter().filter_map(|id| Some(id.split_once('[')?.0.to_owned()));
        let lists: Vec<String> = lists.collect();
        chosen.extend(items.into_iter().chain(lists));
        chosen.sort();
        chosen.dedup();
        chosen.iter().try_for_each(|id| history.again(id)).map_err(|error| error.to_string())
    };
    ExitCode::from(go_on(args.run.as_deref(), &args.going_on, change).unwrap_or_else(|code| code))
}

fn go_on(
    run: Option<&str>,
    args: &args::GoingOn,
    change: impl FnOnce(&mut History) -> Result<(), String>,
) -> Result<u8, u8> {
    let usage = |message: String| fail(&message, exit::USAGE);
    let found = history::find(&args.shown.state.state_dir, run).map_err(usage)?;
    let meta = Meta::read(&found.path).map_err(|error| {
        let folder = found.path.display();
        fail(&format!("{folder} holds no run that can be resumed: {error}"), exit::USAGE)
    })?;
    let going_on = || fail(&format!("run {} is still going on", found.id), exit::USAGE);
    let store =
        FileStore::open(found.path.join("journal")).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => going_on(),
            _ => fail(&format!("cannot open the journal: {error}"), exit::IO),
        })?;
    let dir = take(&found.path).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => going_on(),
        _ => fail(&format!("cannot use {}: {error}", found.path.display()), exit::IO),
    })?;
    let mut history = History::open(store).map_err(|error| fail(&error.to_string(), exit::IO))?;
    if let Some(cut) = history.cut() {
        run::say(&format!(
            "the journal was damaged, what it told there is done again: cut off {cut}"
        ));
    }
    let told = |error: String| fail(&error, exit::USAGE);
    for id in &args.again {
        history.again(id).map_err(|error| told(error.to_string()))?;
    }
    for id in &args.failed {
        history.failed(id, "taken as failed").map_err(|error| told(error.to_string()))?;
    }
    change(&mut history).map_err(told)?;
    if args.accept_changes {
        history.accept_changes();
    }
    let mut inputs = meta.inputs.clone();
    inputs.extend(args.given.inputs.iter().cloned());
    if let Some(missing) = meta
        .secret_inputs
        .iter()
        .find(|name| !args.given.inputs.iter().any(|(given, _)| given == *name))
    {
        let message =
            format!("input `{missing}` is a secret and was not kept: give it by `-i {missing}=…`");
        return Err(fail(&message, exit::USAGE));
    }
    let start = Start {
        file: &meta.file,
        cwd: meta.cwd.clone(),
        inputs: &inputs,
        jobs: args.given.jobs.or(meta.jobs),
        shown: &args.shown,
    };
    run::start(start, dir, history)
}

/// Takes the folder of a run whose journal nobody has. If its process was killed, its watchman may be ending the commands that
/// it left: those must be gone before they are started again.
fn take(path: &Path) -> std::io::Result<RunDir> {
    let until = Instant::now() + PATIENCE;
    loop {
        match RunDir::open(path) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {}
            taken => return taken,
        }
    }
}
