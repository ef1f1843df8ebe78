//! The places of a limited group: the [`Admission`] behind its lock. Whoever is started or dropped is so outside of it.

use crate::admission::{Admission, Entry};
use crate::sync::Mutex;

/// Places, and the queue for them.
#[derive(Debug)]
pub struct Places<W>(Mutex<Admission<W>>);

impl<W> Places<W> {
    /// So many, all free.
    pub fn new(limit: usize) -> Self {
        Self(Mutex::new(Admission::new(limit)))
    }

    /// Takes a place, if one is free and nobody waits, for what `admit` lets in; gives it back if nobody is let in. `None`
    /// without a place.
    pub fn try_admit<A, R>(
        &self,
        admit: impl FnOnce() -> Result<A, R>,
        start: &mut impl FnMut(W) -> bool,
    ) -> Option<Result<A, R>> {
        let free = self.0.lock().try_enter();
        free.then(|| admit().inspect_err(|_| self.give_back(start)))
    }

    /// Takes a place or stands in the queue; see [`Admission::enter`].
    pub fn enter(&self, who: W, holds: bool) -> Entry<W> {
        self.0.lock().enter(who, holds)
    }

    /// Gives a place back and starts whoever is next. One that says `false`, having given up, passes it on.
    pub fn give_back(&self, start: &mut impl FnMut(W) -> bool) {
        loop {
            let next = self.0.lock().leave();
            if next.is_none_or(&mut *start) {
                return;
            }
        }
    }

    /// Changes the limit and starts those who may come in now.
    pub fn resize(&self, limit: usize, start: &mut impl FnMut(W) -> bool) {
        let next = self.0.lock().resize(limit);
        for who in next {
            if !start(who) {
                self.give_back(start);
            }
        }
    }

    /// Takes one out of the queue who gives up.
    pub fn give_up(&self, ticket: u64) {
        let who = self.0.lock().give_up(ticket);
        drop(who);
    }

    /// Takes nobody any more, and drops those who wait.
    pub fn close(&self) {
        let waiting = self.0.lock().close();
        drop(waiting);
    }

    /// How many are taken.
    pub fn running(&self) -> usize {
        self.0.lock().running()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting()
    }

    /// How many there are.
    pub fn limit(&self) -> usize {
        self.0.lock().limit()
    }
}
