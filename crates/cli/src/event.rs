//! What happens during a run, as progress bars, plain lines and `--json` all read it.

use serde::{Deserialize, Serialize};

/// One thing that happened. Serialised as one JSON object with the key `event`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    RunStarted {
        run: String,
        file: String,
        name: Option<String>,
        tasks: usize,
        dir: String,
    },
    /// A `foreach` task has its items.
    TaskExpanded {
        task: String,
        items: usize,
    },
    TaskStarted {
        task: String,
        item: Option<String>,
        #[serde(default)]
        index: Option<usize>,
        attempt: u32,
    },
    /// An attempt failed and another will follow.
    TaskRetrying {
        task: String,
        item: Option<String>,
        #[serde(default)]
        index: Option<usize>,
        attempt: u32,
        error: String,
        retry_in_seconds: f64,
        stderr: String,
    },
    TaskFinished {
        task: String,
        item: Option<String>,
        #[serde(default)]
        index: Option<usize>,
        status: Status,
        attempts: u32,
        /// Time from the first start to the end, in seconds.
        seconds: f64,
        /// Why it did not succeed.
        error: Option<String>,
        stderr: Option<String>,
        /// Where it wrote.
        stdout_file: Option<String>,
        stderr_file: Option<String>,
    },
    /// Ctrl-C, or a signal to end.
    Interrupted {
        signal: String,
        second: bool,
    },
    RunFinished(Box<crate::summary::Summary>),
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Ok,
    Skipped,
    Cancelled,
    Failed,
    TimedOut,
}

impl Status {
    /// The word that people read.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::Skipped => "skipped",
            Self::Cancelled => "not done",
        }
    }
}

/// `audit[3] serde-1.0.2`: a task, or an item of it by its number, as commands take it, and its text.
pub(crate) fn label(task: &str, index: Option<usize>, item: Option<&str>) -> String {
    let name = name(task, index);
    match item {
        // What has no text of its own is called by its number.
        Some(item) if index.is_none_or(|index| index.to_string() != item) => {
            format!("{name} {item}")
        }
        _ => name,
    }
}

/// `audit[3]`: what `retry` and `logs` take.
pub(crate) fn name(task: &str, index: Option<usize>) -> String {
    index.map_or_else(|| task.to_owned(), |index| format!("{task}[{index}]"))
}
