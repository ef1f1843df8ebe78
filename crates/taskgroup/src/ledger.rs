//! What the tasks left behind: values, the first failure, what followed. A plain struct; its owner locks, wakes and drops.

use std::collections::VecDeque;
use std::mem;
use std::task::Waker;

use crate::{
    Aftermath, Cause, Completed, Failure, FailureKind, GroupError, Label, Outcome, Policy,
};

/// The books of one group.
#[derive(Debug)]
pub struct Ledger<T, E> {
    policy: Policy,
    /// How many followers and aborted labels are kept.
    bound: usize,
    values: Vec<(u32, T)>,
    cause: Option<Cause<E>>,
    aftermath: Aftermath<E>,
    /// Ended without a value and not by cancellation; modulo 2³², as the tally's count of admissions.
    valueless: u32,
    /// Set when outcomes are handed out one by one instead.
    stream: Option<Stream<T, E>>,
}

#[derive(Debug)]
struct Stream<T, E> {
    ready: VecDeque<Completed<T, E>>,
    reader: Option<Waker>,
}

/// What the owner has to do after a record, once the lock is gone.
#[must_use]
#[derive(Debug)]
pub struct After<E> {
    /// Cancel the others.
    pub cancel: bool,
    /// Wake the reader of the stream.
    pub wake: Option<Waker>,
    /// A failure that found no room: dropped outside the lock, since its drop is foreign code.
    pub surplus: Option<Failure<E>>,
}

impl<T, E> Ledger<T, E> {
    /// Nothing recorded.
    pub fn new(policy: Policy, bound: usize, streaming: bool) -> Self {
        Self {
            policy,
            bound,
            values: Vec::new(),
            cause: None,
            aftermath: Aftermath::default(),
            valueless: 0,
            stream: streaming.then(|| Stream { ready: VecDeque::new(), reader: None }),
        }
    }

    /// Writes down how a task ended. The first failure of all becomes the cause, unless a cancellation is that already.
    pub fn record(&mut self, task: Label, outcome: Outcome<T, E>) -> After<E> {
        let cancel = outcome.is_failure() && self.policy == Policy::FailFast;
        if let Some(stream) = &mut self.stream {
            stream.ready.push_back(Completed { task, outcome });
            return After { cancel, wake: stream.reader.take(), surplus: None };
        }
        let mut surplus = None;
        match outcome {
            Outcome::Value(value) => self.values.push((task.index, value)),
            Outcome::Failed(error) => {
                surplus = self.fail(Failure { task, kind: FailureKind::Failed(error) });
            }
            Outcome::Panicked(panic) => {
                surplus = self.fail(Failure { task, kind: FailureKind::Panicked(panic) });
            }
            // Counted by the owner, without a lock: they come by the ten thousand.
            Outcome::Cancelled => {}
            Outcome::Aborted => {
                self.valueless = self.valueless.wrapping_add(1);
                self.aftermath.aborted_count += 1;
                if self.aftermath.aborted.len() < self.bound {
                    self.aftermath.aborted.push(task);
                }
            }
        }
        After { cancel, wake: None, surplus }
    }

    /// Names the cause of a cancellation, unless one stands.
    pub fn blame(&mut self, cause: Cause<E>) {
        self.cause.get_or_insert(cause);
    }

    /// The failures of a supervised group so far, and how many more there were.
    pub fn take_failures(&mut self) -> (Vec<Failure<E>>, usize) {
        (mem::take(&mut self.aftermath.followers), mem::take(&mut self.aftermath.omitted))
    }

    /// The next outcome of a streaming group; keeps the waker when there is none.
    pub fn next(&mut self, waker: &Waker) -> Option<Completed<T, E>> {
        let stream = self.stream.as_mut()?;
        let next = stream.ready.pop_front();
        if next.is_none() {
            stream.reader = Some(waker.clone());
        }
        next
    }

    /// Who reads the stream, to be woken when the last task is gone.
    pub fn reader(&mut self) -> Option<Waker> {
        self.stream.as_mut()?.reader.take()
    }

    /// How many of `admitted` tasks gave a value, if `cancelled` did not.
    pub fn valued(&self, admitted: u32, cancelled: usize) -> u32 {
        admitted.wrapping_sub(self.valueless).wrapping_sub(cancelled as u32)
    }

    /// The verdict once nobody lives: every value in spawn order, or the error.
    pub fn settle(&mut self, cancelled: usize) -> Result<Vec<(u32, T)>, GroupError<E>> {
        self.aftermath.cancelled = cancelled;
        let cut_short = self.aftermath.cancelled + self.aftermath.aborted_count != 0;
        let failed = matches!(self.cause, Some(Cause::Task(_)))
            || self.policy != Policy::Supervise && !self.aftermath.followers.is_empty();
        if failed || cut_short {
            // Cut short, and nobody is to blame in the group.
            let cause = self.cause.take().unwrap_or(Cause::Shutdown);
            return Err(GroupError { cause, aftermath: Box::new(mem::take(&mut self.aftermath)) });
        }
        let mut values = mem::take(&mut self.values);
        values.sort_unstable_by_key(|(index, _)| *index);
        Ok(values)
    }

    fn fail(&mut self, failure: Failure<E>) -> Option<Failure<E>> {
        self.valueless = self.valueless.wrapping_add(1);
        if self.cause.is_none() && self.policy != Policy::Supervise {
            self.cause = Some(Cause::Task(failure));
        } else if self.aftermath.followers.len() < self.bound {
            self.aftermath.followers.push(failure);
        } else {
            self.aftermath.omitted += 1;
            return Some(failure);
        }
        None
    }
}
