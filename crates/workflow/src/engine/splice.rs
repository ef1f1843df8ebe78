//! What a planner puts into a live run: as a whole, its plan in the journal first, and back again in another process.

use std::sync::Arc;
use std::time::Duration;

use super::{Engine, Link};
use crate::graph::Graph;
use crate::journal::Ledger;
use crate::machine::{Action, RunId};
use crate::orchestrator::StartError;
use crate::run::SubmitError;
use crate::task::Grown;

impl Engine {
    /// Adds the tasks. A journal has the plan before them: what of them is found there later is found with
    /// all of them.
    pub(super) fn splice(
        &mut self,
        run: RunId,
        by: u32,
        plan: Vec<u8>,
        grown: Vec<Grown>,
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Result<(), SubmitError> {
        if let Err(error) = self.keep_plan(run, by, plan) {
            self.refuse(grown);
            return Err(error);
        }
        self.submit_all(run, None, grown, now, actions)
    }

    fn keep_plan(&mut self, run: RunId, by: u32, plan: Vec<u8>) -> Result<(), SubmitError> {
        let live = self.runs.get_mut(run).ok_or(SubmitError::Over)?;
        let id = Arc::clone(&live.tasks[by].id);
        if let Some(keeper) = &mut live.keeper {
            keeper
                .planned(by, plan.clone())
                .map_err(|why| SubmitError::Journal { id: id.to_string(), why: why.to_string() })?;
        }
        live.plans.push((id, plan));
        Ok(())
    }
}

/// Adds what was spliced into the run by earlier processes to its graph, as if it had been there from the start; who is to
/// come before whom besides, by their places.
pub(super) fn regrow(
    graph: &mut Graph,
    ledger: &Ledger,
    link: &Link,
) -> Result<Vec<(u32, u32)>, StartError> {
    let mut arrows = Vec::new();
    // In the order of their numbers: what was put in by what was put in comes after it.
    for entry in &ledger.tasks {
        let Some(plan) = &entry.plan else { continue };
        let unfit = |error: String| StartError::Plan { task: entry.id.to_string(), error };
        let first = graph.parts.tasks.len();
        arrows.extend(grow_again(graph, &entry.id, plan).map_err(unfit)?);
        let parts = &graph.parts;
        for (at, task) in (0..).zip(parts.tasks.iter()).skip(first) {
            let agent = parts.agents.name_of(at).map(|name| &**name);
            link.check(&task.id, agent, task.extras.as_deref()).map_err(StartError::TooMuch)?;
        }
    }
    match graph.parts.unresolved() {
        missing if missing.is_empty() => Ok(arrows),
        missing => Err(StartError::Unresolved(missing)),
    }
}

/// Adds what this task has put into an earlier run, and says who is to come before whom besides; nothing if the task is not
/// in the graph.
pub(crate) fn grow_again(
    graph: &mut Graph,
    by: &Arc<str>,
    plan: &[u8],
) -> Result<Vec<(u32, u32)>, String> {
    let extras = graph.place_of(by).and_then(|at| graph.parts.tasks[at].extras.clone());
    let grow = extras.as_ref().and_then(|extras| extras.grow.as_ref());
    let Some(grown) = grow.map(|grow| grow(plan)).transpose()? else { return Ok(Vec::new()) };
    let mut arrows = Vec::new();
    for Grown { task, before } in grown {
        let id = Arc::clone(&task.id);
        graph.add(task).map_err(|error| error.to_string())?;
        let followers = before.iter().filter_map(|follower| graph.place_of(follower));
        arrows.extend(followers.filter_map(|follower| Some((graph.place_of(&id)?, follower))));
    }
    graph.parts.plans.push((Arc::clone(by), plan.to_vec()));
    Ok(arrows)
}

/// Lets tasks wait for others besides what they say themselves.
pub(crate) fn connect(graph: &mut Graph, arrows: &[(u32, u32)]) {
    for (first, follower) in arrows {
        graph.parts.run.connect(*follower, *first);
    }
}

#[cfg(test)]
mod tests;
