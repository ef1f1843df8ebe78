//! Routers: the request says which pipeline answers it.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "http")]
use super::chooser::Chooser;
use super::{Answer, Meter, NoAnswer, Pipeline, Statistics};
use crate::orchestrator::Orchestrator;

type Rule<Q> = Box<dyn Fn(&Q) -> bool + Send + Sync>;

/// Pipelines, and what chooses among them: a model if there is one, else the first rule that fits, else the default.
///
/// # Examples
/// ```
/// use tidegate_workflow::Orchestrator;
/// use tidegate_workflow::pipeline::{By, Draft, Router, StageError};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let saying = |name: &'static str| {
///     let mut draft = Draft::<str>::new(name);
///     let says = draft.stage("says").run(move |_, ()| async move { Ok(name) })?;
///     draft.answer(&says)
/// };
/// let (code, general) = (saying("code")?, saying("general")?);
/// let router = Router::new(&general).when(|question| question.contains("::"), &code);
///
/// let orchestrator = Orchestrator::builder().build()?;
/// let (route, answer) = router.ask(&orchestrator, "What is std::mem::take?").await;
/// assert_eq!((route.by, *answer?.value), (By::Rule(0), "code"));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }
/// ```
pub struct Router<Q: ?Sized, A> {
    default: Pipeline<Q, A>,
    rules: Vec<(Rule<Q>, Pipeline<Q, A>)>,
    others: Vec<Pipeline<Q, A>>,
    #[cfg(feature = "http")]
    chooser: Option<Chooser<Q>>,
    meter: Meter,
}

impl<Q: ?Sized, A> fmt::Debug for Router<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.pipelines().iter().map(|pipeline| pipeline.name()).collect();
        f.debug_struct("Router").field("pipelines", &names).finish_non_exhaustive()
    }
}

/// Which pipeline, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The pipeline's name.
    pub pipeline: Arc<str>,
    /// What chose it.
    pub by: By,
    /// Why the model did not choose, if it was to.
    pub no_choice: Option<String>,
}

/// What chose a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The model.
    Model,
    /// The rule of this number, counted from 0 in the order in which rules were added.
    Rule(usize),
    /// No rule fits.
    Default,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pipeline `{}`, ", self.pipeline)?;
        match self.by {
            By::Model => f.write_str("chosen by the model")?,
            By::Rule(at) => write!(f, "by rule {}", at + 1)?,
            By::Default => f.write_str("because no rule fits")?,
        }
        self.no_choice.iter().try_for_each(|why| write!(f, " (no choice by the model: {why})"))
    }
}

impl<Q: ?Sized, A> Router<Q, A> {
    /// Everything goes to this pipeline, until there are rules or a model.
    pub fn new(default: &Pipeline<Q, A>) -> Self {
        Self {
            default: default.clone(),
            rules: Vec::new(),
            others: Vec::new(),
            #[cfg(feature = "http")]
            chooser: None,
            meter: Meter::new(),
        }
    }

    /// Requests that this rule fits, and none before it, go to this pipeline.
    #[must_use]
    pub fn when(
        mut self,
        rule: impl Fn(&Q) -> bool + Send + Sync + 'static,
        pipeline: &Pipeline<Q, A>,
    ) -> Self {
        self.rules.push((Box::new(rule), pipeline.clone()));
        self
    }

    /// One more pipeline that a model can choose.
    #[must_use]
    pub fn or(mut self, pipeline: &Pipeline<Q, A>) -> Self {
        self.others.push(pipeline.clone());
        self
    }

