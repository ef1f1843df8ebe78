//! Pipelines to be: stages, checked as they come.

use std::any::TypeId;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tidegate_pools::Kind;

use super::{Meter, Mode, Pipeline, Plan};
use crate::context::Context;
use crate::retry::Retry;
use crate::task::{Output, Task, TaskError, Work};
use crate::typed::{Handle, Inputs, Needs};

type Setting = Box<dyn Fn(Task) -> Task + Send + Sync>;

/// A pipeline to be, for requests of type `Q`.
///
/// A stage can only come after stages that were added before it: there are no cycles, and the order in which stages were
/// added is one in which they can run one after another.
#[derive(Debug)]
pub struct Draft<Q: ?Sized> {
    name: Arc<str>,
    about: String,
    stages: Vec<Stage<Q>>,
}

/// One stage.
pub(super) struct Stage<Q: ?Sized> {
    pub(super) id: Arc<str>,
    pub(super) needs: Needs,
    pub(super) work: Arc<dyn Fn(Context, Arc<Q>) -> Work + Send + Sync>,
    settings: Vec<Setting>,
    returns: TypeId,
}

impl<Q: ?Sized> fmt::Debug for Stage<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage")
            .field("id", &self.id)
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

impl<Q: ?Sized> Stage<Q> {
    /// A task with the stage's agent and settings, that comes after nobody and has no work yet.
    pub(super) fn task(&self) -> Task {
        let none = Task::new(Arc::clone(&self.id), async |_| Ok::<(), TaskError>(()));
        let task = none.agent(Arc::clone(&self.id));
        let mut task = self.settings.iter().fold(task, |task, setting| setting(task));
        task.forget_arrows();
        task
    }

    /// The stages that it comes after.
    pub(super) fn before(&self) -> impl Iterator<Item = &Arc<str>> {
        self.needs.required.iter().chain(&self.needs.optional)
    }
}

impl<Q: ?Sized> Draft<Q> {
    /// A pipeline without stages.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), about: String::new(), stages: Vec::new() }
    }

    /// What it is good for, in a sentence: a model that chooses among pipelines reads it.
    #[must_use]
    pub fn about(mut self, text: impl Into<String>) -> Self {
        self.about = text.into();
        self
    }

    /// A stage to be described: what it comes after, its settings, and last its work, which adds it and gives its
    /// [`Handle`]. Its agent is the one with the stage's id, unless another is [named](StageBuilder::agent).
    pub fn stage(&mut self, id: impl Into<Arc<str>>) -> StageBuilder<'_, Q, ()> {
        StageBuilder { draft: self, id: id.into(), inputs: (), settings: Vec::new() }
    }

    /// The pipeline, answered by what this stage returns.
    ///
    /// # Errors
    /// When the draft has no such stage, or it returns another type; only handles of other pipelines and
    /// [made by hand](Handle::named) are so.
    pub fn answer<A: Send + Sync + 'static>(
        self,
        stage: &Handle<A>,
    ) -> Result<Pipeline<Q, A>, StageError> {
        let found = self.stages.iter().find(|of| *of.id == *stage.id());
        let found = found.ok_or_else(|| StageError::Unknown {
            stage: stage.id().to_owned(),
            by: "the answer".to_owned(),
        })?;
        if found.returns != TypeId::of::<A>() {
            let wanted = std::any::type_name::<A>();
            return Err(StageError::OtherType { stage: stage.id().to_owned(), wanted });
        }
        let Self { name, about, stages } = self;
        let plan = Arc::new(Plan { name, about, stages });
        Ok(Pipeline { plan, answer: stage.clone(), mode: Mode::default(), meter: Meter::new() })
    }
}

/// A stage that [`Draft::stage`] began; giving its work ends it. Settings mean what they mean on a [`Task`].
#[must_use = "the stage is added by `run`, `run_with` or `offload`"]
pub struct StageBuilder<'d, Q: ?Sized, I> {
    draft: &'d mut Draft<Q>,
    id: Arc<str>,
    inputs: I,
    settings: Vec<Setting>,
}

impl<Q: ?Sized, I> fmt::Debug for StageBuilder<'_, Q, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageBuilder").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<'d, Q: ?Sized> StageBuilder<'d, Q, ()> {
    /// The stages that it comes after, whose outputs it gets: handles, optional ones and groups of them, as
    /// [`TaskBuilder::after`](crate::TaskBuilder::after) takes them.
    pub fn after<I: Inputs>(self, inputs: I) -> StageBuilder<'d, Q, I> {
        let Self { draft, id, inputs: (), settings } = self;
        StageBuilder { draft, id, inputs, settings }
    }
}

