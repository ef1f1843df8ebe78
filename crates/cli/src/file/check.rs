//! Across the tasks of a workflow: references, cycles, templates.

use std::collections::{BTreeMap, BTreeSet};

use super::{Foreach, Run, Task, Text, Workflow};
use crate::diagnostic::{Diagnostic, nearest};
use crate::shell;
use crate::template::{ROOTS, RUN_FIELDS, TASK_FIELDS, Templates, WORKFLOW_FIELDS};

/// Adds every broken reference, cycle and bad template of the workflow.
pub(super) fn check(workflow: &Workflow, templates: &Templates, found: &mut Vec<Diagnostic>) {
    let known = workflow.tasks.iter().map(|task| task.id.as_str()).collect();
    for task in &workflow.tasks {
        needs(workflow, &known, task, found);
        agent(workflow, task, found);
    }
    cycles(workflow, found);
    let mut texts = Texts { workflow, templates, found };
    for (_, text) in &workflow.env {
        texts.check(text, None, false);
    }
    for task in &workflow.tasks {
        match &task.run {
            Run::Script { text, .. } => texts.script(text, task),
            Run::Argv(words) => words.iter().for_each(|word| texts.check(word, Some(task), true)),
        }
        for text in task.cwd.iter().chain(&task.stdin).chain(task.env.iter().map(|(_, text)| text))
        {
            texts.check(text, Some(task), true);
        }
        match &task.foreach {
            Some(Foreach::Expression(text)) => texts.foreach(text, task),
            Some(Foreach::Items(items)) if items.is_empty() => texts.found.push(
                Diagnostic::at(task.at, format!("`foreach` of task `{}` is empty", task.id))
                    .hint("list at least one item, or give a template"),
            ),
            _ => {}
        }
    }
}

fn needs(workflow: &Workflow, known: &BTreeSet<&str>, task: &Task, found: &mut Vec<Diagnostic>) {
    let mut seen = BTreeSet::new();
    for (id, at) in &task.needs {
        if !seen.insert(id) {
            let message = format!("task `{}` needs `{id}` twice", task.id);
            found.push(Diagnostic::at(*at, message).hint("name it once"));
        } else if !known.contains(id.as_str()) {
            let ids = workflow.tasks.iter().map(|other| other.id.as_str());
            let message = format!("task `{}` needs `{id}`, which does not exist", task.id);
            let hint = match nearest(id, ids.clone().filter(|&other| other != task.id)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the tasks are {}", list(ids)),
            };
            found.push(Diagnostic::at(*at, message).hint(hint));
        }
    }
}

fn agent(workflow: &Workflow, task: &Task, found: &mut Vec<Diagnostic>) {
    let Some((name, at)) = &task.agent else { return };
    if workflow.agents.contains_key(name) {
        return;
    }
    let message = format!("agent `{name}` does not exist");
    let names = workflow.agents.keys().map(String::as_str);
    let hint = match nearest(name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if workflow.agents.is_empty() => {
            format!("declare it at the top: `agents: {{{name}: {{concurrency: 4}}}}`")
        }
        None => format!("the agents are {}", list(names)),
    };
    // An agent from `defaults` is told once.
    if !found.iter().any(|d| d.at == Some(*at) && d.message == message) {
        found.push(Diagnostic::at(*at, message).hint(hint));
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.len() {
        0..=8 => names.join(", "),
        more => format!("{}, and {} more", names[..7].join(", "), more - 7),
    }
}

/// Tells each cycle by its path, at the `needs` entry that closes it.
///
/// A depth-first walk with its own stack, since a file may chain fifty thousand tasks.
fn cycles(workflow: &Workflow, found: &mut Vec<Diagnostic>) {
    let index: BTreeMap<&str, usize> =
        workflow.tasks.iter().enumerate().map(|(i, task)| (task.id.as_str(), i)).collect();
    // 0: not seen, 1: on the path, 2: done.
    let mut state = vec![0_u8; workflow.tasks.len()];
    for root in 0..workflow.tasks.len() {
        if state[root] != 0 {
            continue;
        }
        let mut path: Vec<(usize, usize)> = vec![(root, 0)];
        state[root] = 1;
        while let Some(&mut (task, ref mut next)) = path.last_mut() {
            let Some((id, at)) = workflow.tasks[task].needs.get(*next) else {
                state[task] = 2;
                path.pop();
                continue;
            };
            *next += 1;
            let Some(&upstream) = index.get(id.as_str()) else { continue };
            match state[upstream] {
                0 => {
                    state[upstream] = 1;
                    path.push((upstream, 0));
                }
                1 => {
                    let start = path.iter().position(|&(t, _)| t == upstream).unwrap_or_default();
                    let ids = path[start..].iter().map(|&(t, _)| workflow.tasks[t].id.as_str());
                    let ids: Vec<&str> = ids.chain([id.as_str()]).collect();
                    let shown = match ids.len() {
                        0..=12 => ids.join(" -> "),
                        n => format!("{} -> … ({} more) -> {id}", ids[..8].join(" -> "), n - 9),
                    };
                    found.push(
                        Diagnostic::at(*at, format!("tasks need each other in a cycle: {shown}"))
                            .hint("take one of these `needs` away; an arrow means \"needs\""),
                    );
                }
                _ => {}
            }
        }
    }
}

struct Texts<'a> {
    workflow: &'a Workflow,
    templates: &'a Templates,
    found: &'a mut Vec<Diagnostic>,
}

