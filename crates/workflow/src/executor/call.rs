//! One attempt as it travels, and its outcome on the way back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::payload::Payload;
use crate::task::TaskError;

/// The version of what [`Call::encode`] writes.
const VERSION: u32 = 1;

/// Which attempt of which task is to be made, and by which function.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Call {
    /// The run's number, within its orchestrator.
    pub run: u64,
    /// The task's id, within its run.
    pub task: Arc<str>,
    /// The name of the function.
    pub function: Arc<str>,
    /// Which attempt of the task, counted from 1.
    pub attempt: u32,
    /// Within whose limits it runs: of several that can do the task, the one that was chosen.
    pub agent: Arc<str>,
    /// The same for every attempt of this task, and for no other task of any orchestrator: what makes an effect outside
    /// happen once, if the other side asks for such a key.
    pub key: Arc<str>,
    /// Cancelled when the attempt is to stop. It does not travel: a transport has to tell the other side.
    #[serde(skip)]
    pub token: CancellationToken,
}

#[derive(Serialize)]
struct Envelope<C, I> {
    v: u32,
    #[serde(flatten)]
    call: C,
    input: I,
}

/// The outcome of an attempt on its way.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome<P> {
    Output(P),
    Failed { error: String, retryable: bool },
}

impl Call {
    /// The call and its input as JSON.
    ///
    /// # Errors
    /// When the input cannot be encoded; another attempt would fail the same way.
    pub fn encode(&self, input: &Payload) -> Result<String, TaskError> {
        let input = input.to_json()?;
        let input = raw(&input)?;
        serde_json::to_string(&Envelope { v: VERSION, call: self, input }).map_err(TaskError::fatal)
    }

    /// Reads what [`encode`](Self::encode) wrote. The token is a new one.
    ///
    /// # Errors
    /// When it is no such text, or of a later version.
    pub fn decode(text: &str) -> Result<(Self, Payload), TaskError> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let unreadable = |why| TaskError::fatal(format!("a call that cannot be read: {why}"));
        let Version { v } = serde_json::from_str(text).map_err(unreadable)?;
        if v != VERSION {
            let why = format!("a call of version {v}, where this program reads version {VERSION}");
            return Err(TaskError::fatal(why));
        }
        // Not by `flatten`, through which raw JSON cannot be read.
        #[derive(Deserialize)]
        struct Input {
            input: Box<RawValue>,
        }
        let call = serde_json::from_str(text).map_err(unreadable)?;
        let Input { input } = serde_json::from_str(text).map_err(unreadable)?;
        Ok((call, Payload::from_json(input.get())))
    }
}

/// The outcome of an attempt as JSON. That an output cannot be encoded is an outcome too.
pub(super) fn write_outcome(outcome: Result<Payload, TaskError>) -> String {
    let encoded = outcome.and_then(|output| {
        let output = output.to_json()?;
        serde_json::to_string(&Outcome::Output(raw(&output)?)).map_err(TaskError::fatal)
    });
    encoded.unwrap_or_else(|error| {
        let (error, retryable) = (error.message(), error.is_retryable());
        serde_json::to_string(&Outcome::<()>::Failed { error, retryable })
            .expect("a text and a truth value can be written")
    })
}

/// Reads the outcome that [`Registry::serve`](super::Registry::serve) gave.
///
/// # Errors
/// The attempt's own, retryable if it was; or that the text is no outcome.
pub fn read_outcome(text: &str) -> Result<Payload, TaskError> {
    match serde_json::from_str::<Outcome<Box<RawValue>>>(text) {
        Ok(Outcome::Output(output)) => Ok(Payload::from_json(output.get())),
        Ok(Outcome::Failed { error, retryable: true }) => Err(TaskError::from(error)),
        Ok(Outcome::Failed { error, retryable: false }) => Err(TaskError::fatal(error)),
        Err(why) => Err(TaskError::from(format!("an outcome that cannot be read: {why}"))),
    }
}

fn raw(json: &str) -> Result<&RawValue, TaskError> {
    serde_json::from_str(json).map_err(TaskError::fatal)
}
