//! Does what the machine says.

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::command::{Command, Done, FirstFailure, Waste};
use super::live::Live;
use crate::event::EventKind;
use crate::machine::{Action, RunId, TaskRef};
use crate::run::Stopped;

impl Engine {
    pub(super) fn perform_all(&mut self, actions: &mut Vec<Action>, now: Duration) {
        for action in &*actions {
            self.perform(*action, now);
        }
        actions.clear();
    }

    fn perform(&mut self, action: Action, now: Duration) {
        match action {
            Action::Began { run } => {
                let Some(live) = self.runs.get_mut(run) else { return };
                for node in self.machine.ready_roots(run) {
                    let task = TaskRef { run, node };
                    live.is_ready(task, self.machine.chosen(task), &mut self.told, now);
                }
            }
            Action::Ready { task } => {
                let Some(live) = self.runs.get_mut(task.run) else { return };
                live.is_ready(task, self.machine.chosen(task), &mut self.told, now);
            }
            Action::Moved { task } => {
                let chosen = self.machine.chosen(task);
                if let (Some(live), Some(agent)) = (self.runs.get_mut(task.run), chosen) {
                    live.tasks[task.node].agent = agent;
                }
            }
            Action::Start { task, attempt } => self.start_attempt(task, attempt, now),
            Action::Stop { task } => {
                let live = self.runs.get(task.run);
                if let Some(context) = live.and_then(|live| live.tasks[task.node].running.as_ref())
                {
                    context.0.stop();
                }
            }
            Action::Retry { task, timed_out, at, .. } => {
                self.metrics.retries.inc();
                let Some(live) = self.runs.get_mut(task.run) else { return };
                let entry = &mut live.tasks[task.node];
                let error = entry.take_error().filter(|_| !timed_out);
                let error = error.unwrap_or_else(|| "timed out".to_owned());
                let delay = at.saturating_sub(now);
                self.told.tell(now, || EventKind::TaskRetrying {
                    run: task.run.0,
                    task: Arc::clone(&entry.id),
                    attempt: entry.attempts,
                    error,
                    delay,
                });
            }
            Action::Again { task, attempts } => {
                let Some(live) = self.runs.get_mut(task.run) else { return };
                self.open += usize::from(live.again(task.node, attempts, &mut self.waste));
                let id = &live.tasks[task.node].id;
                let run = task.run.0;
                self.told.tell(now, || EventKind::TaskAgain { run, task: Arc::clone(id) });
            }
            Action::Settled { task, end } => {
                if !self.kept.is_empty() {
                    self.keep_consequence(task, end, now);
                }
                let Some(live) = self.runs.get_mut(task.run) else { return };
                self.open -= 1;
                let (entry, outcome) = live.settled(task.node, end, now, &mut self.waste);
                self.metrics.ended(&entry.id, outcome);
                self.told.tell(now, || EventKind::TaskEnded {
                    run: task.run.0,
                    task: Arc::clone(&entry.id),
                    attempts: entry.attempts,
                    outcome: outcome.clone(),
                });
            }
            Action::RunDone { run } => self.run_done(run, now),
        }
    }

    fn start_attempt(&mut self, task: TaskRef, attempt: u32, now: Duration) {
        let Some(live) = self.runs.get_mut(task.run) else { return };
        let agent = live.tasks[task.node].agent;
        let waits = self.agents.waits(agent);
        let name = self.agents.name(agent);
        let needs = self.machine.needs(task);
        let job = live.attempt_started(task, attempt, name, needs, waits, now);
        self.agents.started(agent, self.machine.use_of(agent).0);
        self.agents.touch(agent);
        self.told.tell(now, || EventKind::TaskStarted {
            run: task.run.0,
            task: Arc::clone(&live.tasks[task.node].id),
            attempt: live.tasks[task.node].attempts,
            agent: Arc::clone(self.agents.name(agent)),
        });
        if self.kept.is_empty() {
            self.jobs.push(job);
        } else {
            let job = self.keep_start(task, job, now);
            self.jobs.extend(job);
        }
    }

    fn run_done(&mut self, run: RunId, now: Duration) {
        let (Some(live), Some(graph)) = (self.runs.remove(run), self.machine.take_over(run)) else {
            return;
        };
        self.told.tell(now, || EventKind::RunEnded { run: run.0 });
        // Whoever hears that the run is over has been told all of it.
        self.told.flush();
        if live.keeper.is_some() {
            self.kept.remove(run);
            return self.close(live, graph, now);
        }
        let (finished, done) = live.finish(graph, &self.agents, &mut self.waste, now);
        match done {
            // The owner may have gone.
            Done::Owner(owner) => {
                let refused = owner.send(Ok(finished)).err().and_then(Result::ok);
                self.waste.extend(refused.map(|it| Waste::Finished(Box::new(it))));
            }
            Done::Service => {
                if let Some((task, outcome)) = finished.first_failure() {
                    let first = FirstFailure { task, outcome };
                    let is_first =
                        self.shared.failure.lock().get_or_insert_with(|| first.clone()) == &first;
                    if self.fail_fast && is_first {
                        let _ = self.link.send(Command::CancelAll);
                    }
                }
                self.waste.push(Waste::Finished(Box::new(finished)));
            }
        }
        // Before anybody learns that the run is over, so that the figures agree with it.
        self.publish_load();
        self.shared.live.send_modify(|live| *live = live.saturating_sub(1));
    }

    /// Tells the owner of a run with a journal when all of that is kept and the journal is free for others.
    fn close(&mut self, mut live: Live, graph: crate::machine::Run, now: Duration) {
        let Some(keeper) = live.keeper.take() else { return };
        let broken = keeper.broken.clone();
        let cancelled = graph.is_cancelled();
        let (finished, done) = live.finish(graph, &self.agents, &mut self.waste, now);
        self.publish_load();
        let shared = Arc::clone(&self.shared);
        let waste = keeper.close(
            cancelled,
            now,
            Box::new(move |stored| {
                let result = match broken.map_or(stored, Err) {
                    Ok(()) => Ok(finished),
                    Err(error) => Err(Stopped::Journal(error)),
                };
                let refused = match done {
                    Done::Owner(owner) => owner.send(result).err(),
                    Done::Service => Some(result),
                };
                shared.live.send_modify(|live| *live = live.saturating_sub(1));
                refused.and_then(Result::ok).map(|it| Waste::Finished(Box::new(it)))
            }),
        );
        self.waste.extend(waste);
    }
}
