//! The runs of the past and those that live, read from their folders.

use std::fs::{File, TryLockError};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use crate::event::{Event, Status};
use crate::summary::Summary;

/// A run, as its folder tells.
#[derive(Debug)]
pub(crate) struct PastRun {
    pub(crate) id: String,
    pub(crate) path: PathBuf,
    pub(crate) state: State,
}

/// How it stands with a run.
#[derive(Debug)]
pub(crate) enum State {
    /// A process of it lives.
    Running,
    /// It said how it ended.
    Ended(Box<Summary>),
    /// Its process went without a word: it was killed, or the machine went down.
    Killed,
}

impl PastRun {
    fn read(path: PathBuf) -> Option<Self> {
        let id = path.file_name()?.to_str()?.to_owned();
        let state = if is_locked(&path) {
            State::Running
        } else {
            let summary = File::open(path.join("report.json")).ok();
            let summary =
                summary.and_then(|file| serde_json::from_reader(BufReader::new(file)).ok());
            summary.map_or(State::Killed, |summary| State::Ended(Box::new(summary)))
        };
        Some(Self { id, path, state })
    }

    /// The word that people read.
    pub(crate) fn word(&self) -> &'static str {
        match &self.state {
            State::Running => "running",
            State::Ended(summary) => summary.status.word(),
            State::Killed => "killed",
        }
    }

    pub(crate) fn is_ok(&self) -> bool {
        matches!(&self.state, State::Ended(summary) if summary.status == Status::Ok)
    }

    /// Whether something of it was not done that `resume` would do.
    pub(crate) fn is_unfinished(&self) -> bool {
        match &self.state {
            State::Running | State::Killed => true,
            State::Ended(summary) => summary.counts.cancelled > 0,
        }
    }

    /// What happened so far: nothing of a run that was killed at birth. A last line that is cut off is left out.
    ///
    /// # Errors
    ///
    /// The events cannot be read.
    pub(crate) fn events(&self) -> io::Result<impl Iterator<Item = Event>> {
        let file = match File::open(self.path.join("events.jsonl")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            file => Some(BufReader::new(file?)),
        };
        let lines = file.into_iter().flat_map(|file| file.lines().map_while(Result::ok));
        Ok(lines.filter_map(|line| serde_json::from_str(&line).ok()))
    }
}

/// Whether a process of the run lives.
fn is_locked(path: &Path) -> bool {
    File::open(path.join("lock"))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// All runs below the folder, the newest first.
///
/// # Errors
///
/// The folder is there and cannot be read.
pub(crate) fn all(state_dir: &Path) -> io::Result<Vec<PastRun>> {
    let mut folders = folders(state_dir)?;
    folders.sort();
    Ok(folders.into_iter().rev().filter_map(PastRun::read).collect())
}

/// The run whose id begins so, or the newest.
///
/// # Errors
///
/// There is none, or several begin so; says what would be right.
pub(crate) fn find(state_dir: &Path, beginning: Option<&str>) -> Result<PastRun, String> {
    let unreadable = |error| format!("cannot read {}: {error}", state_dir.display());
    let mut folders = folders(state_dir).map_err(unreadable)?;
    folders.sort();
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(beginning) = beginning {
        folders.retain(|path| name(path).starts_with(beginning));
        if folders.len() > 1 && !folders.iter().any(|path| name(path) == beginning) {
            let found: Vec<String> = folders.iter().rev().take(5).map(name).collect();
            return Err(format!("several runs begin with `{beginning}`: {}", found.join(", ")));
        }
        folders.sort_by_key(|path| name(path) == beginning);
    }
    let found = folders.pop().and_then(PastRun::read);
    found.ok_or_else(|| match beginning {
        Some(id) => format!("no run begins with `{id}`: `tidegate runs` lists them"),
        None => format!("there is no run in {}", state_dir.display()),
    })
}

fn folders(state_dir: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(state_dir.join("runs")) {
        Ok(entries) => {
            let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
            Ok(folders.filter(|path| path.is_dir()).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
