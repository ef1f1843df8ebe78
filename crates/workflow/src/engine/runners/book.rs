//! What is queued, what is to be told, and how many runners do what.

use std::collections::VecDeque;

/// How many ends are told together at most.
pub(super) const BATCH: usize = 16;

/// The memory of a queue that was longer is given back when it is empty.
const MANY: usize = 512;

pub(super) struct Book<J, E> {
    pub(super) queue: VecDeque<J>,
    /// What is not told yet.
    pub(super) ended: Vec<E>,
    /// Whether it is to be told at once.
    is_urgent: bool,
    /// How many runners there are.
    pub(super) all: usize,
    /// How many of them are not inside an attempt, and awake or about to be.
    pub(super) looking: usize,
    sleeping: usize,
}

impl<J, E> Default for Book<J, E> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            ended: Vec::new(),
            is_urgent: false,
            all: 0,
            looking: 0,
            sleeping: 0,
        }
    }
}

/// What a runner brings from an attempt.
pub(super) struct Left<E> {
    /// Its end, unless it became a task of its own.
    pub(super) ended: Option<E>,
    pub(super) is_long: bool,
}

/// What a runner that looks does next.
pub(super) enum Next<J> {
    Job {
        job: J,
        more: More,
        /// Whether it leaves no work behind.
        is_last: bool,
    },
    Tell,
    Nothing,
}

/// What a runner that has found nothing does.
pub(super) enum Rest {
    Work,
    Sleep,
    End,
}

/// What is to be done for invariant 1.
pub(super) enum More {
    None,
    Wake,
    Spawn,
}

impl<J, E> Book<J, E> {
    /// What a runner that looks, or has just left an attempt, does next. With a job it is inside from now on; the ends to
    /// tell are moved to `ends`.
    pub(super) fn next(&mut self, left: Option<Left<E>>, ends: &mut Vec<E>) -> Next<J> {
        self.leave(left);
        let is_due = self.is_urgent || BATCH <= self.ended.len() || self.queue.len() < 2;
        if is_due && !self.ended.is_empty() {
            self.is_urgent = false;
            std::mem::swap(&mut self.ended, ends);
            return Next::Tell;
        }
        let Some(job) = self.queue.pop_front() else {
            self.queue.shrink_to(MANY);
            return Next::Nothing;
        };
        self.looking -= 1;
        Next::Job { job, more: self.needs_a_looker(), is_last: !self.has_work() }
    }

    /// A runner is not inside any more. What starts because of the end is for this runner: it is counted as looking.
    pub(super) fn leave(&mut self, left: Option<Left<E>>) {
        if let Some(Left { ended, is_long }) = left {
            self.looking += 1;
            self.is_urgent |= is_long;
            self.ended.extend(ended);
        }
    }

    pub(super) fn has_work(&self) -> bool {
        !self.queue.is_empty() || !self.ended.is_empty()
    }

    pub(super) fn rest(&mut self, enough: usize) -> Rest {
        if self.has_work() {
            return Rest::Work;
        }
        self.looking -= 1;
        if enough < self.all {
            self.all -= 1;
            return Rest::End;
        }
        self.sleeping += 1;
        Rest::Sleep
    }

    pub(super) fn needs_a_looker(&mut self) -> More {
        if !self.has_work() || self.looking > 0 {
            return More::None;
        }
        self.looking += 1;
        if self.sleeping > 0 {
            self.sleeping -= 1;
            return More::Wake;
        }
        self.all += 1;
        More::Spawn
    }
}
