//! A graph becomes a run.

use std::sync::Arc;
use std::time::Duration;

use super::command::Done;
use super::live::Live;
use super::spans::Spans;
use super::{Engine, Keeper};
use crate::event::EventKind;
use crate::graph::{Agents, Graph, Parts};
use crate::machine::{self, Action, AgentId, Need, NodeSpec, Past, RunId, TenantId};
use crate::run::{Address, Run};
use crate::task::Task;

impl Engine {
    /// Takes over what the graph has made: what is still to be found is whose each task is, and what was done of it.
    pub(super) fn start(
        &mut self,
        id: RunId,
        graph: Graph,
        mut keeper: Option<Box<Keeper>>,
        (done, within, name): (Done, Option<RunId>, Option<Arc<str>>),
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        self.forget_unused();
        let Parts {
            places,
            tasks,
            mut run,
            agents: names,
            fail_fast,
            timeout,
            budget,
            tenant,
            cycles,
            work,
            past,
            plans,
            trace_parent,
            span,
            ..
        } = graph.parts;
        self.metrics.cycles.inc_by(cycles);
        let of_parent = within.and_then(|parent| self.runs.get(parent)).map(|live| live.tenant);
        let tenant =
            of_parent.unwrap_or_else(|| self.agents.tenant(tenant.as_ref(), &mut self.machine));
        run.set(fail_fast, budget);
        run.within(within);
        let name = name.or(keeper.as_ref().map(|keeper| Arc::clone(&keeper.name)));
        let link = Arc::clone(&self.link);
        let handle = Run::new(Address { id, link, name, trace_parent });
        let count = tasks.len();
        let mut live = Live::new(handle, tenant, (places, tasks), done, work, now);
        live.spans = Spans::of(span);
        live.plans = plans;
        let mut over = Vec::new();
        let restored = keeper.as_mut().map(|keeper| std::mem::take(&mut keeper.restored));
        for (node, restored) in restored.unwrap_or(past) {
            if let Some(past) = restored.past {
                run.restore(node, past);
            }
            over.extend(restored.outcome.is_some().then_some(node));
            live.restore(node, restored, &mut self.durations, &mut self.waste);
        }
        self.assign(&mut live, &mut run, &names);
        self.told.tell(now, || EventKind::RunStarted { run: id.0, tasks: count });
        self.open += count - over.len();
        let shown = if self.told.is_read() { over } else { Vec::new() };
        for node in shown {
            if let Some((task, attempts, outcome)) = live.ended(node) {
                self.told.tell(now, || EventKind::TaskRestored {
                    run: id.0,
                    task,
                    attempts,
                    outcome,
                });
            }
        }
        if let Some(mut keeper) = keeper {
            for (agent, failures, ago) in std::mem::take(&mut keeper.ill) {
                self.agents.restore(&agent, failures, ago, &mut self.machine, now);
            }
            for (agent, ago) in std::mem::take(&mut keeper.starts) {
                self.agents.restore_start(&agent, ago, &mut self.machine, now);
            }
            self.machine.spend(tenant, keeper.unpaid);
            self.kept.add(id);
            live.keeper = Some(keeper);
        }
        self.runs.insert(id, live);
        self.machine.submit(id, run, timeout, now, actions);
    }

    /// Says of each task whose it is, and how long it will probably take if nobody has said so.
    fn assign(&mut self, live: &mut Live, run: &mut machine::Run, names: &Agents) {
        let Self { agents, machine, durations, .. } = self;
        let tenant = live.tenant;
        let mut owner = |name| {
            let agent = agents.id_of(name, machine);
            // Most tasks take nothing but a slot of their agent.
            (agent, agents.class(None, agent, tenant, machine))
        };
        let nobody = owner(None);
        let named: Vec<_> = names.names().iter().map(|name| owner(Some(name))).collect();
        for (node, entry) in (0..).zip(live.tasks.iter_mut()) {
            let (agent, mut class) = names.of(node).map_or(nobody, |number| named[number]);
            entry.agent = agent;
            let extras = entry.extras.as_deref();
            if extras.is_some() {
                class = agents.class(extras, agent, tenant, machine);
                let choices = agents.choices(extras, tenant, machine);
                if !choices.is_empty() {
                    run.set_choices(node, choices);
                }
            }
            run.assign(node, class, || durations.guess(entry.kind()));
        }
    }

    /// Forgets the names that nobody uses, once they are many.
    pub(super) fn forget_unused(&mut self) {
        let Self { agents, machine, runs, metrics, .. } = self;
        let tenants = runs.iter().map(|(_, live)| live.tenant);
        agents.forget_unused(machine, tenants, |name| metrics.forget_agent(name));
    }

    /// What the machine is told of a task that comes into a live run.
    pub(super) fn spec(
        &mut self,
        task: &Task,
        needs: Box<[Need]>,
        (agent, tenant): (AgentId, TenantId),
        past: Option<Past>,
    ) -> NodeSpec {
        let extras = task.extras.as_deref();
        let class = self.agents.class(extras, agent, tenant, &mut self.machine);
        let kind = extras.and_then(|extras| extras.kind.as_deref());
        let planned = task.planned();
        NodeSpec {
            needs,
            class,
            priority: planned.priority,
            estimate: planned.estimate.unwrap_or_else(|| self.durations.guess(kind)),
            complexity: planned.complexity,
            cost: planned.cost,
            policy: planned.policy,
            past,
        }
    }
}
