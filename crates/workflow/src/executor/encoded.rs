//! The test of a graph that is to leave its process.

use super::call::{Call, read_outcome, write_outcome};
use super::payload::Payload;
use super::{Executing, Executor};

/// Another executor, behind the encoding: every call, input and outcome is written and read again on its way. A graph that
/// runs under it needs nothing but what travels.
#[derive(Debug)]
pub struct Encoded<E>(E);

impl<E: Executor> Encoded<E> {
    /// This executor, behind the encoding.
    pub fn new(executor: E) -> Self {
        Self(executor)
    }
}

impl<E: Executor> Executor for Encoded<E> {
    fn execute(&self, call: Call, input: Payload) -> Executing {
        let token = call.token.clone();
        let decoded = call.encode(&input).and_then(|text| Call::decode(&text));
        match decoded {
            Ok((call, input)) => {
                let executing = self.0.execute(Call { token, ..call }, input);
                Box::pin(async move { read_outcome(&write_outcome(executing.await)) })
            }
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}
