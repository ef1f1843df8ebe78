//! Where work is done that has a name: in this process, in worker processes, on other machines.
//!
//! A [closure](crate::Task::new) can run only where it was written. A function that is known by its name can run wherever
//! somebody knows it: [`Task::named`](crate::Task::named) and [`TaskBuilder::call`](crate::TaskBuilder::call) name it with a
//! [`Named`], and the orchestrator's [`Executor`] finds who runs it. The same graph is served by each of these:
//!
//! | executor | where the function runs |
//! |---|---|
//! | [`Registry`] | in this process, its input and output as they are |
//! | [`Encoded`] | in whatever it wraps, but everything goes through the encoding on its way: for tests |
//! | [`Processes`] | in worker processes, which end with an attempt that is asked to stop, and whose crash harms nobody |
//!
//! Inputs and outputs that leave the process travel as JSON, by serde. Limits, retries, time-outs and the order of starts are
//! the engine's, above this seam: an executor is given one attempt and answers with its outcome.
//!
//! # Examples
//! ```
//! use std::sync::Arc;
//! use tidegate_workflow::executor::{Encoded, Named, Registry};
//! use tidegate_workflow::{Graph, Orchestrator, TaskError};
//!
//! const FETCH: Named<String, String> = Named::new("fetch");
//! const WORDS: Named<Arc<String>, usize> = Named::new("words");
//!
//! async fn fetch(url: String) -> Result<String, TaskError> {
//!     Ok(format!("the page at {url}"))
//! }
//!
//! async fn words(text: Arc<String>) -> Result<usize, TaskError> {
//!     Ok(text.split(' ').count())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().with(FETCH, fetch).with(WORDS, words);
//! let mut graph = Graph::new();
//! let page = graph.task("page").call_with(FETCH, "example.org".to_owned())?;
//! let count = graph.task("count").after(&page).call(WORDS)?;
//!
//! let orchestrator = Orchestrator::builder().executor(Encoded::new(registry)).build()?;
//! let finished = orchestrator.run(graph).await?;
//! assert_eq!(*finished.get(&count)?, 4);
//! # Ok(()) }
//! ```
//!
//! # Writing another
//! What carries calls to other machines implements [`Executor`] on the side of the orchestrator: [`Call::encode`], publish,
//! answer with what [`read_outcome`] makes of the outcome that comes first. On the other side a worker takes as much as it can
//! bear, and hands each call to [`Registry::serve`]. Calls carry what such a transport needs to be idempotent:
//! [`Call::run`], [`Call::task`] and [`Call::attempt`] name the attempt, [`Call::key`] the effect.

mod call;
mod encoded;
mod named;
mod payload;
mod processes;
mod registry;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

pub use call::{Call, read_outcome};
pub use encoded::Encoded;
pub use named::Named;
pub use payload::Payload;
pub use processes::Processes;
pub use registry::Registry;

use crate::task::TaskError;

/// An attempt under way: its output, or why there is none.
pub type Executing = Pin<Box<dyn Future<Output = Result<Payload, TaskError>> + Send>>;

/// Runs attempts of tasks that name their function.
///
/// The engine asks for each attempt once, under all limits, and takes the outcome of the future that it gets:
///
/// 1. An attempt whose [`token`](Call::token) is cancelled is to end soon; its outcome does not matter any more.
/// 2. Dropping the future gives the attempt up: what can be ended is ended.
/// 3. An attempt is retried only by the engine, as another call with the next number. An executor may carry the same attempt
///    out twice when a worker has vanished; the first outcome counts.
/// 4. A panic of the future is the task's own.
pub trait Executor: fmt::Debug + Send + Sync + 'static {
    /// Runs one attempt.
    fn execute(&self, call: Call, input: Payload) -> Executing;
}
