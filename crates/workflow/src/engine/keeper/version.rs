//! By what a task that has changed is known.

use crate::durable::digest;
use crate::graph::Graph;
use crate::machine::On;
use crate::task::Extras;

/// What changes when the task, or what it needs, does.
pub(super) fn version<'a>(
    extras: Option<&Extras>,
    needs: impl Iterator<Item = (&'a str, On)>,
) -> u64 {
    let mut needs: Vec<(&str, &[u8])> = needs
        .map(|(id, on)| {
            let on: &[u8] = match on {
                On::Success => b"success",
                On::End => b"end",
                On::Failure => b"failure",
            };
            (id, on)
        })
        .collect();
    needs.sort_unstable();
    let own = extras.map_or(0, |extras| extras.version).to_le_bytes();
    digest([&own[..]].into_iter().chain(needs.iter().flat_map(|(id, on)| [id.as_bytes(), on])))
}

/// The same for a task of a graph.
pub(crate) fn version_at(graph: &Graph, node: u32) -> u64 {
    let parts = &graph.parts;
    let needs = parts.run.needs(node).iter();
    let ids = needs.map(|need| (&*parts.tasks[need.task].id, need.on));
    version(parts.tasks[node].extras.as_deref(), ids)
}
