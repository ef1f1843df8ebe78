//! From the YAML tree to the types of a workflow.

mod task;
mod value;

use std::collections::BTreeMap;

use super::{Agent, Limits, Text, Workflow};
use crate::diagnostic::{Diagnostic, Pos};
use crate::yaml::{Key, Node, Value};

const TOP: &[&str] =
    &["name", "description", "inputs", "env", "limits", "agents", "defaults", "tasks"];
const LIMITS: &[&str] = &["concurrency", "timeout", "capture"];
const AGENT: &[&str] = &["concurrency", "description"];
const DEFAULTS: &[&str] = &["agent", "cwd", "retry", "shell", "timeout"];
const INPUT: &[&str] = &["default", "description"];

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
    shell: Option<Vec<String>>,
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
            workflow.limits = self.limits(node, &mut workflow.places);
        }
        if let Some((_, node)) = fields.get("agents") {
            workflow.agents = self.agents(node, &mut workflow.places);
        }
        let defaults = match fields.get("defaults") {
            Some((_, node)) => self.defaults(node, &mut workflow),
            None => Defaults::default(),
        };
        match fields.get("tasks") {
            Some((_, node)) => workflow.tasks = self.tasks(node, &defaults),
            None => self.found.push(
                Diagnostic::at(root.at, "the workflow has no `tasks`")
                    .hint("add `tasks:` with at least one task that has a `run`"),
            ),
        }
        workflow
    }

    fn limits(&mut self, node: &Node, places: &mut BTreeMap<String, Pos>) -> Limits {
        let Some(fields) = self.fields(node, "`limits`", LIMITS) else { return Limits::default() };
        places.extend(fields.iter().map(|(name, (_, n))| (format!("limits.{name}"), n.at)));
        Limits {
            concurrency: fields.get("concurrency").and_then(|(_, n)| self.count(n, "concurrency")),
            timeout: fields.get("timeout").and_then(|(_, n)| self.duration(n, "timeout")),
            capture: fields.get("capture").and_then(|(_, n)| self.size(n, "capture")),
        }
    }

    fn agents(
        &mut self,
        node: &Node,
        places: &mut BTreeMap<String, Pos>,
    ) -> BTreeMap<String, Agent> {
        let mut agents = BTreeMap::new();
        for (key, node) in self.entries(node, "`agents`") {
            self.name(&key.name, key.at, "an agent");
            let what = format!("agent `{}`", key.name);
            let mut agent = Agent::default();
            if let Some(fields) = self.fields(node, &what, AGENT) {
                if let Some((_, n)) = fields.get("concurrency") {
                    agent.concurrency = self.count(n, "concurrency");
                    places.insert(format!("agents.{}.concurrency", key.name), n.at);
                }
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

    fn defaults(&mut self, node: &Node, workflow: &mut Workflow) -> Defaults {
        let Some(fields) = self.fields(node, "`defaults`", DEFAULTS) else {
            return Defaults::default();
        };
        let places = fields.iter().map(|(name, (_, n))| (format!("defaults.{name}"), n.at));
        workflow.places.extend(places);
        workflow.retry = fields.get("retry").and_then(|(_, n)| self.retry(n));
        workflow.timeout = fields.get("timeout").and_then(|(_, n)| self.duration(n, "timeout"));
        Defaults {
            agent: fields.get("agent").and_then(|(_, n)| Some((self.string(n, "agent")?, n.at))),
            cwd: fields.get("cwd").and_then(|(_, n)| self.text(n, "cwd")),
            shell: fields.get("shell").and_then(|(_, n)| self.shell(n)),
        }
    }
}
