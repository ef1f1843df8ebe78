//! What a run's journal holds of its commands, and what another process makes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_workflow::journal::{Entry, History, HistoryError, Outcome};

use crate::file::{Foreach, Run, Task, Text, Workflow};

/// What a node of the graph leaves in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Product {
    /// A command ended well: its last attempt, which names its files, and how long all of them ran, in seconds.
    Wrote { attempt: u32, seconds: f64 },
    /// The items of a `foreach`, each as JSON; `None` when a secret stands in one of them.
    Items(Option<Vec<String>>),
    /// The outputs of all items are there.
    Gathered,
}

/// What is known of the nodes, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Past {
    nodes: BTreeMap<String, (Entry, Option<Product>)>,
}

impl Past {
    /// Reads the history, and lets the lists of unfinished `foreach` tasks be told again, so that their items come back.
    ///
    /// # Errors
    ///
    /// None that this history can give.
    pub(crate) fn of(history: &mut History, workflow: &Workflow) -> Result<Self, HistoryError> {
        let entries = history.ledger().tasks.clone();
        let known = entries.into_iter().map(|entry| {
            let product = history.output::<Product>(&entry.id);
            (entry.id.to_string(), (entry, product))
        });
        let past = Self { nodes: known.collect() };
        for task in workflow.tasks.iter().filter(|task| task.foreach.is_some()) {
            let items = crate::engine::items_node(&task.id);
            if past.product(&items).is_some() && past.product(&task.id).is_none() {
                history.again(&items)?;
            }
        }
        Ok(past)
    }

    /// What a node left, if it ended well.
    pub(crate) fn product(&self, node: &str) -> Option<&Product> {
        self.nodes.get(node)?.1.as_ref()
    }

    /// The items that were computed before.
    pub(crate) fn items(&self, node: &str) -> Option<&[String]> {
        match self.product(node)? {
            Product::Items(items) => items.as_deref(),
            _ => None,
        }
    }

    /// The last attempt of a node that failed for good, how long it ran, and its error.
    pub(crate) fn failure(&self, node: &str) -> Option<(u32, Duration, &str)> {
        let (entry, _) = self.nodes.get(node)?;
        match &entry.outcome {
            Some(Outcome::Failed(error)) => Some((entry.attempt, entry.took, error)),
            _ => None,
        }
    }

    /// The items of a `foreach` that ended well, by their places.
    pub(crate) fn wrote(&self, task: &str) -> BTreeMap<usize, (u32, f64)> {
        let start = format!("{task}[");
        let nodes = self.nodes.range(start.clone()..).take_while(|(id, _)| id.starts_with(&start));
        nodes
            .filter_map(|(id, (_, product))| {
                let index = id[start.len()..].strip_suffix(']')?.parse().ok()?;
                match product {
                    Some(Product::Wrote { attempt, seconds }) => {
                        Some((index, (*attempt, *seconds)))
                    }
                    _ => None,
                }
            })
            .collect()
    }
}

/// What changes when the command of a task does. Where it stands in the file, and how it is retried, changes nothing.
pub(crate) fn version(workflow: &Workflow, task: &Task) -> u64 {
    let mut parts: Vec<&str> = Vec::new();
    let items;
    match &task.run {
        Run::Script { text, shell } => {
            parts.extend(["script", &text.source]);
            parts.extend(shell.iter().map(String::as_str));
        }
        Run::Argv(words) => parts.extend(words.iter().map(|word| word.source.as_str())),
    }
    match &task.foreach {
        None => {}
        Some(Foreach::Expression(text)) => parts.extend(["foreach", &text.source]),
        Some(Foreach::Items(values)) => {
            items = serde_json::to_string(values).unwrap_or_default();
            parts.extend(["items", &items]);
        }
    }
    for (name, text) in workflow.env.iter().chain(&task.env) {
        parts.extend(["env", name, &text.source]);
    }
    let texts = [("cwd", &task.cwd), ("stdin", &task.stdin)];
    for (name, Text { source, .. }) in
        texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)))
    {
        parts.extend([name, source]);
    }
    tidegate_workflow::journal::digest(parts.into_iter().map(str::as_bytes))
}
