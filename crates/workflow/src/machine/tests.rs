//! The machine under hand-written and random schedules, in virtual time.

mod budgets;
mod ends;
mod growth;
mod health;
mod limits;
mod many;
mod order;
mod past;
mod rerun;
mod resources;
mod simulation;
mod tenants;
mod times;

use std::time::Duration;

use super::*;
use crate::retry::Retry;

const SECOND: Duration = Duration::from_secs(1);

fn spec(class: ClassId, needs: &[u32]) -> NodeSpec {
    NodeSpec {
        needs: needs.iter().map(|task| Need { task: *task, on: On::Success }).collect(),
        class,
        priority: 0,
        estimate: 1.0,
        complexity: 1.0,
        cost: 0,
        policy: Policy { timeout: None, retry: Retry::NEVER },
        past: None,
    }
}

fn needing(class: ClassId, task: u32, on: On) -> NodeSpec {
    NodeSpec { needs: Box::new([Need { task, on }]), ..spec(class, &[]) }
}

/// One more attempt, a second after the first.
fn twice() -> Retry {
    Retry { attempts: 2, jitter: 0.0, ..Retry::default() }
}

/// What may be tried twice.
fn flaky(needs: &[u32]) -> NodeSpec {
    NodeSpec { policy: Policy { timeout: None, retry: twice() }, ..spec(A, needs) }
}

/// What is stopped after a time.
fn slow(timeout: Duration) -> NodeSpec {
    NodeSpec { policy: Policy { timeout: Some(timeout), retry: Retry::NEVER }, ..spec(A, &[]) }
}

impl Machine {
    /// Adds one task, with what follows.
    fn insert(
        &mut self,
        run: RunId,
        spec: NodeSpec,
        before: &[u32],
        out: &mut Vec<Action>,
    ) -> TaskRef {
        let placed = self.place(run, spec, before).expect("the run is live");
        let task = placed.0;
        self.settle_in(placed, out);
        task
    }
}

/// A machine, and what it wants done.
struct Bench {
    machine: Machine,
    out: Vec<Action>,
    now: Duration,
}

const RUN: RunId = RunId(7);

fn task(node: u32) -> TaskRef {
    TaskRef { run: RUN, node }
}

fn task_of(run: u64, node: u32) -> TaskRef {
    TaskRef { run: RunId(run), node }
}

impl Bench {
    fn new(limit: usize, agent_limits: &[usize]) -> Self {
        let mut machine = Machine::new(limit);
        for limit in agent_limits {
            let agent = machine.add_agent(*limit);
            machine.add_class(TenantId::DEFAULT, agent, Box::default());
        }
        Self { machine, out: Vec::new(), now: Duration::ZERO }
    }

    fn submit(&mut self, specs: Vec<NodeSpec>) {
        self.submit_as(RUN, specs, None);
    }

    fn submit_as(&mut self, id: RunId, specs: Vec<NodeSpec>, budget: Option<u64>) {
        self.submit_run(id, Run::new(false, budget), specs, None);
    }

    fn submit_run(
        &mut self,
        id: RunId,
        mut run: Run,
        specs: Vec<NodeSpec>,
        timeout: Option<Duration>,
    ) {
        specs.into_iter().for_each(|spec| run.push(spec));
        self.machine.submit(id, run, timeout, self.now, &mut self.out);
        self.admit();
    }

    fn insert(&mut self, spec: NodeSpec, before: &[u32]) {
        self.machine.insert(RUN, spec, before, &mut self.out);
        self.admit();
    }

    fn admit(&mut self) {
        self.machine.admit(self.now, &mut self.out);
    }

    fn end(&mut self, node: u32, ended: Attempt) {
        self.end_of(task(node), ended, SECOND);
    }

    fn end_of(&mut self, task: TaskRef, ended: Attempt, took: Duration) {
        self.machine.ended(task, ended, took, self.now, &mut self.out);
        self.admit();
    }

    fn waiting(&mut self, node: u32) -> Waiting {
        let task = task(node);
        self.machine.waiting(task, self.now).expect("its run is live")
    }

    fn ok(&mut self, node: u32) {
        self.end(node, Attempt::Succeeded);
    }

    fn ok_of(&mut self, run: u64, node: u32) {
        self.end_of(task_of(run, node), Attempt::Succeeded, SECOND);
    }

    fn fail(&mut self, node: u32) {
        self.end(node, Attempt::Failed { retryable: true });
    }

    fn at(&mut self, now: Duration) {
        self.now = now;
        self.machine.tick(now, &mut self.out);
        self.admit();
    }

    /// The tasks started since the last look.
    fn started(&mut self) -> Vec<u32> {
        let started = self.out.drain(..).filter_map(|action| match action {
            Action::Start { task, .. } => Some(task.node),
            _ => None,
        });
        started.collect()
    }

    /// Ends the one that runs longest; what starts then runs too.
    fn go_on(&mut self, running: &mut Vec<u32>) {
        self.ok(running.remove(0));
        running.extend(self.started());
    }

    fn ends(&mut self) -> Vec<(u32, End)> {
        let ends = self.out.drain(..).filter_map(|action| match action {
            Action::Settled { task, end } => Some((task.node, end)),
            _ => None,
        });
        ends.collect()
    }
}

const A: ClassId = ClassId(0);
const B: ClassId = ClassId(1);

/// A machine with a resource of ten, and classes of tasks of an agent that take so much of it.
fn wanting(limit: usize, agent_limits: &[usize], classes: &[(u32, u64)]) -> Bench {
    let mut bench = Bench::new(limit, agent_limits);
    let resource = bench.machine.add_resource(10);
    for (agent, amount) in classes {
        let demands = Box::new([Demand { resource, amount: *amount }]);
        bench.machine.add_class(TenantId::DEFAULT, AgentId(*agent), demands);
    }
    bench
}

/// The same with one agent.
fn shared(limit: usize, amounts: &[u64]) -> Bench {
    let classes: Vec<(u32, u64)> = amounts.iter().map(|amount| (0, *amount)).collect();
    wanting(limit, &[99], &classes)
}

/// 0 <- 1 <- 2, and 3 beside them that keeps the run live.
fn chain() -> Bench {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[0]), spec(A, &[1]), spec(A, &[])]);
    bench
}
