//! From the YAML tree to the types of a workflow: shapes, types, keys, numbers, durations.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Agent, Foreach, Limits, Retry, Run, Task, Text, Workflow, parse_duration};
use crate::diagnostic::{Diagnostic, Pos, nearest};
use crate::yaml::{Key, Node, Value};

const TOP: &[&str] =
    &["name", "description", "inputs", "env", "limits", "agents", "defaults", "tasks"];
const LIMITS: &[&str] = &["concurrency", "timeout", "capture"];
const AGENT: &[&str] = &["concurrency", "description"];
const DEFAULTS: &[&str] = &["agent", "cwd", "retry", "shell", "timeout"];
const INPUT: &[&str] = &["default", "description"];
const RETRY: &[&str] = &["attempts", "backoff", "factor", "max"];
const TASK: &[&str] = &[
    "id",
    "description",
    "run",
    "needs",
    "foreach",
    "env",
    "cwd",
    "stdin",
    "timeout",
    "retry",
    "agent",
    "priority",
    "once",
    "shell",
];

/// Shells whose quoting the templates know.
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "busybox", "ksh", "mksh", "zsh"];

/// Reads the tree as a workflow; what cannot be read is left out and told.
pub(super) fn read(root: &Node, source: &str) -> (Workflow, Vec<Diagnostic>) {
    let mut reader = Reader { lines: source.lines().collect(), found: Vec::new() };
    let workflow = reader.workflow(root);
    (workflow, reader.found)
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    found: Vec<Diagnostic>,
}

type Fields<'n> = BTreeMap<&'n str, (&'n Key, &'n Node)>;

/// What tasks take when they do not say otherwise.
#[derive(Default)]
struct Defaults {
    agent: Option<(String, Pos)>,
    cwd: Option<Text>,
    retry: Option<Retry>,
    shell: Option<Vec<String>>,
    timeout: Option<Duration>,
}

