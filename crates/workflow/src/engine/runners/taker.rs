//! Who takes a turn of the engine, and what the turn leaves to it.

use tokio::runtime::{Handle, RuntimeFlavor};

use super::Job;

/// See the module.
#[derive(Default)]
pub(crate) struct Taker {
    /// Whether it can go on with an attempt that will wait.
    goes_on: bool,
    /// That attempt.
    next: Option<Job>,
    /// Whether a task was woken or spawned that others are to have if this one goes on for long.
    has_woken: bool,
}

impl Taker {
    /// A task of the runtime whose attempt has ended.
    pub(crate) fn that_goes_on() -> Self {
        Self { goes_on: true, ..Self::default() }
    }

    /// It has to see to something first.
    pub(crate) fn is_held_up(&mut self) {
        self.goes_on = false;
    }

    pub(crate) fn has_woken(&mut self) {
        self.has_woken = true;
    }

    /// Lets others have what was woken.
    pub(crate) fn share(&mut self) {
        if std::mem::take(&mut self.has_woken) {
            share();
        }
    }

    /// Whether an attempt waits for it to go on.
    pub(crate) fn is_wanted(&self) -> bool {
        self.next.is_some()
    }

    /// The attempt that it goes on with.
    pub(crate) fn next(self) -> Option<Job> {
        self.next
    }

    /// The attempt, unless it goes on with that.
    pub(super) fn offer(&mut self, job: Job) -> Option<Job> {
        if !self.goes_on || self.next.is_some() {
            return Some(job);
        }
        self.next = Some(job);
        None
    }
}

/// Lets another worker have the task that was woken or spawned last here. A worker keeps that one to itself until it has
/// finished what it is at, which may be an attempt that computes; the next one to come takes its place.
pub(super) fn share() {
    if let Ok(runtime) = Handle::try_current()
        && runtime.runtime_flavor() != RuntimeFlavor::CurrentThread
    {
        drop(runtime.spawn(std::future::ready(())));
    }
}
