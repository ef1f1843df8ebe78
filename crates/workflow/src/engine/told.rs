//! The events of a turn.

use std::sync::Arc;
use std::time::Duration;

use super::{PIECE, Shared};
use crate::event::{Event, EventKind};

/// What has happened in a turn and is told at its end, while anybody listens.
pub(super) struct Told {
    shared: Arc<Shared>,
    events: Vec<Event>,
    is_read: bool,
}

impl Told {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, events: Vec::new(), is_read: false }
    }

    /// A turn begins: looks whether anybody listens.
    pub(super) fn begin(&mut self) {
        self.is_read = self.shared.events.is_read();
    }

    pub(super) fn is_read(&self) -> bool {
        self.is_read
    }

    /// Costs next to nothing while nobody listens.
    pub(super) fn tell(&mut self, at: Duration, kind: impl FnOnce() -> EventKind) {
        if self.is_read {
            self.events.push(Event { at, kind: kind() });
            if self.events.len() == PIECE {
                self.flush();
            }
        }
    }

    /// Tells what has happened so far.
    pub(super) fn flush(&mut self) {
        self.shared.events.tell(&mut self.events);
    }
}
