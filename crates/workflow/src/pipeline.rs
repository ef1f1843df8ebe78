//! Pipelines of agents: built once, asked many times, answering with what works; and routers that choose among them.
//!
//! A [`Draft`] takes stages. A stage has an agent, comes after others, and gets the request and what those returned; which
//! stages run together follows from that and from nothing else. The pipeline that the draft becomes turns each request into
//! a graph, so that limits, retries, time-outs, events and reports are those of the [`Orchestrator`].
//!
//! ```text
//! request -> router -> pipeline -> graph -> answer, and who was missing
//!            rules,    concurrent, and stage after stage if load has kept the answer from coming
//!            a model
//! ```
//!
//! Whether a stage is essential is said by those that come after it: who takes it as
//! [`optional`](crate::Handle::optional) goes on without it, and the answer says that it was missing and why; who does not is
//! skipped with it.
//!
//! # Examples
//! ```
//! use tidegate_workflow::Orchestrator;
//! use tidegate_workflow::pipeline::Draft;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut draft = Draft::<str>::new("spiders");
//! let books = draft.stage("books").run(async |question, ()| Ok(format!("`{question}`: see page 9")))?;
//! let web = draft.stage("web").run(async |_, ()| Err::<String, _>("no network".into()))?;
//! let writer = draft.stage("writer").after((&books, web.optional()));
//! let answer = writer.run(async |_, (books, web)| Ok(web.unwrap_or(books).to_string()))?;
//! let pipeline = draft.answer(&answer)?;
//!
//! let orchestrator = Orchestrator::builder().build()?;
//! let answer = pipeline.ask(&orchestrator, "How many legs?").await?;
//! assert_eq!(*answer.value, "`How many legs?`: see page 9");
//! assert_eq!(answer.missing[0].to_string(), "agent `web` failed: no network");
//! # Ok(()) }
//! ```

mod answer;
#[cfg(feature = "http")]
mod chooser;
mod draft;
mod meter;
mod pass;
mod router;

use std::fmt;
use std::sync::Arc;

pub use answer::{Answer, MissingStage, NoAnswer};
pub use draft::{Draft, StageBuilder, StageError};
pub use meter::{Meter, Statistics};
pub use router::{By, Route, Router};

use draft::Stage;
use meter::{Asking, Ending};
use pass::Pass;

use crate::orchestrator::Orchestrator;
use crate::typed::Handle;

/// Whether stages run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// What need not wait for each other runs together.
    Concurrent,
    /// One stage of a request after another, in the order in which they were added. Other requests are not held up.
    Sequential,
    /// Concurrent; and if there is no answer because of load, what did not succeed runs once more, one stage after another.
    ///
    /// It was load if the answer, or a stage that it comes after, ended with a time-out or with
    /// [`TaskError::overloaded`](crate::TaskError::overloaded). What a stage returned in the concurrent run is kept; a stage
    /// that runs once more does so under another [key](crate::Context::idempotency_key). After errors of other kinds, and
    /// when there is an answer, however degraded, nothing runs twice.
    #[default]
    FallingBack,
}

/// Stages of agents that answer requests of type `Q` with an `A`. Cheap to clone; clones share their statistics.
///
/// It can be asked any number of times, at once too. It is made by [`Draft::answer`].
pub struct Pipeline<Q: ?Sized, A> {
    plan: Arc<Plan<Q>>,
    answer: Handle<A>,
    mode: Mode,
    meter: Meter,
}

/// What all clones of a pipeline share.
struct Plan<Q: ?Sized> {
    name: Arc<str>,
    about: String,
    /// Each after all that it comes after.
    stages: Vec<Stage<Q>>,
}

impl<Q: ?Sized, A> Clone for Pipeline<Q, A> {
    fn clone(&self) -> Self {
        let (plan, answer) = (Arc::clone(&self.plan), self.answer.clone());
        Self { plan, answer, mode: self.mode, meter: self.meter.clone() }
    }
}

impl<Q: ?Sized, A> fmt::Debug for Pipeline<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("name", &self.plan.name)
            .field("stages", &self.plan.stages)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl<Q: ?Sized, A> Pipeline<Q, A> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// What it is good for, as [`Draft::about`] said.
    pub fn about(&self) -> &str {
        &self.plan.about
    }

    /// The ids of its stages, each after all that it comes after.
    pub fn stages(&self) -> impl Iterator<Item = &str> {
        self.plan.stages.iter().map(|stage| &*stage.id)
    }

    /// The same pipeline with its stages run in this way; [`Mode::FallingBack`] by default.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The same pipeline, counted by this meter, which may count others too.
    #[must_use]
    pub fn metered(mut self, meter: &Meter) -> Self {
        self.meter = meter.clone();
        self
    }

    /// What came of all requests so far, of this pipeline and of all that share its meter.
    pub fn statistics(&self) -> Statistics {
        self.meter.statistics()
    }
}

impl<Q: Send + Sync + ?Sized + 'static, A: Send + Sync + 'static> Pipeline<Q, A> {
    /// Answers a request. It returns when every stage is over, also those that the answer does not come after.
    ///
    /// # Errors
    /// When the stage that answers did not succeed; or the orchestrator does not take the graph, because it was shut down or
    /// a stage takes more of a resource than there is.
    ///
    /// # Cancel safety
    /// Dropping the future cancels what the request has running.
    pub async fn ask(
        &self,
        orchestrator: &Orchestrator,
        request: impl Into<Arc<Q>>,
    ) -> Result<Answer<A>, NoAnswer> {
        self.ask_counted(self.meter.asking(), orchestrator, request.into()).await
    }

    async fn ask_counted(
        &self,
        asking: Asking,
        orchestrator: &Orchestrator,
        request: Arc<Q>,
    ) -> Result<Answer<A>, NoAnswer> {
        let pass = Pass { plan: &self.plan, meter: &self.meter, orchestrator, request: &request };
        let result = pass.answer(self.answer.id(), self.mode).await;
        let (ending, fell_back) = match &result {
            Ok(over) => (Ending::Answered { degraded: !over.missing.is_empty() }, over.fell_back()),
            Err(NoAnswer::Failed { given_up, .. }) => (Ending::Failed, given_up.is_some()),
            Err(NoAnswer::NotStarted(_)) => (Ending::Failed, false),
        };
        let took = asking.end(ending, fell_back);
        let over = result?;
        let value = over.value.downcast().expect("the draft has seen what the stage returns");
        let (pipeline, missing) = (Arc::clone(&self.plan.name), over.missing);
        Ok(Answer { pipeline, value, missing, took, report: over.report, given_up: over.given_up })
    }
}
