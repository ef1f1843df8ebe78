//! What the engine does for runs that have a journal.

use std::time::Duration;

use super::attempt::{Ended, Failure, Job};
use super::keeper::{Held, LATEST};
use super::writer::{Beside, Commit};
use super::{Command, Engine, Waste};
use crate::journal::{self, CommitError};
use crate::machine::{Action, Attempt, End, RunId, TaskRef, Verdict};
use crate::task::TaskError;

/// The runs that have a journal.
#[derive(Default)]
pub(super) struct Kept {
    runs: Vec<RunId>,
    /// When what nobody waits for is to be written.
    due: Option<Duration>,
}

impl Kept {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn add(&mut self, run: RunId) {
        self.runs.push(run);
    }

    pub(super) fn remove(&mut self, run: RunId) {
        self.runs.retain(|of| *of != run);
        if self.runs.is_empty() {
            self.due = None;
        }
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }
}

impl Engine {
    /// Keeps every end that has come before anything follows from it: those of one run by one commit. What has to wait for
    /// the commit is taken out of the list.
    pub(super) fn keep_ends(
        &mut self,
        commands: &mut Vec<Command>,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let mut ends: Vec<(RunId, usize)> = Vec::new();
        for command in commands.iter_mut() {
            if let Command::Ended(ended) = command
                && self.keep_end(ended, now)
            {
                let run = ended.task().run;
                match ends.iter_mut().find(|(of, _)| *of == run) {
                    Some((_, count)) => *count += 1,
                    None => ends.push((run, 1)),
                }
            }
        }
        let beside = match ends.as_slice() {
            [(_, count)] if *count == commands.len() => self.beside(*count),
            _ => Beside::Others,
        };
        for (run, count) in ends {
            let Some(keeper) = self.keeper(run) else { continue };
            match keeper.commit(count, beside) {
                Ok(Commit::Done) => {}
                Err(error) => self.broken(run, error, now, actions),
                Ok(Commit::UnderWay(commit)) => {
                    let of_run = |command: &mut Command| matches!(command, Command::Ended(ended) if ended.task().run == run);
                    for command in commands.extract_if(.., of_run) {
                        if let Command::Ended(ended) = command
                            && let Some(keeper) = self.keeper(run)
                        {
                            keeper.hold(commit, Held::Ended(ended));
                        }
                    }
                }
            }
        }
    }

    /// What runs beside so many attempts.
    fn beside(&self, attempts: usize) -> Beside {
        let (running, _) = self.machine.load();
        if running == attempts { Beside::Nothing } else { Beside::Others }
    }

    /// Writes an end down; whether there was anything to write.
    fn keep_end(&mut self, ended: &mut Ended, now: Duration) -> bool {
        let task = ended.task();
        let Some(live) = self.runs.get_mut(task.run) else { return false };
        let entry = &live.tasks[task.node];
        let (attempt, error) = (entry.attempts, entry.error());
        let took = live.own_time(task.node, ended.took(), now);
        let Some(keeper) = live.keeper.as_mut().filter(|keeper| keeper.broken.is_none()) else {
            return false;
        };
        let Some(verdict) = self.machine.verdict(task, attempt_of(ended)) else { return false };
        let message = |ended: &Ended| match &ended.result {
            Err(Failure::Error { message, .. }) => message.to_string(),
            Err(Failure::Idle) => "made no progress for too long".to_owned(),
            _ => error.clone().unwrap_or_default(),
        };
        let outcome = match verdict {
            Verdict::Again { timed_out } => {
                let error = if timed_out { "timed out".to_owned() } else { message(ended) };
                keeper.failed(task.node, attempt, error, took, now);
                return true;
            }
            Verdict::Over(End::Succeeded) => journal::Outcome::Done,
            Verdict::Over(End::Failed) => journal::Outcome::Failed(message(ended)),
            Verdict::Over(End::TimedOut) => journal::Outcome::TimedOut,
            Verdict::Over(End::Declined) => journal::Outcome::Declined,
            // It runs again, here or in another process.
            Verdict::Afresh | Verdict::Over(_) => journal::Outcome::Cancelled,
        };
        let output = std::mem::take(&mut ended.encoded);
        if let Err(large) = keeper.settled(task.node, attempt, outcome, output, took, now) {
            let error = TaskError::fatal(format!("its end cannot be kept: {large}"));
            let output = std::mem::replace(&mut ended.result, Err(Failure::of(error)));
            self.waste.extend(output.ok().flatten().map(Waste::Output));
            let outcome = journal::Outcome::Failed(large.to_string());
            let _ = keeper.settled(task.node, attempt, outcome, Vec::new(), took, now);
        }
        true
    }

