//! What the owner of a run gets.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::context::{InputError, Missing};
use crate::event::Outcome;
use crate::graph::Places;
use crate::nearest::nearest;
use crate::report::{Ended, Report};
use crate::task::Output;

/// Among so many ids is looked for the one that may have been meant: in a large run that takes its time.
const LOOKED_AT: usize = 10_000;

/// A run that is over: what happened, and what its tasks returned. Dropping it drops what they returned.
pub struct Finished {
    places: Places,
    ended: Ended,
    /// What planners have put into it, with who did so.
    pub(crate) plans: Vec<(Arc<str>, Vec<u8>)>,
    /// Once somebody has asked.
    report: OnceLock<Report>,
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished").field("report", self.report()).finish_non_exhaustive()
    }
}

impl Finished {
    pub(crate) fn new(places: Places, ended: Ended, plans: Vec<(Arc<str>, Vec<u8>)>) -> Self {
        Self { places, ended, plans, report: OnceLock::new() }
    }

    /// Whether every task succeeded. Costs nothing, unlike the report.
    pub fn is_success(&self) -> bool {
        self.ended.unsuccessful == 0
    }

    /// What happened. It is put together when this is first called.
    pub fn report(&self) -> &Report {
        self.report.get_or_init(|| self.ended.report())
    }

    /// What happened, without what the tasks returned.
    pub fn into_report(mut self) -> Report {
        self.report.take().unwrap_or_else(|| self.ended.report())
    }

    /// What a task returned.
    ///
    /// # Errors
    /// When there is no such task, it did not succeed, or returned another type.
    pub fn output<T: Send + Sync + 'static>(&self, id: &str) -> Result<Arc<T>, InputError> {
        let error = |why| InputError { task: id.to_owned(), why };
        let place = self.places.get(id, |at| &self.ended.tasks[at].id);
        let place = place.ok_or_else(|| {
            let ids = self.ended.tasks.iter().map(|task| &*task.id).take(LOOKED_AT);
            error(Missing::NoTask { nearest: nearest(id, ids).map(str::to_owned) })
        })?;
        let output = self.output_at(place).ok_or_else(|| error(Missing::DidNotSucceed))?;
        output
            .downcast()
            .map_err(|_| error(Missing::OtherType { wanted: std::any::type_name::<T>() }))
    }

    /// What a task returned, whatever it is.
    pub(crate) fn value(&self, id: &str) -> Option<Output> {
        let place = self.places.get(id, |at| &self.ended.tasks[at].id)?;
        self.output_at(place)
    }

    /// What the task of this place in the report returned.
    pub(crate) fn output_at(&self, place: u32) -> Option<Output> {
        self.ended.tasks.get(place)?.output.clone()
    }

    /// The first task that did not succeed, and how it ended.
    pub(crate) fn first_failure(&self) -> Option<(Arc<str>, Outcome)> {
        self.ended.first_failure()
    }
}

#[cfg(test)]
mod tests;
