//! Who may start: limits, rates, breakers and resources, taken all at once or not at all.
//!
//! Tasks of one tenant and agent that take the same resources form a class: either all of its ready tasks may start or none.
//! A class whose first task may not start waits with others that differ from it in amounts alone (its [family]), and when
//! what stands in the way of these changes, the best that fits is looked at again: so a blocked class costs nothing, blocks
//! nobody else (skip-ahead), and is not looked at for what will not let it start.
//!
//! What would starve a large task is bounded: every [`AGEING`]th start is the turn of the task that has been ready the
//! longest. If it lacks room, then what it lacks is kept for it: nothing else takes of it until the task has started. A task
//! with `k` tasks ready before it starts at the latest with the `AGEING × (k + 1)`th start, or when those have ended that
//! hold what it lacks then.

mod blocked;
#[cfg(test)]
pub(super) mod checked;
mod family;
mod kept;
mod line;
mod names;
mod sizes;

use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use super::breaker::{Circuit, Health};
use super::ids::FamilyId;
use super::rate::Rate;
use super::ready::{Key, Ready};
use super::run::{Run, State};
use super::{AgentId, ClassId, ResourceId, Runs, TaskRef, TenantId};
pub(crate) use blocked::Constraint;
use family::{Family, Traits, stir};
use kept::Kept;

/// Every so many starts, the task that has been ready the longest goes first.
///
/// A turn of the oldest is a start out of order, which costs time: over the Standard Task Graph set the mean gap to the
/// optimum is 0.81 % at 16, 0.69 % at 64 and at a million.
pub(super) const AGEING: u32 = 64;

/// So much of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Demand {
    pub(crate) resource: ResourceId,
    pub(crate) amount: u64,
}

/// Tasks that are alike to admission.
#[derive(Debug)]
struct Class {
    tenant: TenantId,
    agent: AgentId,
    family: FamilyId,
    demands: Box<[Demand]>,
    /// Its own line; see [`Admission::common`].
    ready: Ready,
    /// The key under which it stands in its tenant's heap; entries with another are stale.
    announced: Option<Key>,
    /// The key under which it waits in its family, which no task of it is above. It may be announced too, and then waits until
    /// it starts.
    blocked: Option<Key>,
    /// Under which age it stands in its family.
    since: Option<u64>,
}

#[derive(Debug)]
struct Agent {
    limit: usize,
    running: usize,
    rate: Option<Rate>,
    /// Until when it wants nothing.
    paused: Duration,
    circuit: Option<Circuit>,
    /// When rate or breaker are looked at again.
    wake_at: Option<Duration>,
    /// Families with blocked classes.
    waiting: Vec<FamilyId>,
    /// How many tasks are ready.
    ready: usize,
}

#[derive(Debug)]
struct Resource {
    capacity: u64,
    used: u64,
    /// Families with blocked classes.
    waiting: Vec<FamilyId>,
}

impl Resource {
    fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.used)
    }
}

#[derive(Debug)]
struct Tenant {
    weight: f64,
    /// How many slot-seconds it has had, over its weight.
    had: f64,
    ready: usize,
    open: BinaryHeap<(Key, ClassId)>,
}

impl Tenant {
    fn new(weight: f64) -> Self {
        Self { weight, had: 0.0, ready: 0, open: BinaryHeap::new() }
    }
}

/// Everything that decides who may start.
#[derive(Debug)]
pub(super) struct Admission {
    limit: usize,
    running: usize,
    ready: usize,
    agents: Vec<Agent>,
    resources: Vec<Resource>,
    tenants: Vec<Tenant>,
    classes: Vec<Class>,
    families: Vec<Family>,
    by_traits: HashMap<Traits, FamilyId>,
    /// Families of which somebody may fit now.
    stirred: Vec<FamilyId>,
    /// All that are ready, as long as everyone who was first has had all that it takes: mostly nothing stands in anybody's
    /// way, and one line is cheaper than one for each class. Otherwise nobody is in it.
    common: Ready,
    kept: Option<Kept>,
    starts: u32,
    /// The latest time that is known.
    now: Duration,
    /// Agents that have begun to want nothing: by their breaker, by themselves, or by a limit of 0.
    unwell: Vec<AgentId>,
    /// Constraints that held something up, until somebody counts them.
    hits: Vec<(AgentId, Constraint)>,
    /// Numbers that are free again.
    free_agents: Vec<AgentId>,
    free_tenants: Vec<TenantId>,
    free_classes: Vec<ClassId>,
    free_families: Vec<FamilyId>,
    /// What is free of each resource of a family; its memory serves the next.
    free: Vec<u64>,
    /// Every answer is compared with one that looks at all classes.
    #[cfg(test)]
    is_checked: bool,
}

