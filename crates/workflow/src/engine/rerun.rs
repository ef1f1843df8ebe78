//! Tasks of a live run that are to run again.

use std::sync::Arc;

use super::Engine;
use crate::machine::{Action, RunId};
use crate::rerun::{Reach, RerunError};

impl Engine {
    /// Lets a task run again, and says what had begun and does so with it. The run's journal has it before anything follows
    /// from it.
    pub(super) fn rerun(
        &mut self,
        run: RunId,
        id: &Arc<str>,
        reach: Reach,
        actions: &mut Vec<Action>,
    ) -> Result<Vec<Arc<str>>, RerunError> {
        let live = self.runs.get(run).ok_or(RerunError::Over)?;
        if !live.keeps_work {
            return Err(RerunError::NotKept);
        }
        let task = self.find(run, id).ok_or_else(|| RerunError::Unknown { id: id.to_string() })?;
        let again = self.machine.rerun(task, reach == Reach::Downstream, actions);
        let mut again = again.ok_or(RerunError::Over)?;
        let live = self.runs.get_mut(run).ok_or(RerunError::Over)?;
        for node in &again {
            live.reset(*node);
        }
        again.reverse();
        Ok(again.into_iter().map(|node| Arc::clone(&live.tasks[node].id)).collect())
    }
}
