//! A run's commands: what they share, and one attempt of one of them.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minijinja::context;
use minijinja::value::{Serde, Value, ValueKind};
use tidegate_workflow::TraceParent;
use tidegate_workflow::config::{Configuration, is_secret};

use crate::event::Status;
use crate::file::{Foreach, Run, Task, Text, Workflow};
use crate::outputs::{CAPTURE, Files, Output, Outputs};
use crate::process::{self, Ended, Spec, Stop};
use crate::run_dir::{self, RunDir};
use crate::secrets::Secrets;
use crate::template::{TemplateError, Templates};
use crate::watchman;

/// Most items of one `foreach`.
const MAX_ITEMS: usize = 100_000;
/// How much of a failed command's stderr is shown, in bytes from its end.
const TAIL: u64 = 2048;

/// What all commands of a run share.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) workflow: Workflow,
    pub(crate) settings: Configuration,
    pub(crate) dir: RunDir,
    pub(crate) stop: Stop,
    templates: Templates,
    outputs: Outputs,
    inputs: Value,
    about: Value,
    /// The environment as templates see it: ours, and the workflow's `env` over it.
    seen_env: Value,
    env: Vec<(String, String)>,
    /// What no event, report or journal may hold: from the environment that commands see, and from the inputs.
    pub(crate) secrets: Secrets,
    cwd: PathBuf,
}

/// One item of a `foreach`, as templates see it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) index: usize,
    pub(crate) value: Value,
}

/// Why an attempt failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
    /// The last lines that the command wrote to stderr.
    pub(crate) stderr: String,
}

/// What sort of failure it was; only what the command did itself is worth another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    Failed,
    TimedOut,
    Stopped,
    Skipped,
    /// A template, a missing program, a file that cannot be written: the next attempt would fail the same way.
    Broken,
}

impl Item {
    /// The item as people see it: its text, clipped; a mapping by its `name` or `id`, else by its index.
    pub(crate) fn label(&self, secrets: &Secrets) -> String {
        let named = |key| self.value.get_attr(key).ok().filter(|value| value.as_str().is_some());
        let shown = match self.value.kind() {
            ValueKind::Map => named("name").or_else(|| named("id")).map(|value| value.to_string()),
            _ => Some(self.value.to_string()),
        };
        // Before it is clipped: half a secret would not be found.
        let shown = secrets.taken_from(&shown.unwrap_or_else(|| self.index.to_string()));
        let clean = shown.chars().filter(|c| !c.is_control());
        let mut clipped: String = clean.take(40).collect();
        if shown.chars().count() > 40 {
            clipped.push('…');
        }
        clipped
    }
}

impl Failure {
    /// For a task whose upstream did not succeed.
    pub(crate) fn skipped(upstream: &str) -> Self {
        let message = format!("needs `{upstream}`, which did not succeed");
        Self { kind: FailureKind::Skipped, message, stderr: String::new() }
    }

    /// For a task that never started because the run was ended.
    pub(crate) fn cancelled() -> Self {
        let message = "the run was ended before it started".to_owned();
        Self { kind: FailureKind::Stopped, message, stderr: String::new() }
    }

    /// For a task that another process began, and that must not be repeated without being asked.
    pub(crate) fn unknown() -> Self {
        let message = "its outcome is unknown: it was running when the process died; decide by \
                       `tidegate resume --again TASK` or `--failed TASK`";
        Self { kind: FailureKind::Stopped, message: message.to_owned(), stderr: String::new() }
    }

    /// Whether another attempt may do better.
    pub(crate) fn again(&self) -> bool {
        matches!(self.kind, FailureKind::Failed | FailureKind::TimedOut)
    }

    /// How a task ends whose last attempt failed like this.
    pub(crate) fn status(&self) -> Status {
        match self.kind {
            FailureKind::Failed | FailureKind::Broken => Status::Failed,
            FailureKind::TimedOut => Status::TimedOut,
            FailureKind::Stopped => Status::Cancelled,
            FailureKind::Skipped => Status::Skipped,
        }
    }