impl Admission {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            running: 0,
            ready: 0,
            agents: Vec::new(),
            resources: Vec::new(),
            tenants: vec![Tenant::new(1.0)],
            classes: Vec::new(),
            families: Vec::new(),
            by_traits: HashMap::new(),
            stirred: Vec::new(),
            common: Ready::default(),
            kept: None,
            starts: 0,
            now: Duration::ZERO,
            unwell: Vec::new(),
            hits: Vec::new(),
            free_agents: Vec::new(),
            free_tenants: Vec::new(),
            free_classes: Vec::new(),
            free_families: Vec::new(),
            free: Vec::new(),
            #[cfg(test)]
            is_checked: false,
        }
    }

    /// A heuristic that knows no time goes by this one.
    pub(super) fn set_now(&mut self, now: Duration) {
        self.now = now;
    }

    /// Who has begun to want nothing since the last time, if anybody has.
    pub(super) fn take_unwell(&mut self) -> Option<Vec<AgentId>> {
        (!self.unwell.is_empty()).then(|| std::mem::take(&mut self.unwell))
    }

    /// Whose constraints held something up since the last time.
    pub(super) fn take_hits(&mut self) -> Vec<(AgentId, Constraint)> {
        std::mem::take(&mut self.hits)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    pub(super) fn ready(&self) -> usize {
        self.ready
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The task to start next, taken out of the ready ones, with all that it takes. `wake` learns when to call [`Self::wake`].
    pub(super) fn next(
        &mut self,
        runs: &Runs<Run>,
        now: Duration,
        mut wake: impl FnMut(AgentId, Duration),
    ) -> Option<TaskRef> {
        if self.ready == 0 || self.limit <= self.running {
            return None;
        }
        if let Some(task) = self.next_common(runs, now) {
            return Some(task);
        }
        let kept = self.next_kept(runs, now, &mut wake);
        let task = kept.or_else(|| {
            let is_turn = self.starts + 1 >= AGEING;
            if !is_turn {
                return None;
            }
            #[cfg(test)]
            let all = self.is_checked.then(|| self.oldest_of_all(runs, now));
            let oldest = self.next_oldest(runs, now);
            #[cfg(test)]
            if let Some(all) = all {
                let kept = self.kept.as_ref().map(|kept| kept.class);
                assert_eq!((oldest, kept), all, "another is the oldest by a look at all classes");
            }
            oldest
        });
        task.or_else(|| {
            #[cfg(test)]
            let best = self.is_checked.then(|| self.best_of_all(runs, now));
            let next = self.next_best(runs, now, &mut wake);
            #[cfg(test)]
            if let Some(best) = best {
                assert_eq!(next, best, "another is next by a look at all classes");
            }
            next
        })
    }

    /// The task starts: takes what its class takes. `estimate` is charged to its tenant until its end is known.
    pub(super) fn take(
        &mut self,
        (class, task, attempt): (ClassId, TaskRef, u32),
        estimate: f32,
        now: Duration,
    ) {
        self.ready -= 1;
        self.running += 1;
        self.starts = (self.starts + 1) % AGEING;
        let class = &self.classes[class.at()];
        let agent = &mut self.agents[class.agent.at()];
        agent.running += 1;
        agent.ready -= 1;
        if let Some(rate) = &mut agent.rate {
            rate.started(now);
        }
        if let Some(circuit) = &mut agent.circuit {
            circuit.started((task, attempt));
            if circuit.is_ill(now) {
                self.unwell.push(class.agent);
            }
        }
        for demand in &class.demands {
            self.resources[demand.resource.at()].used += demand.amount;
        }
        let tenant = &mut self.tenants[class.tenant.at()];
        tenant.ready -= 1;
        tenant.had += f64::from(estimate) / tenant.weight;
    }

    /// The task is out of the ready ones: its state says so already.
    pub(super) fn taken(&mut self, class: ClassId, runs: &Runs<Run>) {
        let is_common = self.common.len() > 0;
        self.line_of(class).left(|task, seq| is_ready(runs, task, seq));
        if !is_common {
            self.look_again(class);
        }
    }

    /// The attempt has ended: tells the breaker.
    pub(super) fn ended(
        &mut self,
        (class, task, attempt): (ClassId, TaskRef, u32),
        health: Health,
        now: Duration,
    ) {
        let agent = self.classes[class.at()].agent;
        let Some(circuit) = &mut self.agents[agent.at()].circuit else { return };
        let was_ill = circuit.is_ill(now);
        circuit.ended((task, attempt), health, now);
        if !was_ill && circuit.is_ill(now) {
            self.unwell.push(agent);
        }
        self.unblock_agent(agent);
    }

    /// The attempt goes on and waits for others: tells the breaker.
    pub(super) fn parked(&mut self, (class, task, attempt): (ClassId, TaskRef, u32)) {
        let agent = self.classes[class.at()].agent;
        if let Some(circuit) = &mut self.agents[agent.at()].circuit {
            circuit.parked((task, attempt));
        }
    }

    /// The attempt gives back what it took, having run for `took`.
    pub(super) fn give_back(&mut self, class: ClassId, (estimate, took): (f32, Duration)) {
        self.running -= 1;
        let state = &self.classes[class.at()];
        let agent = state.agent;
        for at in 0..state.demands.len() {
            let demand = self.classes[class.at()].demands[at];
            self.resources[demand.resource.at()].used -= demand.amount;
            self.unblock_resource(demand.resource);
        }
        self.agents[agent.at()].running -= 1;
        self.unblock_agent(agent);
        self.charge(class, (estimate, took));
    }

    /// Charges the tenant for what its task took, of which so much was charged before.
    pub(super) fn charge(&mut self, class: ClassId, (estimate, took): (f32, Duration)) {
        let tenant = &mut self.tenants[self.classes[class.at()].tenant.at()];
        tenant.had += (took.as_secs_f64() - f64::from(estimate)) / tenant.weight;
    }
}

fn is_ready(runs: &Runs<Run>, task: TaskRef, of: u64) -> bool {
    let node = runs.get(task.run).and_then(|run| run.nodes.get(task.node));
    node.is_some_and(|node| matches!(node.state, State::Ready { seq, .. } if seq == of))
}

/// One more class, or part of an index of classes, is looked at: what tests count, since it is what takes the time.
#[inline]
fn look() {
    #[cfg(test)]
    checked::LOOKS.set(checked::LOOKS.get() + 1);
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 agents, resources, tenants and classes")
}
