//! A job on its way, and what becomes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::death::Death;
use super::error::SubmitError;
use super::frame::{Frame, HEADER};
use super::refusal::Refusal;

/// What became of a job.
#[derive(Debug)]
pub(super) enum Outcome {
    Done(Frame),
    Failed(Frame),
    Panicked(String),
    TimedOut { after: Duration, stderr: String },
    Died { death: Death, stderr: String },
    Refused(Refusal),
    Rejected(SubmitError),
}

/// A job on its way.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) id: u64,
    pub(super) call: Arc<Vec<u8>>,
    /// `None` once it is answered while its worker still runs it.
    pub(super) reply: Option<oneshot::Sender<Outcome>>,
    pub(super) timeout: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) idempotent: bool,
    /// It was with a worker that died while holding several jobs; the next one holds it alone, so that the guilty one is found.
    pub(super) alone: bool,
    pub(super) queued: Instant,
    pub(super) taken: Instant,
    /// Its place in the queue, given back when a slot takes it.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

impl Ticket {
    /// Whether nobody waits for the answer.
    pub(super) fn is_dropped(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// Whether it may share a worker with other jobs of its kind.
    pub(super) fn shares(&self) -> bool {
        self.idempotent && !self.alone
    }

    /// The payload: name and input, without the number of the job.
    pub(super) fn payload(&self) -> &[u8] {
        &self.call[HEADER..]
    }
}
