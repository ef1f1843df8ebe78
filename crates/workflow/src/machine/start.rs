//! A task becomes ready, stands in line, and starts.

use std::time::Duration;

use super::ready::{Key, MOST_DEPENDENTS};
use super::run::State;
use super::timers::Due;
use super::{Action, AgentId, ClassId, Facts, Machine, TaskRef};

/// How much of a task's own length counts when ready tasks are put in order; of what comes after it all counts.
///
/// At 1 the order is by the way from the start of the task (highest level first), at 0 by the way from its end (latest
/// finish first), which is the better rule where several limits hold (Kolisch, 1996), and leaves tasks without dependents in
/// no order. Mean gaps to the optimum on the Standard Task Graph set, with exact and with noisy estimates, and on PSPLIB's
/// j30 and j120: 0.67, 1.49, 5.4 and 10.7 % at 1, 0.69, 1.34, 4.5 and 10.1 % at 0.6, 1.7, 2.1, 4.6 and 10.7 % at 0.
const OWN: f32 = 0.6;

impl Machine {
    /// The task's class is chosen among these whenever it becomes ready. For one that is about to be added, the next number.
    pub(crate) fn set_choices(&mut self, task: TaskRef, classes: Box<[ClassId]>) {
        if let Some(run) = self.runs.get_mut(task.run) {
            run.set_choices(task.node, classes);
        }
    }

    /// The agent that was chosen last for a task that has a choice.
    pub(crate) fn chosen(&self, task: TaskRef) -> Option<AgentId> {
        let run = self.runs.get(task.run)?;
        run.choices(task.node)?;
        Some(self.admission.owners(run.nodes.get(task.node)?.class).0)
    }

    /// Gives a task another priority. One that is ready is put in line anew.
    pub(crate) fn set_priority(&mut self, task: TaskRef, priority: i32, out: &mut Vec<Action>) {
        let Some(run) = self.runs.get_mut(task.run) else { return };
        run.nodes[task.node].priority = priority;
        self.requeue(task, out);
    }

    /// Puts a ready task in line anew, for whom it chooses now if it has a choice.
    pub(super) fn requeue(&mut self, task: TaskRef, out: &mut Vec<Action>) {
        let Some(run) = self.runs.get_mut(task.run) else { return };
        let node = &mut run.nodes[task.node];
        let State::Ready { failed, .. } = node.state else { return };
        let class = node.class;
        node.state = State::Pending { missing: 0 };
        self.admission.left(class, &self.runs);
        self.queue(task, Some(failed));
        if self.runs[task.run].nodes[task.node].class != class {
            out.push(Action::Moved { task });
        }
    }

    /// Tasks that chose an agent which wants nothing any more choose anew.
    pub(super) fn choose_anew(&mut self, out: &mut Vec<Action>) {
        let Some(unwell) = self.admission.take_unwell() else { return };
        let mut tasks: Vec<TaskRef> = Vec::new();
        for (id, run) in self.runs.iter() {
            let chose = run.ready_with_a_choice();
            let is_of = |class| unwell.contains(&self.admission.owners(class).0);
            let of = chose.filter(|(_, class)| is_of(*class));
            tasks.extend(of.map(|(node, _)| TaskRef { run: id, node }));
        }
        tasks.sort_unstable();
        tasks.into_iter().for_each(|task| self.requeue(task, out));
    }

    /// Starts ready tasks while all that they take is free (invariant 2).
    pub(crate) fn admit(&mut self, now: Duration, out: &mut Vec<Action>) {
        self.admission.set_now(now);
        let mut woken = Vec::new();
        loop {
            // An agent whose breaker lets one attempt through wants no other until that has ended.
            self.choose_anew(out);
            let Self { admission, runs, .. } = self;
            let next =
                admission.next(runs, now, |agent, at| woken.push((at, Due::Agent { agent })));
            while let Some((at, due)) = woken.pop() {
                self.set_timer(at, due);
            }
            let Some(task) = next else { break };
            self.start(task, now, out);
        }
    }

    pub(super) fn make_ready(&mut self, task: TaskRef, out: &mut Vec<Action>) {
        self.queue(task, None);
        out.push(Action::Ready { task });
    }

    /// Puts a task in line. `failed` are its attempts so far, if its state does not say.
    pub(super) fn queue(&mut self, task: TaskRef, failed: Option<u32>) {
        let run = self.runs.get_mut(task.run).expect("a ready task's run is live");
        let failed = failed.unwrap_or_else(|| match run.nodes[task.node].state {
            State::Backoff { failed, .. } => failed,
            _ => run.failed_before(task.node),
        });
        let seq = self.next_ready;
        self.next_ready += 1;
        let chosen = run.choices(task.node).and_then(|of| self.admission.least_loaded(of));
        let most = if self.score.is_none() { MOST_DEPENDENTS } else { usize::MAX };
        let dependents = run.dependents(task.node).take(most).count();
        let node = &mut run.nodes[task.node];
        node.state = State::Ready { failed, seq };
        node.class = chosen.unwrap_or(node.class);
        let key = match &mut self.score {
            None => {
                let urgency = node.rank - (1.0 - OWN) * node.estimate;
                Key::new(node.priority, urgency, dependents, seq)
            }
            Some(score) => {
                let facts = Facts {
                    priority: node.priority,
                    rank: node.rank,
                    estimate: node.estimate,
                    complexity: node.complexity,
                    dependents: u32::try_from(dependents).unwrap_or(u32::MAX),
                };
                Key::new(0, score(facts), 0, seq)
            }
        };
        let class = node.class;
        self.admission.push(class, key, task, &self.runs);
    }

    pub(super) fn start(&mut self, task: TaskRef, now: Duration, out: &mut Vec<Action>) {
        let mut run = self.runs.get_mut(task.run).expect("a ready task's run is live");
        let node = &run.nodes[task.node];
        let State::Ready { failed, .. } = node.state else {
            unreachable!("only ready tasks are queued")
        };
        let (class, estimate) = (node.class, node.estimate);
        let cost = u64::from(node.cost);
        if cost > 0 && failed == run.earlier(task.node) {
            let tenant = self.admission.owners(class).1;
            if let Err(end) = self.pay(task, tenant, cost) {
                self.finish(task, end, out);
                self.admission.look_again(class);
                return;
            }
            run = self.runs.get_mut(task.run).expect("paying ends no run");
        }
        let attempt = failed + 1;
        run.nodes[task.node].state = State::Running { attempt, stop: None, parked: false };
        if let Some(timeout) = run.policy_of(task.node).timeout {
            self.set_timeout(now, timeout, Due::Timeout { task, attempt });
        }
        self.admission.take((class, task, attempt), estimate, now);
        self.admission.taken(class, &self.runs);
        out.push(Action::Start { task, attempt });
    }
}
