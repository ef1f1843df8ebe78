//! `tidegate runs`, `show`, `logs`, `prune`: looking at runs, and throwing them away.

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::args;
use crate::event::{Event, Status, label};
use crate::exit;
use crate::history::{self, PastRun, State};
use crate::job::shown;
use crate::run_dir::RunDir;
use crate::style::Style;

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// What to say, and the code to exit with.
pub(crate) struct Failure(String, u8);

impl Failure {
    pub(crate) fn usage(message: String) -> Self {
        Self(message, exit::USAGE)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(error.to_string(), exit::IO)
    }
}

/// Runs one of the commands; gives the code to exit with. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn exit_code(done: Result<()>) -> std::process::ExitCode {
    let code = match done {
        Ok(()) => exit::OK,
        Err(Failure(message, code)) => {
            let _ = writeln!(io::stderr().lock(), "error: {message}");
            code
        }
    };
    code.into()
}

/// Writes to standard output.
///
/// # Errors
///
/// It cannot be written; not when its reader is gone.
pub(crate) fn say(
    text: impl FnOnce(&mut io::StdoutLock<'static>, Style) -> io::Result<()>,
) -> Result<()> {
    let mut out = io::stdout().lock();
    let style = Style::for_terminal(out.is_terminal());
    match text(&mut out, style).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Lists the runs, the newest first.
///
/// # Errors
///
/// The folder cannot be read.
pub(crate) fn list(args: &args::Runs) -> Result<()> {
    let runs = history::all(&args.state.state_dir)?;
    say(|out, style| {
        for run in runs.iter().take(args.last) {
            let about = About::of(run);
            if args.json {
                let line = json!({
                    "run": run.id, "state": run.word(), "file": about.file, "tasks": about.tasks,
                    "ended": about.ended, "seconds": about.seconds, "dir": run.path,
                });
                writeln!(out, "{line}")?;
                continue;
            }
            let word = format!("{:<9}", run.word());
            let word = if run.is_ok() { style.good(&word) } else { style.bad(&word) };
            let time =
                about.seconds.map_or(String::new(), |time| shown(Duration::from_secs_f64(time)));
            let done = format!("{}/{}", about.ended, about.tasks);
            writeln!(out, "{}  {word}  {done:>9}  {time:>8}  {}", run.id, about.file)?;
        }
        if runs.is_empty() && !args.json {
            writeln!(out, "no runs in {}", args.state.state_dir.display())?;
        }
        Ok(())
    })
}

/// What a line of the list says of a run.
#[derive(Default)]
struct About {
    file: String,
    tasks: usize,
    ended: usize,
    seconds: Option<f64>,
}

impl About {
    fn of(run: &PastRun) -> Self {
        let mut about = Self::default();
        for event in run.events().into_iter().flatten() {
            match event {
                // A run that is gone on with begins once more, and tells again what is over.
                Event::RunStarted { file, tasks, .. } => {
                    about = Self { file, tasks, ..Self::default() }
                }
                Event::TaskExpanded { items, .. } => about.tasks += items.saturating_sub(1),
                Event::TaskFinished { .. } => about.ended += 1,
                _ => {}
            }
        }
        if let State::Ended(summary) = &run.state {
            about.seconds = Some(summary.seconds);
            about.tasks = summary.tasks.len();
            let is_done = |status| !matches!(status, Status::Cancelled | Status::Skipped);
            about.ended = summary.tasks.iter().filter(|line| is_done(line.status)).count();
        }
        about
    }
}

/// Shows what became of a run, or how far it is.
///
/// # Errors
///
/// There is no such run, or its files cannot be read.
pub(crate) fn show(args: &args::Show) -> Result<()> {
    let run = history::find(&args.state.state_dir, args.run.as_deref()).map_err(Failure::usage)?;
    if let State::Ended(summary) = &run.state {
        return say(|out, style| match args.json {
            true => writeln!(out, "{}", json!(summary)),
            false => {
                writeln!(out, "run {}: {}", run.id, run.word())?;
                summary.write(out, style)
            }
        });
    }
    let mut tasks: Vec<(String, String)> = Vec::new();
    let mut set = |task: &str, item: Option<&str>, index: Option<usize>, state: String| {
        let name = label(task, index, item);
        match tasks.iter_mut().rev().find(|(of, _)| *of == name) {
            Some((_, known)) => *known = state,
            None => tasks.push((name, state)),
        }
    };
    for event in run.events()? {
        match event {
            Event::TaskStarted { task, item, index, attempt } => {
                set(&task, item.as_deref(), index, format!("attempt {attempt} started"));
            }
            Event::TaskRetrying { task, item, index, attempt, error, .. } => {
                set(&task, item.as_deref(), index, format!("attempt {attempt} failed: {error}"));
            }
            Event::TaskFinished { task, item, index, status, error, .. } => {
                let why = error.map_or(String::new(), |error| format!(": {error}"));
                set(&task, item.as_deref(), index, format!("{}{why}", status.word()));
            }
            _ => {}
        }
    }
    say(|out, _| {
        if args.json {
            let tasks = tasks.iter().map(|(task, state)| json!({"task": task, "state": state}));
            let tasks: Vec<_> = tasks.collect();
            return writeln!(
                out,
                "{}",
                json!({"run": run.id, "state": run.word(), "tasks": tasks})
            );
        }
        writeln!(out, "run {}: {}", run.id, run.word())?;
        tasks.iter().try_for_each(|(task, state)| writeln!(out, "  {task}: {state}"))?;
        match run.state {
            State::Killed => writeln!(out, "go on with it by `tidegate resume {}`", run.id),
            _ => Ok(()),
        }
    })
}

/// Copies what tasks wrote, standard output to standard output and the other to the other.
///
/// # Errors
///
/// There is no such run or task, or its files cannot be read.
pub(crate) fn logs(args: &args::Logs) -> Result<()> {
    let run = history::find(&args.state.state_dir, args.run.as_deref()).map_err(Failure::usage)?;
    let root = run.path.join("tasks");
    let mut folders = Vec::new();
    if args.tasks.is_empty() {
        with_attempts(&root, &mut folders)?;
    }
    for task in &args.tasks {
        // `audit[7]` is how the summary calls an item, `audit/7` its folder.
        let folder = task.trim_end_matches(']').replace('[', "/");
        let is_plain = !folder.is_empty()
            && Path::new(&folder)
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
        let before = folders.len();
        if is_plain && root.join(&folder).is_dir() {
            with_attempts(&root.join(&folder), &mut folders)?;
        }
        if folders.len() == before {
            let message = format!(
                "nothing of a task `{task}` in run {}: it has not started, or has another name",
                run.id
            );
            return Err(Failure::usage(message));
        }
    }
    let has_titles = folders.len() > 1;
    for folder in folders {
        let attempt = match args.attempt {
            Some(attempt) => attempt,
            None => attempts(&folder)?.into_iter().max().unwrap_or(1),
        };
        if has_titles {
            let name = named(folder.strip_prefix(&root).unwrap_or(&folder));
            say(|out, style| {
                writeln!(out, "{}", style.faint(&format!("==> {name}, attempt {attempt}")))
            })?;
        }
        copy(&folder.join(format!("{attempt}.stdout")), &mut io::stdout().lock())?;
        copy(&folder.join(format!("{attempt}.stderr")), &mut io::stderr().lock())?;
    }
    Ok(())
}

/// The task, or item of one, that writes into this folder below `tasks`.
fn named(folder: &Path) -> String {
    let mut parts = folder.iter().map(|part| part.to_string_lossy());
    let task = parts.next().unwrap_or_default().into_owned();
    parts.fold(task, |name, part| format!("{name}[{part}]"))
}

fn copy(from: &Path, to: &mut impl Write) -> Result<()> {
    let mut file = match File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Failure::usage(format!(
                "{} is not there: no such attempt",
                from.display()
            )));
        }
        file => file?,
    };
    match io::copy(&mut file, to).and_then(|_| to.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// The folders below this one, itself among them, in which attempts have written: items by their number, tasks by name.
fn with_attempts(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    if !attempts(folder)?.is_empty() {
        found.push(folder.to_owned());
    }
    let below = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut below = below.collect::<io::Result<Vec<PathBuf>>>()?;
    below.retain(|path| path.is_dir());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<usize>().ok();
    below.sort_by_cached_key(|path| (number(path), path.clone()));
    below.iter().try_for_each(|path| with_attempts(path, found))
}

/// The attempts that have written into a folder.
fn attempts(folder: &Path) -> io::Result<Vec<u32>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    let attempts =
        names.iter().filter_map(|name| name.to_str()?.strip_suffix(".stdout")?.parse().ok());
    Ok(attempts.collect())
}

