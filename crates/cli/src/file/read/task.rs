//! Tasks, and how they are repeated.

use std::collections::BTreeMap;

use super::value::{fields_named, json};
use super::{Defaults, Reader};
use crate::diagnostic::{Diagnostic, Pos};
use crate::file::{Foreach, Retry, Run, Task, Text};
use crate::yaml::{Node, Value};

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
impl Reader<'_> {
    pub(super) fn tasks(&mut self, node: &Node, defaults: &Defaults) -> Vec<Task> {
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
        let retry = fields.get("retry").and_then(|(_, n)| self.retry(n));
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
            timeout,
            retry,
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

    pub(super) fn shell(&mut self, node: &Node) -> Option<Vec<String>> {
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

    pub(super) fn retry(&mut self, node: &Node) -> Option<Retry> {
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
}