impl Reader<'_> {
    fn workflow(&mut self, root: &Node) -> Workflow {
        let mut workflow = Workflow::default();
        if let Value::Null = root.value {
            self.found.push(
                Diagnostic::at(Pos { line: 1, column: 1 }, "the file holds no workflow").hint(
                    "start with `tasks:` and one task, as in `tasks: {hello: {run: echo hello}}`",
                ),
            );
            return workflow;
        }
        let Some(fields) = self.fields(root, "the workflow", TOP) else { return workflow };
        workflow.name = fields.get("name").and_then(|(_, node)| self.string(node, "name"));
        if let Some((_, node)) = fields.get("description") {
            self.string(node, "description");
        }
        if let Some((_, node)) = fields.get("inputs") {
            workflow.inputs = self.inputs(node);
        }
        if let Some((_, node)) = fields.get("env") {
            workflow.env = self.env(node);
        }
        if let Some((_, node)) = fields.get("limits") {
            workflow.limits = self.limits(node);
        }
        if let Some((_, node)) = fields.get("agents") {
            workflow.agents = self.agents(node);
        }
        let defaults =
            fields.get("defaults").map(|(_, node)| self.defaults(node)).unwrap_or_default();
        match fields.get("tasks") {
            Some((_, node)) => workflow.tasks = self.tasks(node, &defaults),
            None => self.found.push(
                Diagnostic::at(root.at, "the workflow has no `tasks`")
                    .hint("add `tasks:` with at least one task that has a `run`"),
            ),
        }
        workflow
    }

    fn limits(&mut self, node: &Node) -> Limits {
        let Some(fields) = self.fields(node, "`limits`", LIMITS) else { return Limits::default() };
        Limits {
            concurrency: fields.get("concurrency").and_then(|(_, n)| self.count(n, "concurrency")),
            timeout: fields.get("timeout").and_then(|(_, n)| self.duration(n, "timeout")),
            capture: fields.get("capture").and_then(|(_, n)| self.size(n, "capture")),
        }
    }

    fn agents(&mut self, node: &Node) -> BTreeMap<String, Agent> {
        let mut agents = BTreeMap::new();
        for (key, node) in self.entries(node, "`agents`") {
            self.name(&key.name, key.at, "an agent");
            let what = format!("agent `{}`", key.name);
            let mut agent = Agent::default();
            if let Some(fields) = self.fields(node, &what, AGENT) {
                agent.concurrency =
                    fields.get("concurrency").and_then(|(_, n)| self.count(n, "concurrency"));
                if let Some((_, n)) = fields.get("description") {
                    self.string(n, "description");
                }
            }
            agents.insert(key.name.clone(), agent);
        }
        agents
    }

    fn inputs(&mut self, node: &Node) -> Vec<(String, Option<String>)> {
        let mut inputs = Vec::new();
        for (key, node) in self.entries(node, "`inputs`") {
            self.identifier(&key.name, key.at, "an input");
            let default = match &node.value {
                Value::Null => None,
                Value::Map(_) => {
                    let what = format!("input `{}`", key.name);
                    let fields = self.fields(node, &what, INPUT).unwrap_or_default();
                    if let Some((_, n)) = fields.get("description") {
                        self.string(n, "description");
                    }
                    fields.get("default").and_then(|(_, n)| self.string(n, "default"))
                }
                _ => self.string(node, &key.name),
            };
            inputs.push((key.name.clone(), default));
        }
        inputs
    }

    fn env(&mut self, node: &Node) -> Vec<(String, Text)> {
        let mut env = Vec::new();
        for (key, node) in self.entries(node, "`env`") {
            let name = &key.name;
            if name.is_empty() || name.contains(['=', '\0']) {
                let message = format!("`{name}` cannot be the name of an environment variable");
                self.found.push(Diagnostic::at(key.at, message));
            }
            if let Some(text) = self.text(node, name) {
                env.push((name.clone(), text));
            }
        }
        env
    }

    fn defaults(&mut self, node: &Node) -> Defaults {
        let Some(fields) = self.fields(node, "`defaults`", DEFAULTS) else {
            return Defaults::default();
        };
        Defaults {
            agent: fields.get("agent").and_then(|(_, n)| Some((self.string(n, "agent")?, n.at))),
            cwd: fields.get("cwd").and_then(|(_, n)| self.text(n, "cwd")),
            retry: fields.get("retry").and_then(|(_, n)| self.retry(n)),
            shell: fields.get("shell").and_then(|(_, n)| self.shell(n)),
            timeout: fields.get("timeout").and_then(|(_, n)| self.duration(n, "timeout")),
        }
    }

    fn tasks(&mut self, node: &Node, defaults: &Defaults) -> Vec<Task> {
        let mut tasks: Vec<Task> = Vec::new();
        let mut first: BTreeMap<String, Pos> = BTreeMap::new();
        let found: Vec<(Option<String>, Pos, &Node)> = match &node.value {
            Value::Map(entries) => {
                entries.iter().map(|(key, n)| (Some(key.name.clone()), key.at, n)).collect()
            }
            Value::Seq(items) => items.iter().map(|n| (None, n.at, n)).collect(),
            _ => {
                self.wrong(node, "`tasks`", "a mapping of ids to tasks, or a list of tasks");
                return tasks;
            }
        };
        if found.is_empty() {
            self.found.push(
                Diagnostic::at(node.at, "`tasks` is empty")
                    .hint("add a task, as in `hello: {run: echo hello}`"),
            );
        }
        for (id, at, node) in found {
            let Some(task) = self.task(id, at, node, defaults) else { continue };
            if let Some(before) = first.get(&task.id) {
                self.found.push(
                    Diagnostic::at(task.at, format!("task `{}` is defined twice", task.id)).hint(
                        format!("the first one is on line {}; rename one of them", before.line),
                    ),
                );
                continue;
            }
            first.insert(task.id.clone(), task.at);
            tasks.push(task);
        }
        tasks
    }

    fn task(
        &mut self,
        id: Option<String>,
        at: Pos,
        node: &Node,
        defaults: &Defaults,
    ) -> Option<Task> {
        let shown = id.as_ref().map_or("the task".to_owned(), |id| format!("task `{id}`"));
        let fields = self.fields(node, &shown, TASK)?;
        let (id, at) = match (id, fields.get("id")) {
            (Some(id), None) => (id, at),
            (Some(id), Some((key, _))) => {
                self.found.push(
                    Diagnostic::at(key.at, "`id` stands in a task that already has a name")
                        .hint("its key is its id; leave `id` out"),
                );
                (id, at)
            }
            (None, Some((_, n))) => (self.string(n, "id")?, n.at),
            (None, None) => {
                let missing = Diagnostic::at(at, "a task in a list needs an `id`");
                self.found.push(missing.hint("add `id: name`, or write `tasks` as a mapping"));
                return None;
            }
        };
        self.name(&id, at, "a task");
        let shell = fields.get("shell").and_then(|(_, n)| self.shell(n)).or(defaults.shell.clone());
        let run = match fields.get("run") {
            Some((_, n)) => self.run(n, shell),
            // A command under another tool's name for it was told already.
            None if fields_named(node, "run") => None,
            None => {
                let missing = Diagnostic::at(at, format!("task `{id}` has no `run`"));
                self.found.push(missing.hint("add `run:` with the command of the task"));
                None
            }
        };
        if let Some((_, n)) = fields.get("description") {
            self.string(n, "description");
        }
        let cwd = fields.get("cwd").and_then(|(_, n)| self.text(n, "cwd"));
        let retry = fields.get("retry").and_then(|(_, n)| self.retry(n)).or(defaults.retry);
        let agent = fields.get("agent").and_then(|(_, n)| Some((self.string(n, "agent")?, n.at)));
        let timeout = fields.get("timeout").and_then(|(_, n)| self.duration(n, "timeout"));
        Some(Task {
            // An unreadable command was told; the empty one keeps the id known to the other checks.
            run: run.unwrap_or(Run::Argv(Vec::new())),
            needs: fields.get("needs").map(|(_, n)| self.needs(n)).unwrap_or_default(),
            foreach: fields.get("foreach").and_then(|(_, n)| self.foreach(n)),
            env: fields.get("env").map(|(_, n)| self.env(n)).unwrap_or_default(),
            cwd: cwd.or_else(|| defaults.cwd.clone()),
            stdin: fields.get("stdin").and_then(|(_, n)| self.text(n, "stdin")),
            timeout: timeout.or(defaults.timeout),
            retry: retry.unwrap_or_default(),
            agent: agent.or_else(|| defaults.agent.clone()),
            priority: fields
                .get("priority")
                .and_then(|(_, n)| self.priority(n))
                .unwrap_or_default(),
            once: fields.get("once").and_then(|(_, n)| self.flag(n, "once")).unwrap_or_default(),
            id,
            at,
        })
    }

    fn run(&mut self, node: &Node, shell: Option<Vec<String>>) -> Option<Run> {
        if let Value::Seq(items) = &node.value {
            if items.is_empty() {
                self.found.push(Diagnostic::at(node.at, "`run` is an empty list"));
            }
            let words: Option<Vec<Text>> =
                items.iter().map(|item| self.text(item, "an argument of `run`")).collect();
            return words.map(Run::Argv);
        }
        let text = self.text(node, "run")?;
        if text.source.trim().is_empty() {
            self.found.push(Diagnostic::at(node.at, "`run` is empty"));
        }
        let shell = shell.unwrap_or_else(|| vec!["sh".to_owned(), "-e".to_owned()]);
        Some(Run::Script { text, shell })
    }

    fn shell(&mut self, node: &Node) -> Option<Vec<String>> {
        let words: Vec<String> = match &node.value {
            Value::Seq(items) => {
                items.iter().map(|item| self.string(item, "shell")).collect::<Option<_>>()?
            }
            _ => self.string(node, "shell")?.split_whitespace().map(str::to_owned).collect(),
        };
        let program = words.first().map_or("", |word| word.rsplit('/').next().unwrap_or(word));
        if !SHELLS.contains(&program) {
            self.found.push(
                Diagnostic::at(node.at, format!("`{program}` is not a shell that values can be quoted for"))
                    .hint(format!(
                        "one of {}; for another program write `run` as a list, as in `run: [python3, -c, …]`",
                        SHELLS.join(", ")
                    )),
            );
        }
        Some(words)
    }

    fn needs(&mut self, node: &Node) -> Vec<(String, Pos)> {
        match &node.value {
            Value::Seq(items) => items
                .iter()
                .filter_map(|item| Some((self.string(item, "a task in `needs`")?, item.at)))
                .collect(),
            Value::Str(id) => vec![(id.clone(), node.at)],
            _ => {
                self.wrong(node, "`needs`", "a task id, or a list of them");
                Vec::new()
            }
        }
    }

    fn foreach(&mut self, node: &Node) -> Option<Foreach> {
        match &node.value {
            Value::Seq(items) => Some(Foreach::Items(items.iter().map(json).collect())),
            Value::Str(_) => Some(Foreach::Expression(self.text(node, "foreach")?)),
            _ => {
                self.wrong(node, "`foreach`", "a list, or a template that gives one");
                None
            }
        }
    }

    fn retry(&mut self, node: &Node) -> Option<Retry> {
        let mut retry = Retry::default();
        if let Value::Int(_) = node.value {
            retry.attempts = self.attempts(node)?;
            return Some(retry);
        }
        let fields = self.fields(node, "`retry`", RETRY)?;
        match fields.get("attempts") {
            Some((_, n)) => retry.attempts = self.attempts(n)?,
            None => {
                self.found.push(
                    Diagnostic::at(node.at, "`retry` has no `attempts`")
                        .hint("`attempts` counts all of them, the first included: `attempts: 3`"),
                );
            }
        }
        if let Some((_, n)) = fields.get("backoff") {
            retry.backoff = self.duration(n, "backoff")?;
        }
        if let Some((_, n)) = fields.get("max") {
            retry.max = self.duration(n, "max")?;
        }
        if let Some((_, n)) = fields.get("factor") {
            let factor = match n.value {
                Value::Int(v) => v as f64,
                Value::Float(v) => v,
                _ => f64::NAN,
            };
            if !(1.0..=100.0).contains(&factor) {
                self.wrong(n, "`factor`", "a number from 1 to 100");
            }
            retry.factor = factor;
        }
        Some(retry)
    }

    fn attempts(&mut self, node: &Node) -> Option<u32> {
        match node.value {
            Value::Int(v @ 1..=1000) => u32::try_from(v).ok(),
            _ => {
                self.wrong(node, "`attempts`", "a whole number from 1 to 1000");
                None
            }
        }
    }

    fn flag(&mut self, node: &Node, what: &str) -> Option<bool> {
        match node.value {
            Value::Bool(v) => Some(v),
            _ => {
                self.wrong(node, &format!("`{what}`"), "true or false");
                None
            }
        }
    }

    fn priority(&mut self, node: &Node) -> Option<i32> {
        match node.value {
            Value::Int(v @ -1000..=1000) => i32::try_from(v).ok(),
            _ => {
                self.wrong(node, "`priority`", "a whole number from -1000 to 1000, higher first");
                None
            }
        }
    }

    fn count(&mut self, node: &Node, what: &str) -> Option<usize> {
        match node.value {
            Value::Int(v @ 1..=100_000) => usize::try_from(v).ok(),
            _ => {
                self.wrong(node, &format!("`{what}`"), "a whole number from 1 to 100000");
                None
            }
        }
    }

    fn size(&mut self, node: &Node, what: &str) -> Option<u64> {
        let bytes = node.text().and_then(|text| {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let (number, unit) = text.split_at(end);
            let shift = match unit.trim() {
                "B" => 0,
                "KiB" => 10,
                "MiB" => 20,
                _ => return None,
            };
            number.parse::<u64>().ok()?.checked_shl(shift).filter(|&b| b <= 1 << 30)
        });
        if bytes.is_none() {
            self.wrong(node, &format!("`{what}`"), "a size up to 1024 MiB, as `64 KiB` or `8 MiB`");
        }
        bytes
    }

    fn duration(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let Some(text) = node.text() else {
            self.wrong(node, &format!("`{what}`"), "a duration, as `30s`");
            return None;
        };
        match parse_duration(&text) {
            Ok(duration) if !duration.is_zero() || what == "backoff" => Some(duration),
            Ok(_) => {
                self.found.push(
                    Diagnostic::at(node.at, format!("`{what}` is zero"))
                        .hint(format!("leave `{what}` out for none")),
                );
                None
            }
            Err(message) => {
                let hint = if text.chars().all(|c| c.is_ascii_digit()) {
                    format!("add a unit: `{text}s` is {text} seconds, `{text}m` {text} minutes")
                } else {
                    "write a number and a unit (ms, s, m, h, d), as `500ms`, `30s` or `1h30m`"
                        .to_owned()
                };
                self.found
                    .push(Diagnostic::at(node.at, format!("{message} (`{what}`)")).hint(hint));
                None
            }
        }
    }

    fn string(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = node.text();
        if text.is_none() {
            let what = if what.contains(' ') { what } else { &format!("`{what}`") };
            self.wrong(node, what, "a string");
        }
        text
    }

    fn text(&mut self, node: &Node, what: &str) -> Option<Text> {
        let source = self.string(node, what)?;
        if let Some(line) = node.block(&self.lines) {
            let at = Pos { line: line + 1, column: node.at.column };
            return Some(Text { at, source, block: true });
        }
        // A quote before the text moves it by one column.
        let mut at = node.at;
        let line = self.lines.get(at.line.saturating_sub(1)).copied().unwrap_or_default();
        if let Some('"' | '\'') = line.chars().nth(at.column.saturating_sub(1)) {
            at.column += 1;
        }
        Some(Text { at, source, block: false })
    }

    /// The entries of a mapping; a key that comes twice is told.
    fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Vec<(&'n Key, &'n Node)> {
        let Value::Map(entries) = &node.value else {
            self.wrong(node, what, "a mapping");
            return Vec::new();
        };
        let mut first: BTreeMap<&str, Pos> = BTreeMap::new();
        let mut kept = Vec::new();
        for (key, node) in entries {
            if let Some(before) = first.get(key.name.as_str()) {
                self.found.push(
                    Diagnostic::at(key.at, format!("`{}` stands twice in {what}", key.name))
                        .hint(format!("the first one is on line {}", before.line)),
                );
                continue;
            }
            first.insert(&key.name, key.at);
            kept.push((key, node));
        }
        kept
    }

    /// The fields of a mapping of which only `known` exist.
    fn fields<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Option<Fields<'n>> {
        let Value::Map(_) = node.value else {
            self.wrong(node, what, &format!("a mapping with {}", known.join(", ")));
            return None;
        };
        let mut fields = Fields::new();
        for (key, node) in self.entries(node, what) {
            let name = key.name.as_str();
            if known.contains(&name) {
                fields.insert(name, (key, node));
                continue;
            }
            let hint = match (nearest(name, known.iter().copied()), synonym(name)) {
                (_, Some(right)) if known.contains(&right) => {
                    format!("it is called `{right}` here")
                }
                (Some(right), _) => format!("did you mean `{right}`?"),
                _ => format!("known here: {}", known.join(", ")),
            };
            let unknown = Diagnostic::at(key.at, format!("unknown key `{name}` in {what}"));
            self.found.push(unknown.hint(hint));
        }
        Some(fields)
    }

    fn wrong(&mut self, node: &Node, what: &str, wanted: &str) {
        let kind = match &node.value {
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
                format!("`{}`", node.text().unwrap_or_default())
            }
            Value::Str(text) if text.len() <= 40 && !text.contains('\n') => format!("`{text}`"),
            _ => node.kind().to_owned(),
        };
        let message = format!("{what} is {kind}");
        self.found.push(Diagnostic::at(node.at, message).hint(format!("it must be {wanted}")));
    }

    /// Ids become file names and names in templates, so their alphabet is small.
    fn name(&mut self, name: &str, at: Pos, what: &str) {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts || !name.chars().all(good) || name.len() > 64 {
            self.found.push(
                Diagnostic::at(at, format!("`{}` cannot be the name of {what}", clip(name))).hint(
                    "use letters, digits, `_` and `-`, a letter first, 64 characters at most",
                ),
            );
        }
    }

    /// Inputs are used as `inputs.name`, where a hyphen would be a minus.
    fn identifier(&mut self, name: &str, at: Pos, what: &str) {
        if name.contains('-') {
            self.found.push(
                Diagnostic::at(at, format!("`{}` cannot be the name of {what}", clip(name)))
                    .hint(format!("write `{}`", clip(name).replace('-', "_"))),
            );
        } else {
            self.name(name, at, what);
        }
    }
}