/// Throws runs away that are finished, or all that do not live: those beyond the newest `keep`, and those that are older.
///
/// # Errors
///
/// Neither was said, or a folder cannot be removed.
pub(crate) fn prune(args: &args::Prune) -> Result<()> {
    if args.keep.is_none() && args.older_than.is_none() {
        let message =
            "say which runs may go: `--keep N` for all but the newest N, `--older-than 30d` by age";
        return Err(Failure::usage(message.to_owned()));
    }
    let now = SystemTime::now();
    let (mut count, mut left) = (0, 0);
    for (at, run) in history::all(&args.state.state_dir)?.iter().enumerate() {
        let age = fs::metadata(run.path.join("events.jsonl")).and_then(|file| file.modified());
        let age = age.map(|at| now.duration_since(at).unwrap_or_default()).unwrap_or_default();
        let is_beyond = args.keep.is_none_or(|keep| keep <= at);
        let is_old = args.older_than.is_none_or(|limit| limit <= age);
        if !is_beyond || !is_old {
            continue;
        }
        // Whoever has the lock is alive; while it is ours nobody goes on with the run.
        let Ok(_lock) = RunDir::open(&run.path) else { continue };
        if run.is_unfinished() && !args.unfinished {
            left += 1;
            continue;
        }
        if !args.dry_run {
            fs::remove_dir_all(&run.path)
                .map_err(|error| Failure(format!("{}: {error}", run.path.display()), exit::IO))?;
        }
        count += 1;
        say(|out, _| writeln!(out, "{}", run.id))?;
    }
    let verb = if args.dry_run { "would be removed" } else { "removed" };
    let _ = writeln!(io::stderr().lock(), "{count} runs {verb}");
    if left > 0 {
        let _ = writeln!(
            io::stderr().lock(),
            "{left} that `tidegate resume` could go on with are left: `--unfinished` removes them, too"
        );
    }
    Ok(())
}
