//! Running tasks again: of a live run, and of one that is over.

use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::engine::{Command, Restored, connect, grow_again};
use crate::event::Outcome;
use crate::graph::Graph;
use crate::machine::{End, Past};
use crate::run::{Finished, Run, Stopped};

/// How far it reaches that a task runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The task alone. Tasks that have used its output keep what they made of it; one that had been skipped because of the
    /// task gets another chance.
    Task,
    /// Everything that needs it, too, directly or through others.
    Downstream,
}

impl<K> Graph<K> {
    /// Keeps the work of tasks that are over until the run is, so that [`Run::rerun`] can run them again. Without it what a
    /// task has captured is dropped at its end.
    pub fn keep_work(mut self) -> Self {
        self.parts.work = true;
        self
    }
}

impl<K> Graph<K> {
    /// The run of this graph goes on from one that is over, in which these tasks run again: what else is over there is not
    /// run, and its output is there. What was skipped or cancelled there, and what is only in this graph, is run.
    ///
    /// Attempts are numbered on. Of tasks that were submitted into the live run nothing is taken over: they come back when the
    /// task that submits them runs again. What a planner has put into it is there again, unless the task that did so is to run
    /// again: then the planner is asked anew. Runs with a journal are gone on with by
    /// [`History::again`](crate::journal::History::again).
    ///
    /// # Errors
    /// When a task of these is not in the graph, or what a planner had put in cannot be put into this one.
    ///
    /// # Examples
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use tidegate_workflow::{AddError, Graph, Orchestrator, Reach};
    ///
    /// static WEATHER: AtomicU32 = AtomicU32::new(20);
    /// fn graph() -> Result<Graph, AddError> {
    ///     let mut graph = Graph::new();
    ///     let weather = graph.task("weather").run(async |()| Ok(WEATHER.load(Ordering::Relaxed)))?;
    ///     graph.task("advice").after(&weather).run(async |degrees| Ok(format!("{degrees} degrees: go out")))?;
    ///     Ok(graph)
    /// }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let orchestrator = Orchestrator::builder().build()?;
    /// let first = orchestrator.run(graph()?).await?;
    ///
    /// WEATHER.store(30, Ordering::Relaxed);
    /// let second = orchestrator.run(graph()?.rerun(&first, &["weather"], Reach::Task)?).await?;
    /// assert_eq!(*second.output::<u32>("weather")?, 30);
    /// assert_eq!(*second.output::<String>("advice")?, "20 degrees: go out", "it was not asked again");
    ///
    /// let third = orchestrator.run(graph()?.rerun(&second, &["weather"], Reach::Downstream)?).await?;
    /// assert_eq!(*third.output::<String>("advice")?, "30 degrees: go out");
    /// # Ok(()) }
    /// ```
    pub fn rerun(
        self,
        finished: &Finished,
        tasks: &[&str],
        reach: Reach,
    ) -> Result<Graph, RerunError> {
        let mut graph = self.erase();
        for (by, plan) in &finished.plans {
            let again = tasks.iter().filter_map(|id| graph.place_of(id)).collect();
            let again = graph.reached(again, reach);
            if graph.place_of(by).is_some_and(|place| !again[place as usize]) {
                let arrows = grow_again(&mut graph, by, plan)
                    .map_err(|error| RerunError::Plan { task: by.to_string(), error })?;
                connect(&mut graph, &arrows);
            }
        }
        let unknown = |id: &&str| RerunError::Unknown { id: (*id).to_owned() };
        let places = tasks.iter().map(|id| graph.place_of(id).ok_or_else(|| unknown(id)));
        let again: Vec<u32> = places.collect::<Result<_, _>>()?;
        let again = graph.reached(again, reach);
        graph.parts.past.clear();
        for (at, task) in (0..).zip(&finished.report().tasks) {
            let Some(place) = graph.place_of(&task.id) else { continue };
            let end = match &task.outcome {
                Outcome::Succeeded => Some(End::Succeeded),
                Outcome::Failed { .. } => Some(End::Failed),
                Outcome::TimedOut => Some(End::TimedOut),
                Outcome::Declined => Some(End::Declined),
                Outcome::Unknown => Some(End::Unknown),
                Outcome::Skipped { .. } | Outcome::Cancelled => None,
            };
            let end = end.filter(|_| !again[place as usize]);
            let base = if end.is_some() { 0 } else { task.attempts };
            graph.parts.past.push((
                place,
                Restored {
                    past: end.map(Past::Over),
                    outcome: end.map(|_| task.outcome.clone()),
                    output: end.and_then(|_| finished.output_at(at)),
                    attempts: task.attempts,
                    took: task.busy,
                    base: (base, 0),
                },
            ));
        }
        graph.parts.past.sort_unstable_by_key(|(place, _)| *place);
        Ok(graph)
    }