/// Whether a key of the mapping is a known slip for `right`.
fn fields_named(node: &Node, right: &str) -> bool {
    let Value::Map(entries) = &node.value else { return false };
    entries
        .iter()
        .any(|(key, _)| synonym(&key.name) == Some(right) || nearest(&key.name, [right]).is_some())
}

fn clip(name: &str) -> String {
    name.chars().take(64).collect()
}

/// The key that users of other tools reach for.
fn synonym(name: &str) -> Option<&'static str> {
    Some(match name {
        "cmd" | "cmds" | "command" | "commands" | "script" | "exec" | "shell_command" => "run",
        "depends" | "depends_on" | "dependsOn" | "deps" | "dependencies" | "after" => "needs",
        "dir" | "workdir" | "working-directory" | "working_directory" | "workingDir" => "cwd",
        "environment" | "vars" => "env",
        "steps" | "jobs" => "tasks",
        "matrix" | "for" | "for_each" | "with_items" | "loop" | "parallel" | "items" => "foreach",
        "retries" | "retryPolicy" | "retry_policy" => "retry",
        "timeout-minutes" | "timeout_minutes" | "timeoutSec" | "time_limit" => "timeout",
        "max_concurrency" | "max-parallel" | "max_parallel" | "maxActiveSteps" | "parallelism"
        | "limit" => "concurrency",
        "pool" | "queue" | "runs-on" | "runs_on" => "agent",
        "params" | "parameters" | "args" => "inputs",
        "interval" | "delay" | "wait" => "backoff",
        "max_attempts" | "count" | "times" => "attempts",
        "input" => "stdin",
        _ => return None,
    })
}

/// An item as templates see it.
fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(v) => (*v).into(),
        // Numbers keep their spelling: an item is put into a command, not computed with.
        Value::Int(_) | Value::Float(_) => node.text().unwrap_or_default().into(),
        Value::Str(v) => v.as_str().into(),
        Value::Seq(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            entries.iter().map(|(key, value)| (key.name.clone(), json(value))).collect()
        }
    }
}
