//! Functions by name, run in this process.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::call::{self, Call};
use super::named::Named;
use super::payload::Payload;
use super::{Executing, Executor};
use crate::task::{TaskError, panicked};

type Entry = Arc<dyn Fn(Call, Payload) -> Executing + Send + Sync>;

/// Async functions by name. Cheap to clone.
///
/// It is the executor that runs them in this process, and what a worker elsewhere [serves](Self::serve) calls with.
#[derive(Clone, Default)]
pub struct Registry {
    entries: HashMap<&'static str, Entry>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&str> = self.names().collect();
        names.sort_unstable();
        f.debug_tuple("Registry").field(&names).finish()
    }
}

impl Registry {
    /// No functions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// These and one more.
    ///
    /// # Panics
    /// When another function has the same name.
    #[must_use]
    pub fn with<I, O, F, Fut>(self, name: Named<I, O>, function: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: Fn(I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, TaskError>> + Send + 'static,
    {
        self.with_call(name, move |_, input| function(input))
    }

    /// As [`with`](Self::with), for a function that also looks at its [`Call`]: the attempt's number, its key, its token.
    ///
    /// # Panics
    /// When another function has the same name.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::executor::{Named, Registry};
    ///
    /// const PAY: Named<u32, String> = Named::new("pay");
    ///
    /// let registry = Registry::new().with_call(PAY, async |call, cents| {
    ///     // A bank that is given the same key twice pays once, whatever the number of attempts.
    ///     Ok(format!("{cents} cents, {}", call.key))
    /// });
    /// assert_eq!(registry.names().collect::<Vec<_>>(), ["pay"]);
    /// ```
    #[must_use]
    pub fn with_call<I, O, F, Fut>(mut self, name: Named<I, O>, function: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: Fn(Call, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, TaskError>> + Send + 'static,
    {
        let function = Arc::new(function);
        let entry: Entry = Arc::new(move |call, input| {
            let function = Arc::clone(&function);
            Box::pin(async move { function(call, input.take()?).await.map(Payload::new) })
        });
        let former = self.entries.insert(name.name(), entry);
        assert!(former.is_none(), "two functions are named `{}`", name.name());
        self
    }

    /// The names of the functions, in no order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries.keys().copied()
    }

    /// Runs the call that this text encodes, and encodes its outcome: all that a worker has to do between taking a call and
    /// giving its outcome back. A panic is an outcome. Whoever has the token can ask the attempt to stop.
    ///
    /// # Cancel safety
    /// Dropping the future drops the function's future.
    pub async fn serve(&self, call: &str, token: CancellationToken) -> String {
        let outcome = match Call::decode(call) {
            Ok((call, input)) => {
                let executing = self.execute(Call { token, ..call }, input);
                AssertUnwindSafe(executing)
                    .catch_unwind()
                    .await
                    .unwrap_or_else(|panic| Err(panicked(panic)))
            }
            Err(error) => Err(error),
        };
        call::write_outcome(outcome)
    }
}

impl Executor for Registry {
    fn execute(&self, call: Call, input: Payload) -> Executing {
        match self.entries.get(&*call.function) {
            Some(entry) => entry(call, input),
            None => {
                let why = format!("no function named `{}` is registered", call.function);
                Box::pin(std::future::ready(Err(TaskError::fatal(why))))
            }
        }
    }
}