    pub(crate) fn broken(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Broken, message: message.into(), stderr: String::new() }
    }

    fn without(self, secrets: &Secrets) -> Self {
        Self { message: secrets.taken_from(&self.message), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// An attempt, as others know it.
#[derive(Debug)]
pub(crate) struct Named {
    /// Its number, from 1.
    pub(crate) attempt: u32,
    pub(crate) key: String,
    pub(crate) trace_parent: TraceParent,
}

/// The variable that says where in which trace a command is, to us as to those that we run.
pub(crate) const TRACE_PARENT: &str = "TRACEPARENT";

impl Job {
    /// Prepares a run of `workflow`, read from `file`, in the folder `cwd`.
    ///
    /// # Errors
    ///
    /// An `env` of the workflow that cannot be rendered.
    pub(crate) fn new(
        workflow: Workflow,
        settings: Configuration,
        file: &Path,
        inputs: &[(String, String)],
        dir: RunDir,
        cwd: PathBuf,
    ) -> Result<Self, Failure> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let about = context! {
            name => workflow.name.clone(),
            file => absolute(file).display().to_string(),
            dir => absolute(folder).display().to_string(),
        };
        let given = inputs;
        let inputs = given.iter().map(|(name, value)| (name.clone(), value.clone()));
        let inputs = Value::from_pairs(inputs);
        let mut job = Self {
            dir,
            stop: Stop::default(),
            templates: Templates::new(),
            outputs: Outputs::default(),
            inputs,
            about,
            seen_env: environment(&[]),
            env: Vec::new(),
            secrets: Secrets::default(),
            cwd,
            workflow,
            settings,
        };
        let mut env = Vec::new();
        for (name, text) in &job.workflow.env {
            env.push((name.clone(), job.render(text, &job.context(None, None))?));
        }
        job.seen_env = environment(&env);
        job.secrets = Secrets::ours().and(given).and(&env);
        job.env = env;
        Ok(job)
    }

    /// How long an attempt may take.
    fn timeout(&self, task: &Task) -> Option<Duration> {
        task.timeout.or(self.settings.default_timeout())
    }

    fn context(&self, task: Option<&Task>, item: Option<&Item>) -> Value {
        let needs = task.map_or(&[][..], |task| &task.needs);
        let tasks = self.outputs.visible(needs.iter().map(|(id, _)| id.as_str()));
        let base = context! {
            inputs => self.inputs.clone(),
            env => self.seen_env.clone(),
            tasks => tasks,
            run => context! { id => self.dir.id.clone(), dir => absolute(&self.dir.path).display().to_string() },
            workflow => self.about.clone(),
        };
        match item {
            Some(item) => context! { item => item.value.clone(), index => item.index, ..base },
            None => base,
        }
    }

    fn render(&self, text: &Text, context: &Value) -> Result<String, Failure> {
        self.templates.render(&text.source, context).map_err(|error| misrendered(text, &error))
    }

    /// The items that a `foreach` task runs over, now that its upstreams have finished.
    ///
    /// # Errors
    ///
    /// A template that cannot be rendered, or too many items.
    pub(crate) fn items(&self, task: &Task) -> Result<Vec<Item>, Failure> {
        self.list(task).map_err(|failure| failure.without(&self.secrets))
    }

    fn list(&self, task: &Task) -> Result<Vec<Item>, Failure> {
        let values: Vec<Value> = match &task.foreach {
            None => Vec::new(),
            Some(Foreach::Items(items)) => {
                items.iter().map(|item| Value::from(Serde(item))).collect()
            }
            Some(Foreach::Expression(text)) => {
                let context = self.context(Some(task), None);
                let value = match Templates::expression(&text.source) {
                    Some(expression) => self
                        .templates
                        .eval(expression, &context)
                        .map_err(|error| misrendered(text, &error))?,
                    None => Value::from(self.render(text, &context)?),
                };
                match value.kind() {
                    ValueKind::Seq | ValueKind::Iterable => {
                        let items = value.try_iter().map_err(|e| Failure::broken(e.to_string()))?;
                        items.take(MAX_ITEMS + 1).collect()
                    }
                    _ => value.to_string().lines().map(Value::from).collect(),
                }
            }
        };
        if values.len() > MAX_ITEMS {
            let message = format!("`foreach` gives more than {MAX_ITEMS} items");
            return Err(Failure::broken(message));
        }
        Ok(values.into_iter().enumerate().map(|(index, value)| Item { index, value }).collect())
    }

    /// Keeps what a finished task wrote, for the templates of those that need it.
    pub(crate) fn keep(&self, task: &Task, files: Vec<Files>) {
        self.outputs.insert(Output {
            id: task.id.clone(),
            files,
            many: task.foreach.is_some(),
            capture: self.workflow.limits.capture.unwrap_or(CAPTURE),
        });
    }

    /// What its commands carry, so that they can be found when this process is gone; a resumed run has another.
    pub(crate) fn mark(&self) -> String {
        format!("{}.{}", self.dir.id, std::process::id())
    }

    /// Where an attempt of a task, or of an item of it, writes.
    pub(crate) fn files(&self, task: &Task, item: Option<usize>, attempt: u32) -> Files {
        let folder = absolute(&self.dir.task(&task.id, item));
        Files {
            stdout: folder.join(format!("{attempt}.stdout")),
            stderr: folder.join(format!("{attempt}.stderr")),
        }
    }

    /// Runs one attempt of a task or of one item of it; gives where it wrote.
    ///
    /// # Errors
    ///
    /// The attempt failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future kills the command and its children.
    pub(crate) async fn attempt(
        &self,
        task: &Task,
        item: Option<&Item>,
        named: &Named,
    ) -> Result<Files, Failure> {
        let folder = absolute(&self.dir.task(&task.id, item.map(|item| item.index)));
        let files = self.files(task, item.map(|item| item.index), named.attempt);
        let spec = self.spec(task, item, named, &folder, &files);
        let spec = spec.map_err(|failure| failure.without(&self.secrets))?;
        // The task's own environment may hold others.
        let own: Vec<_> = spec.env.iter().filter(|(name, _)| is_secret(name)).cloned().collect();
        let secrets = || self.secrets.clone().and(&own);
        let program = spec.program.clone();
        let ended = process::run(spec, &self.stop).await.map_err(|error| {
            let message = match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("cannot start `{}`: no such program or folder", program.display())
                }
                _ => format!("cannot start `{}`: {error}", program.display()),
            };
            Failure::broken(message).without(&secrets())
        })?;
        let (kind, message) = match ended {
            Ended::Exited(status) if status.success() => return Ok(files),
            Ended::Exited(status) => (
                FailureKind::Failed,
                match (status.code(), status.signal()) {
                    (Some(code), _) => format!("exit code {code}"),
                    (None, Some(signal)) => format!("killed by signal {signal}"),
                    (None, None) => "ended without an exit code".to_owned(),
                },
            ),
            Ended::TimedOut => {
                let timeout = shown(self.timeout(task).unwrap_or_default());
                (FailureKind::TimedOut, format!("took longer than {timeout}"))
            }
            Ended::Stopped => (FailureKind::Stopped, "stopped".to_owned()),
        };
        Err(Failure { kind, message, stderr: tail(&files.stderr, &secrets()) })
    }

    fn spec(
        &self,
        task: &Task,
        item: Option<&Item>,
        named: &Named,
        folder: &Path,
        files: &Files,
    ) -> Result<Spec, Failure> {
        let unwritable = |error: io::Error| {
            Failure::broken(format!("cannot write {}: {error}", folder.display()))
        };
        run_dir::make(folder).map_err(unwritable)?;
        let attempt = named.attempt;
        let context = self.context(Some(task), item);
        let (program, args): (OsString, Vec<OsString>) = match &task.run {
            Run::Script { text, shell } => {
                let script = self
                    .templates
                    .script(&text.source, &context)
                    .map_err(|error| misrendered(text, &error))?;
                let path = folder.join(format!("{attempt}.sh"));
                run_dir::fed(&path, script.as_bytes()).map_err(unwritable)?;
                let args = shell.iter().skip(1).map(OsString::from).chain([path.into()]);
                (shell.first().map_or("sh", String::as_str).into(), args.collect())
            }
            Run::Argv(words) => {
                let words = words.iter().map(|word| self.render(word, &context));
                let mut words = words.collect::<Result<Vec<String>, Failure>>()?.into_iter();
                let program = words.next().unwrap_or_default();
                (program.into(), words.map(OsString::from).collect())
            }
        };
        let cwd = match &task.cwd {
            Some(text) => self.cwd.join(self.render(text, &context)?),
            None => self.cwd.clone(),
        };
        if !cwd.is_dir() {
            return Err(Failure::broken(format!("the folder {} does not exist", cwd.display())));
        }
        let mut env = self.env.clone();
        env.push((watchman::MARK.to_owned(), self.mark()));
        env.push(("TIDEGATE_RUN_ID".to_owned(), self.dir.id.clone()));
        env.push(("TIDEGATE_TASK".to_owned(), task.id.clone()));
        env.push(("TIDEGATE_ATTEMPT".to_owned(), attempt.to_string()));
        env.push(("TIDEGATE_IDEMPOTENCY_KEY".to_owned(), named.key.clone()));
        env.push((TRACE_PARENT.to_owned(), named.trace_parent.to_string()));
        for (name, text) in &task.env {
            env.push((name.clone(), self.render(text, &context)?));
        }
        let stdin = match &task.stdin {
            Some(text) => {
                let content = self.render(text, &context)?;
                let path = folder.join(format!("{attempt}.stdin"));
                Some(run_dir::fed(&path, content.as_bytes()).map_err(unwritable)?)
            }
            None => None,
        };
        Ok(Spec {
            program,
            args,
            env,
            cwd,
            stdin,
            stdout: run_dir::file(&files.stdout).map_err(unwritable)?,
            stderr: run_dir::file(&files.stderr).map_err(unwritable)?,
            timeout: self.timeout(task),
        })
    }
}

/// A path that means the same in a command with a `cwd` of its own.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn environment(over: &[(String, String)]) -> Value {
    let ours = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Value::from_pairs(ours.chain(over.iter().cloned()))
}

fn misrendered(text: &Text, error: &TemplateError) -> Failure {
    let at = text.place(error.offset.unwrap_or_default());
    Failure::broken(format!("template on line {}: {}", at.line, error.message))
}

/// The last lines of a file, at most [`TAIL`] bytes; invalid UTF-8 replaced, control characters and secrets taken out.
fn tail(path: &Path, secrets: &Secrets) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL + secrets.longest() as u64)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let text = secrets.taken_from_rest(&text, text.len().saturating_sub(TAIL as usize));
    let lines: Vec<&str> = text.lines().collect();
    let kept = lines[lines.len().saturating_sub(6)..].join("\n");
    kept.chars().filter(|&c| c == '\n' || !c.is_control()).collect()
}

/// A duration for people: `350 ms`, `4.2 s`, `3m 05s`, `2h 10m`.
pub(crate) fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => {
            let text = format!("{:.1}", duration.as_secs_f64());
            format!("{} s", text.strip_suffix(".0").unwrap_or(&text))
        }
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}
