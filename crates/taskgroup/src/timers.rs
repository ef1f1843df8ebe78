//! Helper tasks of a group: the grace period, the deadline, the outer token.

use std::mem;

use tokio::task::{AbortHandle, JoinHandle};

use crate::sync::Mutex;

/// Helpers that run, until the group has ended.
#[derive(Default)]
pub(crate) struct Timers(Mutex<List>);

#[derive(Default)]
struct List {
    running: Vec<AbortHandle>,
    closed: bool,
}

impl Timers {
    /// Keeps one; aborts it at once if the group has ended.
    pub(crate) fn keep(&self, timer: JoinHandle<()>) {
        let mut list = self.0.lock();
        if list.closed {
            drop(list);
            timer.abort();
        } else {
            list.running.push(timer.abort_handle());
        }
    }

    /// Aborts them all, and whatever comes later.
    pub(crate) fn end(&self) {
        let running = {
            let mut list = self.0.lock();
            list.closed = true;
            mem::take(&mut list.running)
        };
        running.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        self.end();
    }
}
