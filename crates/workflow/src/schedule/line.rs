//! The runs of one job, where they may overlap.

use std::sync::{Arc, Weak};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::job::Overlap;

/// The runs of one job, where the scheduler runs by itself.
#[derive(Default)]
pub(super) struct Line {
    turn: Arc<Mutex<()>>,
    /// How to cancel each of the runs that have not ended.
    runs: Vec<Weak<CancellationToken>>,
}

/// A run's place in the line; gone with the run.
pub(super) struct Place {
    pub(super) cancel: Arc<CancellationToken>,
    /// To be had before it begins, unless others may run meanwhile.
    pub(super) turn: Option<Arc<Mutex<()>>>,
}

impl Line {
    pub(super) fn is_busy(&self) -> bool {
        self.runs.iter().any(|run| run.strong_count() > 0)
    }

    /// A place for a run that is due, if it may run.
    pub(super) fn join(&mut self, overlap: Overlap, stop: &CancellationToken) -> Option<Place> {
        self.runs.retain(|run| run.strong_count() > 0);
        match overlap {
            Overlap::Skip if !self.runs.is_empty() => return None,
            // One runs, and another waits.
            Overlap::Wait if self.runs.len() > 1 => return None,
            Overlap::Replace => {
                self.runs.iter().filter_map(Weak::upgrade).for_each(|run| run.cancel());
            }
            Overlap::Skip | Overlap::Wait | Overlap::Allow => {}
        }
        let cancel = Arc::new(stop.child_token());
        self.runs.push(Arc::downgrade(&cancel));
        let turn = (overlap != Overlap::Allow).then(|| Arc::clone(&self.turn));
        Some(Place { cancel, turn })
    }
}