impl<Q: Send + Sync + ?Sized + 'static, I: Inputs> StageBuilder<'_, Q, I> {
    /// Any setting of [`Task`], made anew for each request. Needs are not taken: a stage comes after those that were given to
    /// [`after`](StageBuilder::after).
    pub fn with(mut self, setting: impl Fn(Task) -> Task + Send + Sync + 'static) -> Self {
        self.settings.push(Box::new(setting));
        self
    }

    /// As [`Task::agent`].
    pub fn agent(self, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        self.with(move |task| task.agent(Arc::clone(&name)))
    }

    /// As [`Task::timeout`].
    pub fn timeout(self, duration: Duration) -> Self {
        self.with(move |task| task.timeout(duration))
    }

    /// As [`Task::retry`].
    pub fn retry(self, retry: Retry) -> Self {
        self.with(move |task| task.retry(retry))
    }

    /// Adds the stage, whose work is an async function of the request and the inputs. It is called once for each attempt.
    ///
    /// # Errors
    /// When a stage of this id was added before, or it comes after one that was not.
    pub fn run<F, Fut, T>(self, work: F) -> Result<Handle<T>, StageError>
    where
        F: Fn(Arc<Q>, I::Values) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, TaskError>> + Send + 'static,
        T: Send + Sync + 'static,
    {
        self.run_with(move |_, request, inputs| work(request, inputs))
    }

    /// As [`run`](Self::run), with the attempt's [`Context`].
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_with<F, Fut, T>(self, work: F) -> Result<Handle<T>, StageError>
    where
        F: Fn(Context, Arc<Q>, I::Values) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, TaskError>> + Send + 'static,
        T: Send + Sync + 'static,
    {
        let (needs, read) = Needs::of(self.inputs);
        let work = move |cx: Context, request: Arc<Q>| -> Work {
            let attempt = read(&cx).map(|inputs| work(cx, request, inputs));
            Work::new(async move { Ok(Arc::new(attempt?.await?) as Output) })
        };
        self.draft.add(self.id, needs, Arc::new(work), self.settings)
    }

    /// Adds the stage, whose work is a plain function that runs where its kind belongs; see [`Task::offloaded`].
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn offload<F, T>(self, kind: Kind, work: F) -> Result<Handle<T>, StageError>
    where
        F: Fn(Arc<Q>, I::Values) -> Result<T, TaskError> + Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let (needs, read) = Needs::of(self.inputs);
        let work = Arc::new(work);
        let work = move |cx: Context, request: Arc<Q>| -> Work {
            let (inputs, work) = (read(&cx), Arc::clone(&work));
            Work::new(async move {
                let (inputs, pools) = (inputs?, cx.pools()?);
                let value = pools.run(kind, move || work(request, inputs)).await??;
                Ok(Arc::new(value) as Output)
            })
        };
        self.draft.add(self.id, needs, Arc::new(work), self.settings)
    }
}

impl<Q: ?Sized> Draft<Q> {
    fn add<T: Send + Sync + 'static>(
        &mut self,
        id: Arc<str>,
        needs: Needs,
        work: Arc<dyn Fn(Context, Arc<Q>) -> Work + Send + Sync>,
        settings: Vec<Setting>,
    ) -> Result<Handle<T>, StageError> {
        if self.stages.iter().any(|stage| stage.id == id) {
            return Err(StageError::Duplicate { stage: id.to_string() });
        }
        let stage =
            Stage { id: Arc::clone(&id), needs, work, settings, returns: TypeId::of::<T>() };
        let is_known = |need: &&Arc<str>| self.stages.iter().any(|stage| stage.id == **need);
        if let Some(unknown) = stage.before().find(|need| !is_known(need)) {
            let by = format!("stage `{id}`");
            return Err(StageError::Unknown { stage: unknown.to_string(), by });
        }
        self.stages.push(stage);
        Ok(Handle::named(id))
    }
}

/// Why a stage cannot be added, or cannot answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageError {
    /// A stage of this id is there.
    Duplicate {
        /// The id.
        stage: String,
    },
    /// A stage is named that was not added before.
    Unknown {
        /// Its id.
        stage: String,
        /// Who names it.
        by: String,
    },
    /// The stage returns another type than the handle says.
    OtherType {
        /// Its id.
        stage: String,
        /// The type that the handle says.
        wanted: &'static str,
    },
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { stage } => write!(f, "a stage `{stage}` was added before"),
            Self::Unknown { stage, by } => {
                write!(f, "{by} names the stage `{stage}`, which was not added before")
            }
            Self::OtherType { stage, wanted } => write!(f, "stage `{stage}` returns no `{wanted}`"),
        }
    }
}

impl std::error::Error for StageError {}
