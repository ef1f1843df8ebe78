//! A workflow file, read and checked: what the rest of the command works from.
//!
//! [`load`] either gives a [`Workflow`] in which every reference resolves, every template parses and no cycle exists,
//! or every error that the file has. Nothing else in the crate looks at YAML.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, Pos, Source, nearest};
use crate::{template, yaml};

mod check;
mod duration;
mod read;

pub(crate) use duration::parse_duration;

/// A checked workflow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workflow {
    pub(crate) name: Option<String>,
    /// Inputs with their defaults; one without a default must be given on the command line.
    pub(crate) inputs: Vec<(String, Option<String>)>,
    pub(crate) env: Vec<(String, Text)>,
    pub(crate) limits: Limits,
    pub(crate) agents: BTreeMap<String, Agent>,
    /// The time-out and the retries of tasks that do not say otherwise.
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
    /// Tasks in file order.
    pub(crate) tasks: Vec<Task>,
    /// Where each of `limits`, `defaults` and `agents` stands that has a value, as `limits.concurrency`.
    pub(crate) places: BTreeMap<String, Pos>,
}

/// Bounds on the run as a whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    /// Most tasks running at once; the number of cores when absent.
    pub(crate) concurrency: Option<usize>,
    /// Longest duration of the run.
    pub(crate) timeout: Option<Duration>,
    /// Largest output that a template may take, in bytes.
    pub(crate) capture: Option<u64>,
}

/// Bounds on the tasks that name this agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agent {
    pub(crate) concurrency: Option<usize>,
}

/// A task that runs a command, or one command for each item of a list.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) at: Pos,
    pub(crate) run: Run,
    pub(crate) needs: Vec<(String, Pos)>,
    pub(crate) foreach: Option<Foreach>,
    pub(crate) env: Vec<(String, Text)>,
    pub(crate) cwd: Option<Text>,
    pub(crate) stdin: Option<Text>,
    /// Of each attempt; that of the workflow if there is none.
    pub(crate) timeout: Option<Duration>,
    /// Those of the workflow if there are none.
    pub(crate) retry: Option<Retry>,
    pub(crate) agent: Option<(String, Pos)>,
    pub(crate) priority: i32,
    /// Whether it must not be repeated by another process without being asked.
    pub(crate) once: bool,
}

/// The command of a task.
#[derive(Clone, Debug)]
pub(crate) enum Run {
    /// A script for a POSIX shell; values are quoted as they are put in.
    Script { text: Text, shell: Vec<String> },
    /// A program and its arguments, without a shell.
    Argv(Vec<Text>),
}

/// What a `foreach` task runs over.
#[derive(Clone, Debug)]
pub(crate) enum Foreach {
    /// Items written in the file.
    Items(Vec<serde_json::Value>),
    /// An expression that gives a list, or a text whose lines are the items.
    Expression(Text),
}

/// How often a failing command is tried, and how long after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Retry {
    /// Attempts in all, the first included.
    pub(crate) attempts: u32,
    /// Pause after the first failure.
    pub(crate) backoff: Duration,
    /// What each pause is multiplied by for the next.
    pub(crate) factor: f64,
    /// Longest pause.
    pub(crate) max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        let (backoff, max) = (Duration::from_secs(1), Duration::from_secs(60));
        Self { attempts: 1, backoff, factor: 2.0, max }
    }
}

/// A piece of the file that may hold templates, and where it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    pub(crate) at: Pos,
    pub(crate) source: String,
    /// Whether it is a block scalar, whose lines all start in the same column.
    pub(crate) block: bool,
}

impl Text {
    /// The place in the file of byte `offset` of the text: exact in block scalars and on the first line of others.
    pub(crate) fn place(&self, offset: usize) -> Pos {
        let before = self.source.get(..offset).unwrap_or(&self.source);
        let line = before.matches('\n').count();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        match line {
            _ if self.block => Pos { line: self.at.line + line, column: self.at.column + column },
            0 => Pos { line: self.at.line, column: self.at.column + column },
            _ => self.at,
        }
    }
}

/// Reads and checks the file at `path`.
///
/// # Errors
///
/// Every error found, in file order, with the source that they quote.
pub(crate) fn load(path: &Path) -> Result<(Workflow, Source), (Source, Vec<Diagnostic>)> {
    let text = match text_of(path) {
        Ok(text) => text,
        Err(diagnostic) => return Err((Source::new(path, ""), vec![diagnostic])),
    };
    let source = Source::new(path, text);
    match parse(source.text()) {
        Ok(workflow) => Ok((workflow, source)),
        Err(mut found) => {
            if let (Some("toml"), [only]) =
                (path.extension().and_then(|of| of.to_str()), &mut found[..])
            {
                let of_yaml = || "a workflow file is YAML, or JSON; TOML is none".to_owned();
                only.hint.get_or_insert_with(of_yaml);
            }
            Err((source, found))
        }
    }
}

/// Reads and checks the text of a workflow file.
///
/// # Errors
///
/// Every error found, in file order.
pub(crate) fn parse(text: &str) -> Result<Workflow, Vec<Diagnostic>> {
    let root = yaml::parse(text).map_err(|diagnostic| vec![diagnostic])?;
    let (workflow, mut found) = read::read(&root, text);
    check::check(&workflow, &template::Templates::new(), &mut found);
    if found.is_empty() {
        return Ok(workflow);
    }
    found.sort_by_key(|diagnostic| diagnostic.at);
    Err(found)
}

fn text_of(path: &Path) -> Result<String, Diagnostic> {
    let failed = |error: &std::io::Error| {
        let diagnostic = Diagnostic::whole(format!("cannot read the workflow file: {error}"));
        match neighbour(path) {
            Some(name) if error.kind() == std::io::ErrorKind::NotFound => {
                diagnostic.hint(format!("did you mean `{name}`?"))
            }
            _ => diagnostic.hint("give the path of a YAML file, as in `tidegate run flow.yaml`"),
        }
    };
    // Not by the length that the file tells: a device or a pipe tells none, and a file may grow.
    let mut bytes = Vec::new();
    let open = std::fs::File::open(path);
    let read = open.and_then(|file| file.take(yaml::MAX_BYTES + 1).read_to_end(&mut bytes));
    if read.map_err(|error| failed(&error))? as u64 > yaml::MAX_BYTES {
        return Err(Diagnostic::at(
            Pos { line: 1, column: 1 },
            format!("the file is larger than {} MiB", yaml::MAX_BYTES >> 20),
        )
        .hint("keep data out of the workflow file: use `foreach` over the lines of a command"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|&&b| b == b'\n').count() + 1;
        Diagnostic::at(Pos { line, column: 1 }, "this line is not UTF-8").hint("save as UTF-8")
    })
}

/// A file beside the missing one whose name is nearly the same.
fn neighbour(path: &Path) -> Option<String> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let name = nearest(path.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    Some(path.with_file_name(name).display().to_string())
}

#[cfg(test)]
mod tests;
