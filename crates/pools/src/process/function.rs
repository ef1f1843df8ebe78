//! Functions by name: what a caller names and a worker looks up.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Context;
use super::codec::{self, EncodeError};
use super::frame::{self, Kind};
use super::refusal::Refusal;
use crate::job::message;

/// A named function that worker processes can run, with the types of its input, output and error.
///
/// It is a small `Copy` value, best kept in a `const`; [`timeout`](Self::timeout) and the like give a changed copy, so
/// that one call may differ from the rest.
///
/// ```
/// use std::time::Duration;
/// use tidegate_pools::process::{Context, Function};
///
/// const LENGTH: Function<String, usize, String> = Function::new("length", length);
///
/// fn length(text: String, _: &Context<'_>) -> Result<usize, String> {
///     if text.is_empty() { Err("nothing to measure".to_owned()) } else { Ok(text.len()) }
/// }
///
/// let hurried = LENGTH.timeout(Duration::from_millis(50));
/// assert_eq!(hurried.name(), "length");
/// ```
pub struct Function<I, O, E> {
    name: &'static str,
    body: fn(I, &Context<'_>) -> Result<O, E>,
    pub(super) timeout: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) idempotent: bool,
}

impl<I, O, E> Clone for Function<I, O, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, O, E> Copy for Function<I, O, E> {}

impl<I, O, E> fmt::Debug for Function<I, O, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("timeout", &self.timeout)
            .field("grace", &self.grace)
            .field("idempotent", &self.idempotent)
            .finish_non_exhaustive()
    }
}

impl<I, O, E> Function<I, O, E> {
    /// A function without timeout, without grace, not idempotent. The name is what parent and worker agree by.
    pub const fn new(name: &'static str, body: fn(I, &Context<'_>) -> Result<O, E>) -> Self {
        Self { name, body, timeout: None, grace: Duration::ZERO, idempotent: false }
    }

    /// The name it is registered by.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Ends a job this long after a worker got it, by killing the worker with all that it started. Time in the queue
    /// does not count.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Between being told ([`Context::is_cancelled`]) and being killed, a job has this long to return; zero by default.
    /// Whoever waits for the job does not wait for the grace.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Declares that running a job twice does no harm. Only then does a worker hold several jobs of a batch at once, and
    /// jobs that were lost with a worker are run again.
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }
}

type Runner = Box<dyn Fn(&[u8], usize, &Context<'_>, &mut Vec<u8>)>;

/// The functions that a worker of this program serves.
#[derive(Default)]
pub struct Functions {
    runners: BTreeMap<&'static str, Runner>,
    build: Option<String>,
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.runners.keys()).finish()
    }
}

impl Functions {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// These and one more.
    ///
    /// # Panics
    /// When another function has the same name.
    #[must_use]
    pub fn with<I, O, E>(mut self, function: Function<I, O, E>) -> Self
    where
        I: DeserializeOwned + 'static,
        O: Serialize + 'static,
        E: Serialize + 'static,
    {
        let Function { name, body, .. } = function;
        let runner: Runner =
            Box::new(move |input, max, context, out| run(body, input, max, context, out));
        let former = self.runners.insert(name, runner);
        assert!(former.is_none(), "two functions are named `{name}`");
        self
    }

    /// Names the build, in place of the identity of the executable file; for a worker that is another executable on
    /// purpose. Parent and worker must name the same.
    #[must_use]
    pub fn build_id(mut self, build: impl Into<String>) -> Self {
        self.build = Some(build.into());
        self
    }

    pub(super) fn named_build(&self) -> Option<&str> {
        self.build.as_deref()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.runners.keys().map(|name| (*name).to_owned()).collect()
    }

    /// Runs what the payload of a job frame asks for; appends the whole frame of the answer.
    pub(super) fn answer(
        &self,
        payload: &[u8],
        max: usize,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let Some((name, input)) = split_call(payload) else {
            return refuse(out, context, &Refusal::Input("the call has no name".to_owned()));
        };
        match self.runners.get(name) {
            Some(runner) => runner(input, max, context, out),
            None => refuse(out, context, &Refusal::Unknown(name.to_owned())),
        }
    }
}

/// Appends a job frame without its number: name, then input.
pub(super) fn call<I: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    name: &str,
    max: usize,
    input: &I,
) -> Result<(), EncodeError> {
    let start = frame::begin(out, Kind::Job, 0);
    let len = u16::try_from(name.len()).map_err(|_| EncodeError::TooLarge)?;
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(name.as_bytes());
    codec::append(out, max.saturating_sub(2 + name.len()), input)?;
    frame::finish(out, start);
    Ok(())
}

fn split_call(payload: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = payload.split_first_chunk::<2>()?;
    let (name, input) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    Some((std::str::from_utf8(name).ok()?, input))
}

fn run<I: DeserializeOwned, O: Serialize, E: Serialize>(
    body: fn(I, &Context<'_>) -> Result<O, E>,
    input: &[u8],
    max: usize,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) {
    let input = match codec::decode(input) {
        Ok(input) => input,
        Err(why) => return refuse(out, context, &Refusal::Input(why)),
    };
    let start = out.len();
    // A panicking job leaves the process in the state in which a panicking thread leaves its program; what is shared
    // between jobs is the function's own affair.
    let (kind, encoded) = match catch_unwind(AssertUnwindSafe(|| body(input, context))) {
        Ok(Ok(output)) => (Kind::Done, reply(out, Kind::Done, context, max, &output)),
        Ok(Err(error)) => (Kind::Failed, reply(out, Kind::Failed, context, max, &error)),
        Err(panic) => {
            let text = message(&*panic);
            let shown = text.get(..text.floor_char_boundary(max)).unwrap_or_default();
            return out.extend(frame::frame(Kind::Panicked, context.job(), shown.as_bytes()));
        }
    };
    if let Err(error) = encoded {
        out.truncate(start);
        let refusal = match error {
            EncodeError::TooLarge => Refusal::TooLarge { max },
            EncodeError::Unfit(why) => Refusal::Output(format!("{kind:?}: {why}")),
        };
        refuse(out, context, &refusal);
    }
}

fn reply<T: Serialize>(
    out: &mut Vec<u8>,
    kind: Kind,
    context: &Context<'_>,
    max: usize,
    value: &T,
) -> Result<(), EncodeError> {
    let start = frame::begin(out, kind, context.job());
    codec::append(out, max, value)?;
    frame::finish(out, start);
    Ok(())
}

fn refuse(out: &mut Vec<u8>, context: &Context<'_>, refusal: &Refusal) {
    let encoded = reply(out, Kind::Refused, context, usize::MAX, refusal);
    encoded.expect("a refusal is strings and numbers");
}