    /// Of each place whether it is one of these or is reached from them.
    fn reached(&self, mut open: Vec<u32>, reach: Reach) -> Vec<bool> {
        let mut seen = vec![false; self.parts.tasks.len()];
        if reach == Reach::Task {
            open.into_iter().for_each(|at| seen[at as usize] = true);
            return seen;
        }
        let mut dependents = vec![Vec::new(); self.parts.tasks.len()];
        for at in (0_u32..).take(self.parts.tasks.len()) {
            for need in self.parts.run.needs(at) {
                dependents[need.task as usize].push(at);
            }
        }
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut seen[at as usize], true) {
                open.extend(&dependents[at as usize]);
            }
        }
        seen
    }
}

impl Run {
    /// Runs a task again, or it with everything downstream, whatever they are at; answers with those that had begun or were
    /// over, each before what needs it.
    ///
    /// A task that runs is asked to stop, and what it returns is not used. Who needs a task of these and has not started
    /// waits for its new end; who has started goes on with what it had, but a further attempt of it waits too. Attempts are
    /// numbered on, the retry policy begins anew, what it costs is paid again, and
    /// [`EventKind::TaskAgain`](crate::EventKind::TaskAgain) is told. In a run with a journal this returns once it is kept.
    ///
    /// A task that submits others finds them there when it runs again.
    ///
    /// # Errors
    /// When the run is over or cancelled, was not told to [keep work](Graph::keep_work), or has no such task; nothing has
    /// changed then.
    ///
    /// # Cancel safety
    /// If the future is dropped, they may run again or not.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::{Graph, Orchestrator, Reach};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut graph = Graph::new();
    /// let draft = graph.task("draft").run_with(async |cx, ()| Ok(cx.attempt()))?;
    /// let text = graph.task("text").after(&draft).run(async |draft| Ok(format!("draft {draft}")))?;
    /// // It looks at what has been written, and wants another one.
    /// graph.task("review").after(&text).run_with(async |cx, text| {
    ///     if *text == "draft 1" {
    ///         cx.run().rerun("draft", Reach::Downstream).await?; // this task among it
    ///     }
    ///     Ok(())
    /// })?;
    /// let finished = Orchestrator::builder().build()?.run(graph.keep_work()).await?;
    /// assert_eq!(*finished.get(&text)?, "draft 2");
    /// # Ok(()) }
    /// ```
    pub async fn rerun(&self, id: &str, reach: Reach) -> Result<Vec<Arc<str>>, RerunError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Rerun { run: self.of.id, task: Arc::from(id), reach, reply };
        self.ask(command, answer).await
    }
}

/// Why nothing runs again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RerunError {
    /// The run is over or cancelled.
    Over,
    /// The run was stopped meanwhile.
    Stopped(Stopped),
    /// The run does not keep the work of tasks that are over.
    NotKept,
    /// There is no such task.
    Unknown {
        /// The id.
        id: String,
    },
    /// What a planner had put into the run cannot be put into this graph.
    Plan {
        /// Which task had put it in.
        task: String,
        /// Why.
        error: String,
    },
}

impl fmt::Display for RerunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over => f.write_str("the run is over"),
            Self::Stopped(why) => why.fmt(f),
            Self::NotKept => f.write_str(
                "the run drops the work of tasks that are over: start it with `Graph::keep_work`",
            ),
            Self::Unknown { id } => write!(f, "there is no task `{id}`"),
            Self::Plan { task, error } => {
                write!(f, "what task `{task}` had put into the run does not fit: {error}")
            }
        }
    }
}

impl std::error::Error for RerunError {}

impl From<Stopped> for RerunError {
    fn from(why: Stopped) -> Self {
        Self::Stopped(why)
    }
}
