//! What another process has left of a task.

use std::fmt;
use std::time::Duration;

use crate::event::Outcome;
use crate::journal::{self, Entry};
use crate::machine::{End, Past};
use crate::task::{Extras, Output};

/// See the module.
#[derive(Default)]
pub(crate) struct Restored {
    pub(crate) past: Option<Past>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) output: Option<Output>,
    pub(crate) attempts: u32,
    pub(crate) took: Duration,
    /// By how much an attempt's number is above the machine's, and how often the task had succeeded and was to run again.
    pub(crate) base: (u32, u32),
}

impl fmt::Debug for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restored").field("past", &self.past).finish_non_exhaustive()
    }
}

impl Restored {
    /// Reads it out of the journal.
    pub(super) fn of(entry: &Entry, extras: Option<&Extras>) -> Result<Self, String> {
        let mut restored = Self { attempts: entry.attempt, took: entry.took, ..Self::default() };
        let over = match &entry.outcome {
            Some(journal::Outcome::Done) => {
                if let Some(codec) = extras.and_then(|extras| extras.codec) {
                    restored.output = Some((codec.decode)(&entry.output)?);
                }
                Some((End::Succeeded, Outcome::Succeeded))
            }
            Some(journal::Outcome::Failed(error)) => {
                Some((End::Failed, Outcome::Failed { error: error.clone() }))
            }
            Some(journal::Outcome::TimedOut) => Some((End::TimedOut, Outcome::TimedOut)),
            Some(journal::Outcome::Declined) => Some((End::Declined, Outcome::Declined)),
            _ if entry.is_doubtful() => Some((End::Unknown, Outcome::Unknown)),
            _ => None,
        };
        restored.past = match &over {
            Some((end, _)) => Some(Past::Over(*end)),
            None => Some(entry.failed).filter(|failed| *failed > 0).map(Past::Failed),
        };
        let base =
            if over.is_none() { entry.ended_attempt.saturating_sub(entry.failed) } else { 0 };
        restored.base = (base, entry.generation);
        restored.outcome = over.map(|(_, outcome)| outcome);
        Ok(restored)
    }
}
