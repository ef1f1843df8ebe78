//! Functions by name, as tasks of a graph.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::Call;
use super::payload::Payload;
use crate::context::Context;
use crate::durable::Keeps;
use crate::graph::AddError;
use crate::task::{Task, TaskError};
use crate::typed::{Handle, Inputs, TaskBuilder};

/// The name of a function, with the types of its input and output; best kept in a `const`.
///
/// Whoever names it and whoever registers it use the same constant, so that their types agree.
pub struct Named<I, O> {
    name: &'static str,
    types: PhantomData<fn(I) -> O>,
}

impl<I, O> Named<I, O> {
    /// The function of this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, types: PhantomData }
    }

    /// The name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<I, O> Clone for Named<I, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, O> Copy for Named<I, O> {}

impl<I, O> fmt::Debug for Named<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Named").field(&self.name).finish()
    }
}

impl<K> Task<K> {
    /// A task whose work is a function that the orchestrator's [executor](crate::Builder::executor) finds by its name.
    /// `input` makes the input of each attempt, here, of what the task needs. Otherwise as [`new`](Self::new): what the
    /// function returns is read with [`Context::input`].
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::executor::{Named, Registry};
    /// use tidegate_workflow::{Context, Graph, Orchestrator, Task, TaskError};
    ///
    /// const LENGTH: Named<String, usize> = Named::new("length");
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut graph = Graph::new();
    /// graph.add(Task::new("name", async |_| Ok::<_, TaskError>("Ada".to_owned())))?;
    /// let input = |cx: &Context| Ok(cx.input::<String>("name")?.to_string());
    /// graph.add(Task::named("length", LENGTH, input).needs(["name"]))?;
    ///
    /// let registry = Registry::new().with(LENGTH, async |text: String| Ok(text.len()));
    /// let orchestrator = Orchestrator::builder().executor(registry).build()?;
    /// assert_eq!(*orchestrator.run(graph).await?.output::<usize>("length")?, 3);
    /// # Ok(()) }
    /// ```
    pub fn named<I, O>(
        id: impl Into<Arc<str>>,
        function: Named<I, O>,
        input: impl Fn(&Context) -> Result<I, TaskError> + Send + Sync + 'static,
    ) -> Self
    where
        I: Serialize + Send + 'static,
        K: Keeps<O>,
        O: DeserializeOwned + Send + Sync + 'static,
    {
        Self::make(id, move |context: Context| {
            let made = input(&context);
            async move {
                let executor = context.executor().ok_or_else(|| {
                    let name = function.name();
                    TaskError::fatal(format!(
                        "nobody runs the function `{name}`: give the orchestrator an executor with `Builder::executor`"
                    ))
                })?;
                let call = Call {
                    run: context.run().id(),
                    task: context.shared_id(),
                    function: Arc::from(function.name()),
                    attempt: context.attempt(),
                    agent: Arc::from(context.agent()),
                    key: context.idempotency_key().into(),
                    token: context.token().clone(),
                };
                let executing = executor.execute(call, Payload::new(made?));
                // What the attempt waits with is its outcome alone.
                drop((context, executor));
                executing.await?.take::<O>()
            }
        })
    }
}

impl<I: Inputs, K> TaskBuilder<'_, I, K>
where
    I::Values: Serialize,
{
    /// Adds the task, whose work is a function by its name, on what [`after`](TaskBuilder::after) gives: the same function
    /// that [`run`](Self::run) takes. See [`executor`](crate::executor).
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn call<O>(self, function: Named<I::Values, O>) -> Result<Handle<O>, AddError>
    where
        K: Keeps<O>,
        O: DeserializeOwned + Send + Sync + 'static,
    {
        self.add(|id, read| Task::named(id, function, move |cx| Ok(read(cx)?)))
    }
}

impl<K> TaskBuilder<'_, (), K> {
    /// As [`call`](Self::call), on this input.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn call_with<V, O>(self, function: Named<V, O>, input: V) -> Result<Handle<O>, AddError>
    where
        V: Serialize + Clone + Send + Sync + 'static,
        K: Keeps<O>,
        O: DeserializeOwned + Send + Sync + 'static,
    {
        self.add(|id, _| Task::named(id, function, move |_| Ok(input.clone())))
    }
}