impl Texts<'_> {
    fn script(&mut self, text: &Text, task: &Task) {
        self.check(text, Some(task), true);
        for refused in shell::refused(&text.source) {
            self.found
                .push(Diagnostic::at(text.place(refused.offset), refused.why).hint(refused.hint));
        }
    }

    fn foreach(&mut self, text: &Text, task: &Task) {
        if text.source.contains("{{") {
            self.check(text, Some(task), false);
            return;
        }
        let plain = Diagnostic::at(text.at, "`foreach` is a text without a template");
        let id = text.source.trim();
        let known = self.workflow.tasks.iter().any(|other| other.id == id);
        self.found.push(if known {
            plain
                .hint(format!("for the lines of its output write `\"{{{{ tasks.{id}.lines }}}}\"`"))
        } else {
            plain
                .hint("write a list, or a template that gives one, as `\"{{ tasks.list.lines }}\"`")
        });
    }

    /// Checks the syntax and the names of one text; `item` exists where `items` is true.
    fn check(&mut self, text: &Text, task: Option<&Task>, items: bool) {
        if !text.source.contains("{{") && !text.source.contains("{%") {
            return;
        }
        let names = match self.templates.variables(&text.source) {
            Ok(names) => names,
            Err(error) => {
                let at = error.offset.map_or(text.at, |offset| text.place(offset));
                self.found.push(
                    Diagnostic::at(at, format!("bad template: {}", error.message)).hint(
                        "`{{ … }}` puts a value in; write `{% raw %}…{% endraw %}` around braces of your own",
                    ),
                );
                return;
            }
        };
        for name in names {
            if let Some((message, hint)) = self.name(&name, task, items) {
                let offset = text.source.find(&name).or_else(|| {
                    let (_, id) = name.split_once('.')?;
                    text.source
                        .find(&format!("['{id}']"))
                        .or(text.source.find(&format!("[\"{id}\"]")))
                });
                let at = text.place(offset.unwrap_or_default());
                self.found.push(Diagnostic::at(at, message).hint(hint));
            }
        }
    }

    /// What is wrong with a name that a template reads, and what would be right.
    fn name(&self, name: &str, task: Option<&Task>, items: bool) -> Option<(String, String)> {
        let mut parts = name.split('.');
        let root = parts.next().unwrap_or_default();
        let (second, third) = (parts.next(), parts.next());
        let items = items && task.is_some_and(|task| task.foreach.is_some());
        match (root, second) {
            ("item" | "index", _) if !items => Some((
                format!("`{root}` is known only in a task with `foreach`"),
                "add `foreach:` to the task, or use `inputs`".to_owned(),
            )),
            ("inputs", Some(input)) => {
                let known = self.workflow.inputs.iter().map(|(name, _)| name.as_str());
                if known.clone().any(|known| known == input) {
                    return None;
                }
                let hint = match nearest(input, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("declare it at the top: `inputs: {{{input}: value}}`"),
                };
                Some((format!("input `{input}` does not exist"), hint))
            }
            ("tasks", Some(id)) => self.upstream(id, third, task),
            ("run", Some(field)) => unknown_field("run", field, RUN_FIELDS),
            ("workflow", Some(field)) => unknown_field("workflow", field, WORKFLOW_FIELDS),
            (root, _) if ROOTS.contains(&root) => None,
            (root, _) if FUNCTIONS.contains(&root) => None,
            (root, _) => {
                let hint = match nearest(root, ROOTS.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if self.hyphenated(root) => {
                        "in a template a hyphen is a minus: write `tasks['a-b']`, or `_` for `-`"
                            .to_owned()
                    }
                    None => format!("known here: {}", ROOTS.join(", ")),
                };
                Some((format!("`{root}` is not defined"), hint))
            }
        }
    }

    /// Whether `part` is what a hyphen cut from the id of a task.
    fn hyphenated(&self, part: &str) -> bool {
        self.workflow.tasks.iter().any(|task| task.id.split('-').skip(1).any(|p| p == part))
    }

    fn upstream(
        &self,
        id: &str,
        field: Option<&str>,
        task: Option<&Task>,
    ) -> Option<(String, String)> {
        let same = |other: &str| other == id || other.replace('-', "_") == id;
        let Some(task) = task else {
            return Some((
                format!("`tasks.{id}` is used outside of a task"),
                "outputs are known only in tasks that need the task".to_owned(),
            ));
        };
        if task.needs.iter().any(|(need, _)| same(need)) {
            return field
                .and_then(|field| unknown_field(&format!("tasks.{id}"), field, TASK_FIELDS));
        }
        let ids = self.workflow.tasks.iter().map(|other| other.id.as_str());
        if let Some(upstream) = ids.clone().find(|other| same(other)) {
            let mut needs: Vec<&str> = task.needs.iter().map(|(need, _)| need.as_str()).collect();
            needs.push(upstream);
            return Some((
                format!("task `{}` uses the output of `{upstream}` without needing it", task.id),
                format!("write `needs: [{}]`", needs.join(", ")),
            ));
        }
        let hint = match nearest(id, ids.clone()) {
            Some(near) => format!("did you mean `tasks.{near}`?"),
            None if ids.clone().any(|other| other.starts_with(&format!("{id}-"))) => {
                "in a template a hyphen is a minus: write `tasks['a-b']`, or `_` for `-`".to_owned()
            }
            None => format!("the tasks are {}", list(ids)),
        };
        Some((format!("task `{id}` does not exist"), hint))
    }
}

/// Functions that templates may call.
const FUNCTIONS: &[&str] = &["debug", "dict", "loop", "namespace", "range", "self", "super"];

fn unknown_field(what: &str, field: &str, known: &[&str]) -> Option<(String, String)> {
    if known.contains(&field) {
        return None;
    }
    let hint = match nearest(field, known.iter().copied()) {
        Some(near) => format!("did you mean `{what}.{near}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    Some((format!("`{what}` has no `{field}`"), hint))
}