    /// Lets a model choose, by the pipelines' names and what they are [about](super::Draft::about), among all pipelines of the
    /// router; of several with one name the first counts. `show` turns the request into text.
    ///
    /// An answer that is no choice, or names a pipeline that is not there, is sent back once with what is wrong with it. If
    /// that does not help, if the model cannot be reached or fails, and if there is no choice within `patience`, rules and
    /// default decide. The model is asked as [`ChatClient::agent`](crate::chat::ChatClient::agent), within whose limits its
    /// requests stay.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn model(
        mut self,
        client: crate::chat::ChatClient,
        patience: std::time::Duration,
        show: impl Fn(&Q) -> String + Send + Sync + 'static,
    ) -> Self {
        self.chooser = Some(Chooser { client, patience, show: Box::new(show) });
        self
    }

    /// What came of all requests so far, of all its pipelines.
    pub fn statistics(&self) -> Statistics {
        self.meter.statistics()
    }

    /// The pipelines, the default first; of several with one name the first.
    fn pipelines(&self) -> Vec<&Pipeline<Q, A>> {
        let mut pipelines: Vec<&Pipeline<Q, A>> = Vec::new();
        let rules = self.rules.iter().map(|(_, pipeline)| pipeline);
        for pipeline in std::iter::once(&self.default).chain(rules).chain(&self.others) {
            if !pipelines.iter().any(|known| known.name() == pipeline.name()) {
                pipelines.push(pipeline);
            }
        }
        pipelines
    }

    fn by_rules(&self, request: &Q) -> (By, &Pipeline<Q, A>) {
        let fits = self.rules.iter().position(|(rule, _)| rule(request));
        fits.map_or((By::Default, &self.default), |at| (By::Rule(at), &self.rules[at].1))
    }
}

impl<Q: Send + Sync + ?Sized + 'static, A: Send + Sync + 'static> Router<Q, A> {
    /// Chooses a pipeline, and asks it. The time of the choice counts in the answer's.
    ///
    /// # Errors
    /// The answer's are those of [`Pipeline::ask`]. There is always a route.
    ///
    /// # Cancel safety
    /// Dropping the future cancels what the request has running.
    pub async fn ask(
        &self,
        orchestrator: &Orchestrator,
        request: impl Into<Arc<Q>>,
    ) -> (Route, Result<Answer<A>, NoAnswer>) {
        let (asking, request) = (self.meter.asking(), request.into());
        let (route, pipeline) = self.choose(orchestrator, &request).await;
        let pipeline = pipeline.clone().metered(&self.meter);
        (route, pipeline.ask_counted(asking, orchestrator, request).await)
    }

    /// The pipeline that would be asked.
    ///
    /// # Cancel safety
    /// Dropping the future forgets the choice; the model may have been asked.
    pub async fn route(&self, orchestrator: &Orchestrator, request: &Q) -> Route {
        self.choose(orchestrator, request).await.0
    }

    async fn choose(&self, orchestrator: &Orchestrator, request: &Q) -> (Route, &Pipeline<Q, A>) {
        #[cfg(feature = "http")]
        let no_choice = match self.by_model(orchestrator, request).await {
            Some(Ok(pipeline)) => {
                let name = Arc::clone(&pipeline.plan.name);
                return (Route { pipeline: name, by: By::Model, no_choice: None }, pipeline);
            }
            no_choice => no_choice.and_then(Result::err),
        };
        #[cfg(not(feature = "http"))]
        let (no_choice, _) = (None, orchestrator);
        let (by, pipeline) = self.by_rules(request);
        (Route { pipeline: Arc::clone(&pipeline.plan.name), by, no_choice }, pipeline)
    }

    /// The model's choice, if there are a model and anything to choose; or why there is none.
    #[cfg(feature = "http")]
    async fn by_model(
        &self,
        orchestrator: &Orchestrator,
        request: &Q,
    ) -> Option<Result<&Pipeline<Q, A>, String>> {
        let pipelines = self.pipelines();
        let chooser = self.chooser.as_ref().filter(|_| pipelines.len() > 1)?;
        let list: Vec<(&str, &str)> =
            pipelines.iter().map(|pipeline| (pipeline.name(), pipeline.about())).collect();
        let choice = chooser.choose(orchestrator, request, &list).await;
        Some(choice.map(|at| pipelines[at]))
    }
}
