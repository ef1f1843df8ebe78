//! The caller's end of one job.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::buffers::Buffers;
use super::codec;
use super::error::JobError;
use super::refusal::Refusal;
use super::shared::Shared;
use super::ticket::Outcome;

/// A job that was handed in: a future of its output.
///
/// Dropping it cancels the job. A queued one never runs; a running one is told
/// ([`Context::is_cancelled`](super::Context::is_cancelled)) and has its grace to return, after which its worker is
/// killed with all that it started. An answer that nobody reads holds nobody up: it waits in this handle.
///
/// # Cancel safety
/// Polling it by reference (in `select!`, say) loses nothing; dropping it cancels the job.
#[must_use = "dropping a job cancels it"]
pub struct Job<O, E> {
    id: u64,
    answer: oneshot::Receiver<Outcome>,
    pool: Arc<Shared>,
    answered: bool,
    types: PhantomData<fn() -> (O, E)>,
}

impl<O, E> fmt::Debug for Job<O, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<O, E> Job<O, E> {
    pub(super) fn new(id: u64, answer: oneshot::Receiver<Outcome>, pool: Arc<Shared>) -> Self {
        Self { id, answer, pool, answered: false, types: PhantomData }
    }

    /// Its number within the pool.
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl<O, E> Drop for Job<O, E> {
    fn drop(&mut self) {
        if !self.answered {
            self.answer.close();
            self.pool.cancel(self.id);
        }
    }
}

impl<O: DeserializeOwned, E: DeserializeOwned> Future for Job<O, E> {
    type Output = Result<O, JobError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.answer).poll(cx));
        self.answered = true;
        Poll::Ready(match outcome {
            Ok(outcome) => read(outcome, &self.pool.buffers),
            Err(_) => Err(JobError::Closed),
        })
    }
}

fn read<O: DeserializeOwned, E: DeserializeOwned>(
    outcome: Outcome,
    buffers: &Buffers,
) -> Result<O, JobError<E>> {
    let unreadable = |what: &str, why: String| JobError::Codec(format!("{what}: {why}"));
    match outcome {
        Outcome::Done(frame) => {
            let output = codec::decode(frame.payload());
            buffers.give(frame.into_buffer());
            output.map_err(|why| unreadable("output", why))
        }
        Outcome::Failed(frame) => Err(match codec::decode(frame.payload()) {
            Ok(error) => JobError::Failed(error),
            Err(why) => unreadable("error", why),
        }),
        Outcome::Panicked(message) => Err(JobError::Panicked(message)),
        Outcome::TimedOut { after, stderr } => Err(JobError::TimedOut { after, stderr }),
        Outcome::Died { death, stderr } => Err(JobError::Died { death, stderr }),
        Outcome::Rejected(error) => Err(JobError::Rejected(error)),
        Outcome::Refused(refusal) => Err(match refusal {
            Refusal::TooLarge { max } => JobError::OutputTooLarge(max),
            Refusal::Unknown(name) => JobError::Codec(format!("no function named `{name}`")),
            Refusal::Input(why) => unreadable("input", why),
            Refusal::Output(why) => unreadable("output", why),
        }),
    }
}