    /// What has waited for a commit goes on.
    pub(super) fn committed(
        &mut self,
        run: RunId,
        commit: u64,
        result: Result<(), CommitError>,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        if let Err(error) = result {
            self.broken(run, error, now, actions);
        }
        while let Some(held) = self.keeper(run).and_then(|keeper| keeper.released(commit)) {
            let broken = self.keeper(run).and_then(|keeper| keeper.broken.clone());
            match held {
                Held::Ended(ended) => {
                    self.ended(ended, now, actions);
                    self.perform_all(actions, now);
                }
                // Of a run whose store has failed it is stopped already, and begins nothing.
                Held::Job(job) => self.jobs.push(job),
                Held::Reply(reply) => reply(broken),
            }
        }
    }

    /// An attempt that must not start before its start is kept; gives it back if it may.
    pub(super) fn keep_start(&mut self, task: TaskRef, job: Job, now: Duration) -> Option<Job> {
        let beside = self.beside(1);
        let Some(live) = self.runs.get_mut(task.run) else { return Some(job) };
        let attempt = live.tasks[task.node].attempts;
        let Some(keeper) = &mut live.keeper else { return Some(job) };
        let once = job.extras.as_ref().is_some_and(|extras| extras.commit_before_start);
        keeper.started(task.node, attempt, once, now);
        if !once {
            return Some(job);
        }
        match keeper.commit(0, beside) {
            Ok(Commit::Done) => return Some(job),
            Ok(Commit::UnderWay(commit)) => keeper.hold(commit, Held::Job(job)),
            Err(error) => {
                keeper.hold(0, Held::Job(job));
                // A turn of its own: this one is in the midst of something.
                let failed = Command::Committed { run: task.run, commit: 0, result: Err(error) };
                let _ = self.link.leave(failed);
            }
        }
        None
    }

    /// Writes down an end that follows from others, for readers of the journal.
    pub(super) fn keep_consequence(&mut self, task: TaskRef, end: End, now: Duration) {
        let Some(live) = self.runs.get_mut(task.run) else { return };
        let why = match end {
            End::Skipped { because } => format!("`{}` did not succeed", live.tasks[because].id),
            End::OverBudget => "the run's budget is spent".to_owned(),
            End::TenantOverBudget => "its tenant's budget is spent".to_owned(),
            _ => return,
        };
        let attempt = live.tasks[task.node].attempts;
        if let Some(keeper) = &mut live.keeper {
            let outcome = journal::Outcome::Skipped(why);
            let _ = keeper.settled(task.node, attempt, outcome, Vec::new(), Duration::ZERO, now);
        }
    }

    /// At the end of a turn: writes what is due, and sees to it that what is left will be.
    pub(super) fn keep_rest(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let is_due = self.kept.due.is_some_and(|due| due <= now);
        let mut rest = false;
        for at in 0..self.kept.runs.len() {
            let Some(run) = self.kept.runs.get(at).copied() else { break };
            let Some(keeper) = self.keeper(run).filter(|keeper| keeper.has_unwritten()) else {
                continue;
            };
            if !is_due {
                rest = true;
            } else if let Err(error) = keeper.flush() {
                self.broken(run, error, now, actions);
            }
        }
        if is_due || !rest {
            self.kept.due = None;
        } else {
            self.kept.due.get_or_insert(now + LATEST);
        }
    }

    /// The store of the run has failed: nothing is kept any more, and therefore nothing goes on.
    fn broken(&mut self, run: RunId, error: CommitError, now: Duration, actions: &mut Vec<Action>) {
        let Some(keeper) = self.keeper(run) else { return };
        if keeper.broken.is_none() {
            keeper.broken = Some(error);
            self.machine.cancel_run(run, actions);
            self.perform_all(actions, now);
        }
    }

    pub(super) fn keeper(&mut self, run: RunId) -> Option<&mut super::keeper::Keeper> {
        self.runs.get_mut(run)?.keeper.as_deref_mut()
    }
}

/// The end as the machine is told of it.
fn attempt_of(ended: &Ended) -> Attempt {
    match &ended.result {
        Ok(_) => Attempt::Succeeded,
        Err(Failure::Declined) => Attempt::Declined,
        Err(Failure::Idle) => Attempt::TimedOut,
        Err(Failure::Error { retryable, .. }) => Attempt::Failed { retryable: *retryable },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_due_once_no_run_has_a_journal() {
        let mut kept = Kept { runs: vec![RunId(1), RunId(2)], due: Some(LATEST) };
        kept.remove(RunId(1));
        assert_eq!(kept.due(), Some(LATEST));
        kept.remove(RunId(2));
        assert_eq!(kept.due(), None);
    }
}
