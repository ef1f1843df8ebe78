//! Who may start: limits, rates, breakers and resources, taken all at once or not at all.
//!
//! Tasks of one tenant and agent that take the same resources form a class: either all of its ready tasks may start or none.
//! A class whose first task may not start waits with what stands in its way, and is looked at again when that changes, so
//! that a blocked class costs nothing and blocks nobody else (skip-ahead).
//!
//! What would starve a large task is bounded: every [`AGEING`]th start is the turn of the task that has been ready the
//! longest. If it lacks room, then what it lacks is kept for it: nothing else takes of it until the task has started. A task
//! with `k` tasks ready before it starts at the latest with the `AGEING × (k + 1)`th start, or when those have ended that
//! hold what it lacks then.

use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::time::Duration;

use super::breaker::{Breaker, Circuit, Health};
use super::rate::Rate;
use super::ready::{Key, Ready};
use super::run::{Run, State};
use super::{AgentId, ClassId, ResourceId, Runs, TaskRef, TenantId, Waiting};

/// Every so many starts, the task that has been ready the longest goes first.
///
/// A turn of the oldest is a start out of order, which costs time: over the Standard Task Graph set the mean gap to the
/// optimum is 0.81 % at 16, 0.69 % at 64 and at a million.
pub(super) const AGEING: u32 = 64;

/// How many constraints that were hit are kept until somebody counts them.
const HITS: usize = 1 << 16;

/// More than this stand in line at once.
const NEWCOMERS: usize = 64;

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
    demands: Box<[Demand]>,
    ready: Ready,
    /// The key under which it stands in its tenant's heap; entries with another are stale.
    announced: Option<Key>,
    blocked: bool,
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
    blocked: Vec<ClassId>,
}

#[derive(Debug)]
struct Resource {
    capacity: u64,
    used: u64,
    blocked: Vec<ClassId>,
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

/// What stands in the way of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Blocker {
    Slots,
    Resource(ResourceId),
    /// Nothing but time, or the end of a probe.
    Rate(Duration),
    Circuit(Duration),
}

/// What of an agent held up a task that was ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Constraint {
    Concurrency,
    Requests,
    Breaker,
    Resource,
}

/// What is kept for a task that was ready long before others and does not fit.
#[derive(Debug)]
struct Kept {
    class: ClassId,
    slots: bool,
    resources: Vec<ResourceId>,
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
    /// All that are ready, the best last, as long as they are few and the room has sufficed for all before them: mostly they
    /// start at once, and never stand in a line.
    newcomers: Vec<(Key, ClassId, TaskRef)>,
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
            newcomers: Vec::new(),
            kept: None,
            starts: 0,
            now: Duration::ZERO,
            unwell: Vec::new(),
            hits: Vec::new(),
            free_agents: Vec::new(),
            free_tenants: Vec::new(),
            free_classes: Vec::new(),
        }
    }

    pub(super) fn add_agent(&mut self, limit: usize) -> AgentId {
        let agent = Agent {
            limit,
            running: 0,
            rate: None,
            paused: Duration::ZERO,
            circuit: None,
            wake_at: None,
            blocked: Vec::new(),
        };
        match self.free_agents.pop() {
            Some(id) => {
                self.agents[id.at()] = agent;
                id
            }
            None => {
                self.agents.push(agent);
                AgentId(number(self.agents.len() - 1))
            }
        }
    }

    /// Gives an agent's number free. No class is of it any more.
    pub(super) fn forget_agent(&mut self, agent: AgentId) {
        self.free_agents.push(agent);
    }

    /// Gives a tenant's number free. No class is of it any more.
    pub(super) fn forget_tenant(&mut self, tenant: TenantId) {
        self.free_tenants.push(tenant);
    }

    /// Gives a class's number free. No task is of it any more. Where it still stands in a list it is passed over, or looked at
    /// once more for nothing.
    pub(super) fn forget_class(&mut self, class: ClassId) {
        if self.kept.as_ref().is_some_and(|kept| kept.class == class) {
            self.let_go(class);
        }
        self.free_classes.push(class);
    }

    /// The agents and tenant that a class is of.
    pub(super) fn owners(&self, class: ClassId) -> (AgentId, TenantId) {
        let class = &self.classes[class.at()];
        (class.agent, class.tenant)
    }

    /// A heuristic that knows no time goes by this one.
    pub(super) fn set_now(&mut self, now: Duration) {
        self.now = now;
    }

    /// Who has begun to want nothing since the last time, if anybody has.
    pub(super) fn take_unwell(&mut self) -> Option<Vec<AgentId>> {
        (!self.unwell.is_empty()).then(|| std::mem::take(&mut self.unwell))
    }

    /// Of these classes, one whose agent is healthy, takes requests, and has the least to do for what it may.
    pub(super) fn least_loaded(&self, classes: &[ClassId]) -> Option<ClassId> {
        let load = |class: &&ClassId| {
            let id = self.classes[class.at()].agent;
            let agent = &self.agents[id.at()];
            let ill = agent.limit == 0
                || agent.circuit.as_ref().is_some_and(|circuit| !circuit.is_closed())
                || self.now < agent.paused
                || agent.rate.as_ref().is_some_and(|rate| rate.is_spent(self.now));
            let busy = (agent.running + self.waiting_of(id) + 1) as f64;
            (ill, busy / agent.limit as f64)
        };
        let loads = classes.iter().map(|class| (load(&class), *class));
        let least = loads.min_by(|((ill, load), _), ((other_ill, other), _)| {
            ill.cmp(other_ill).then(load.total_cmp(other))
        });
        least.map(|(_, class)| class)
    }

    /// Whose constraints held something up since the last time.
    pub(super) fn take_hits(&mut self) -> std::vec::Drain<'_, (AgentId, Constraint)> {
        self.hits.drain(..)
    }

    pub(super) fn add_resource(&mut self, capacity: u64) -> ResourceId {
        self.resources.push(Resource { capacity, used: 0, blocked: Vec::new() });
        ResourceId(number(self.resources.len() - 1))
    }

    pub(super) fn add_tenant(&mut self, weight: f64) -> TenantId {
        match self.free_tenants.pop() {
            // What the last one had is remembered by nobody.
            Some(id) => {
                self.tenants[id.at()] = Tenant::new(weight);
                id
            }
            None => {
                self.tenants.push(Tenant::new(weight));
                TenantId(number(self.tenants.len() - 1))
            }
        }
    }

    /// Adds a class; the caller knows that there is none like it.
    pub(super) fn add_class(
        &mut self,
        tenant: TenantId,
        agent: AgentId,
        demands: Box<[Demand]>,
    ) -> ClassId {
        let (ready, announced) = (Ready::default(), None);
        let class = Class { tenant, agent, demands, ready, announced, blocked: false };
        match self.free_classes.pop() {
            Some(id) => {
                self.classes[id.at()] = class;
                id
            }
            None => {
                self.classes.push(class);
                ClassId(number(self.classes.len() - 1))
            }
        }
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

    pub(super) fn waiting_of(&self, agent: AgentId) -> usize {
        let classes = self.classes.iter().filter(|class| class.agent == agent);
        classes.map(|class| class.ready.len()).sum()
    }

    /// How many of the agent run, and how many may.
    pub(super) fn use_of(&self, agent: AgentId) -> (usize, usize) {
        let agent = &self.agents[agent.at()];
        (agent.running, agent.limit)
    }

    pub(super) fn set_agent_limit(&mut self, agent: AgentId, limit: usize) {
        self.agents[agent.at()].limit = limit;
        if limit == 0 {
            self.unwell.push(agent);
        }
        self.unblock_agent(agent);
    }

    pub(super) fn set_rate(&mut self, agent: AgentId, per_minute: Option<usize>) {
        let state = &mut self.agents[agent.at()];
        match (&mut state.rate, per_minute) {
            // What has started stays in the window.
            (Some(rate), Some(per_minute)) => rate.set(per_minute),
            (rate, per_minute) => *rate = per_minute.map(Rate::new),
        }
        self.unblock_agent(agent);
    }

    /// The agent wants nothing before this time. A later time that it told earlier stays.
    pub(super) fn pause(&mut self, agent: AgentId, until: Duration) {
        let paused = &mut self.agents[agent.at()].paused;
        if *paused <= self.now && self.now < until {
            self.unwell.push(agent);
        }
        *paused = until.max(*paused);
    }

    /// The agent is asked again, whatever it told earlier.
    pub(super) fn resume(&mut self, agent: AgentId) {
        self.agents[agent.at()].paused = Duration::ZERO;
        self.unblock_agent(agent);
    }

    /// Whether something is known of the agent that will be forgotten by itself: starts within its rate, a pause, failures.
    pub(super) fn is_marked(&self, agent: AgentId) -> bool {
        let agent = &self.agents[agent.at()];
        self.now < agent.paused
            || agent.rate.as_ref().is_some_and(|rate| rate.has_started(self.now))
            || agent.circuit.as_ref().is_some_and(|circuit| !circuit.is_closed())
    }

    pub(super) fn set_breaker(&mut self, agent: AgentId, breaker: Option<Breaker>) {
        self.agents[agent.at()].circuit = breaker.map(Circuit::new);
        self.unblock_agent(agent);
    }

    pub(super) fn restore_breaker(
        &mut self,
        agent: AgentId,
        failures: u32,
        ago: Duration,
        now: Duration,
    ) {
        if let Some(circuit) = &mut self.agents[agent.at()].circuit {
            circuit.restore(failures, ago, now);
        }
    }

    pub(super) fn restore_start(&mut self, agent: AgentId, ago: Duration, now: Duration) {
        if let Some(rate) = &mut self.agents[agent.at()].rate {
            rate.started_ago(ago, now);
        }
    }

    pub(super) fn set_capacity(&mut self, resource: ResourceId, capacity: u64) {
        self.resources[resource.at()].capacity = capacity;
        self.unblock_resource(resource);
    }

    pub(super) fn set_weight(&mut self, tenant: TenantId, weight: f64) {
        self.tenants[tenant.at()].weight = weight;
    }

    /// The agent's rate or breaker may have changed with time.
    pub(super) fn wake(&mut self, agent: AgentId) {
        self.agents[agent.at()].wake_at = None;
        self.unblock_agent(agent);
    }

    /// Whether this is the time at which the agent is to be looked at again.
    pub(super) fn wakes_at(&self, agent: AgentId, at: Duration) -> bool {
        self.agents[agent.at()].wake_at == Some(at)
    }

    /// Makes room for exactly so many ready tasks more.
    pub(super) fn reserve(&mut self, class: ClassId, tasks: usize) {
        self.classes[class.at()].ready.reserve(tasks);
    }

    pub(super) fn push(&mut self, class: ClassId, key: Key, task: TaskRef) {
        let nobody_waits = self.ready == self.newcomers.len();
        self.ready += 1;
        let state = &mut self.classes[class.at()];
        state.ready.joins();
        let tenant = state.tenant;
        self.joins(tenant);
        if nobody_waits && self.newcomers.len() < NEWCOMERS {
            let at = self.newcomers.partition_point(|(of, ..)| *of < key);
            self.newcomers.insert(at, (key, class, task));
        } else {
            self.line_up();
            self.put_in_line(class, key, task);
        }
    }

    /// Newcomers wait with all others, in the order in which they came.
    fn line_up(&mut self) {
        if self.newcomers.is_empty() {
            return;
        }
        let mut newcomers = std::mem::take(&mut self.newcomers);
        newcomers.sort_unstable_by_key(|(key, ..)| key.seq());
        newcomers.drain(..).for_each(|(key, class, task)| self.put_in_line(class, key, task));
        // Its memory serves the next.
        self.newcomers = newcomers;
    }

    fn put_in_line(&mut self, class: ClassId, key: Key, task: TaskRef) {
        let state = &mut self.classes[class.at()];
        state.ready.push(key, task);
        if !state.blocked && state.announced.is_none_or(|announced| announced < key) {
            self.announce(class, key);
        }
    }

    /// A ready task was cancelled; its state says so already.
    pub(super) fn left(&mut self, class: ClassId, runs: &Runs<Run>) {
        self.line_up();
        self.ready -= 1;
        let state = &mut self.classes[class.at()];
        self.tenants[state.tenant.at()].ready -= 1;
        state.ready.left(|task, seq| is_ready(runs, task, seq));
    }

    /// The task to start next, taken out of the ready ones, with all that it takes. `wake` learns when to call [`Self::wake`].
    pub(super) fn next(
        &mut self,
        runs: &Runs<Run>,
        now: Duration,
        mut wake: impl FnMut(AgentId, Duration),
    ) -> Option<TaskRef> {
        if self.limit <= self.running {
            return None;
        }
        if let Some(task) = self.next_newcomer(now) {
            return Some(task);
        }
        let kept = self.next_kept(runs, now, &mut wake);
        let task = kept.or_else(|| {
            let is_turn = self.starts + 1 >= AGEING;
            is_turn.then(|| self.next_oldest(runs, now)).flatten()
        });
        task.or_else(|| self.next_best(runs, now, &mut wake))
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
        if let Some(rate) = &mut agent.rate {
            rate.started(now);
        }
        if let Some(circuit) = &mut agent.circuit {
            circuit.started((task, attempt));
        }
        for demand in &class.demands {
            self.resources[demand.resource.at()].used += demand.amount;
        }
        let tenant = &mut self.tenants[class.tenant.at()];
        tenant.ready -= 1;
        tenant.had += f64::from(estimate) / tenant.weight;
    }

    /// The next start is the turn of the task that has been ready the longest.
    #[cfg(test)]
    pub(super) fn make_it_the_turn_of_the_oldest(&mut self) {
        self.starts = AGEING - 1;
    }

    /// The task is out of the ready ones: its state says so already.
    pub(super) fn taken(&mut self, class: ClassId, runs: &Runs<Run>) {
        self.classes[class.at()].ready.left(|task, seq| is_ready(runs, task, seq));
        self.look_again(class);
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
        let was_closed = circuit.is_closed();
        circuit.ended((task, attempt), health, now);
        if was_closed && !circuit.is_closed() {
            self.unwell.push(agent);
        }
        self.unblock_agent(agent);
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
        let state = &mut self.agents[agent.at()];
        state.running -= 1;
        if !state.blocked.is_empty() {
            self.unblock_agent(agent);
        }
        self.charge(class, (estimate, took));
    }

    /// Charges the tenant for what its task took, of which so much was charged before.
    pub(super) fn charge(&mut self, class: ClassId, (estimate, took): (f32, Duration)) {
        let tenant = &mut self.tenants[self.classes[class.at()].tenant.at()];
        tenant.had += (took.as_secs_f64() - f64::from(estimate)) / tenant.weight;
    }

    /// Why a ready task of the class does not start.
    pub(super) fn why(&mut self, class: ClassId, now: Duration) -> Waiting {
        match self.blocker(class, now) {
            None => Waiting::Limit,
            Some(Blocker::Slots) => Waiting::AgentLimit,
            Some(Blocker::Rate(until)) => Waiting::Rate { until },
            Some(Blocker::Circuit(until)) => Waiting::Breaker { until },
            Some(Blocker::Resource(resource)) => {
                let demands = &self.classes[class.at()].demands;
                let wanted = demands.iter().find(|demand| demand.resource == resource);
                let state = &self.resources[resource.at()];
                let free = state.capacity.saturating_sub(state.used);
                Waiting::Resource { resource, wanted: wanted.map_or(0, |of| of.amount), free }
            }
        }
    }

    /// The best of the newcomers, if nothing but its own needs decides about it. Otherwise they wait with all others.
    fn next_newcomer(&mut self, now: Duration) -> Option<TaskRef> {
        let (_, class, task) = *self.newcomers.last()?;
        let is_free = self.tenants.len() == 1 && self.starts + 1 < AGEING;
        if is_free && self.blocker(class, now).is_none() {
            self.newcomers.pop();
            return Some(task);
        }
        self.line_up();
        None
    }

    /// The task for which room is kept, once it has it.
    fn next_kept(
        &mut self,
        runs: &Runs<Run>,
        now: Duration,
        wake: &mut impl FnMut(AgentId, Duration),
    ) -> Option<TaskRef> {
        let class = self.kept.as_ref()?.class;
        let oldest = self.classes[class.at()].ready.oldest(|task, seq| is_ready(runs, task, seq));
        let Some((_, task)) = oldest else {
            self.let_go(class);
            return None;
        };
        match self.blocker(class, now) {
            None => {
                self.let_go(class);
                Some(task)
            }
            Some(Blocker::Slots | Blocker::Resource(_)) if self.may_fit(class) => None,
            Some(blocker) => {
                // Room alone does not help it now, or there will never be enough.
                self.let_go(class);
                self.block(class, blocker, wake);
                None
            }
        }
    }

    /// The task that has been ready the longest and is held up by others alone: it starts, or room is kept for it.
    fn next_oldest(&mut self, runs: &Runs<Run>, now: Duration) -> Option<TaskRef> {
        if self.kept.is_some() {
            return None;
        }
        let mut by_age: Vec<(u64, ClassId, TaskRef)> = Vec::new();
        for (at, class) in self.classes.iter_mut().enumerate() {
            if class.ready.len() > 0
                && let Some((seq, task)) = class.ready.oldest(|task, seq| is_ready(runs, task, seq))
            {
                by_age.push((seq, ClassId(number(at)), task));
            }
        }
        by_age.sort_unstable();
        for (_, class, task) in by_age {
            match self.blocker(class, now) {
                None => return Some(task),
                // It waits for time, and not for others.
                Some(Blocker::Rate(_) | Blocker::Circuit(_)) => {}
                Some(Blocker::Slots | Blocker::Resource(_)) => {
                    if self.keep(class) {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// The best task of the tenant that has had the least, passing over what may not start.
    fn next_best(
        &mut self,
        runs: &Runs<Run>,
        now: Duration,
        wake: &mut impl FnMut(AgentId, Duration),
    ) -> Option<TaskRef> {
        loop {
            let open = self.tenants.iter_mut().filter(|tenant| !tenant.open.is_empty());
            let tenant = open.min_by(|a, b| a.had.total_cmp(&b.had))?;
            let mut top = tenant.open.peek_mut()?;
            let (key, class) = *top;
            let state = &mut self.classes[class.at()];
            if state.announced != Some(key) {
                PeekMut::pop(top);
                continue;
            }
            let best = state.ready.best(|task, seq| is_ready(runs, task, seq));
            if let Some((best, task)) = best
                && best == key
            {
                drop(top);
                let blocker = self.blocker(class, now);
                self.passes(class, blocker.is_none());
                match blocker {
                    None => return Some(task),
                    Some(blocker) => self.block(class, blocker, wake),
                }
                continue;
            }
            state.announced = best.map(|(key, _)| key);
            match state.announced {
                Some(best) => *top = (best, class),
                None => drop(PeekMut::pop(top)),
            }
        }
    }

    /// The class that is first of its tenant's stands there no more: with its next task if the first one starts.
    fn passes(&mut self, class: ClassId, starts: bool) {
        let state = &mut self.classes[class.at()];
        state.announced = None;
        if starts {
            state.ready.pop();
            state.announced = state.ready.top();
        }
        let Some(mut top) = self.tenants[state.tenant.at()].open.peek_mut() else { return };
        match state.announced {
            Some(next) => *top = (next, class),
            None => drop(PeekMut::pop(top)),
        }
    }

    fn blocker(&mut self, class: ClassId, now: Duration) -> Option<Blocker> {
        let others = self.kept.as_ref().filter(|kept| kept.class != class);
        let of = &self.classes[class.at()];
        let agent = &mut self.agents[of.agent.at()];
        let kept_slots = others
            .is_some_and(|kept| kept.slots && self.classes[kept.class.at()].agent == of.agent);
        if agent.limit <= agent.running || kept_slots {
            return Some(Blocker::Slots);
        }
        for demand in &of.demands {
            let resource = &self.resources[demand.resource.at()];
            let free = resource.capacity.saturating_sub(resource.used);
            let kept = others.is_some_and(|kept| kept.resources.contains(&demand.resource));
            if free < demand.amount || kept {
                return Some(Blocker::Resource(demand.resource));
            }
        }
        if let Some(until) = agent.circuit.as_mut().and_then(|circuit| circuit.free_at(now)) {
            return Some(Blocker::Circuit(until));
        }
        let paused = (now < agent.paused).then_some(agent.paused);
        let rate = agent.rate.as_mut().and_then(|rate| rate.free_at(now));
        Some(Blocker::Rate(paused.max(rate)?))
    }

    fn block(
        &mut self,
        class: ClassId,
        blocker: Blocker,
        wake: &mut impl FnMut(AgentId, Duration),
    ) {
        let state = &mut self.classes[class.at()];
        if std::mem::replace(&mut state.blocked, true) {
            return;
        }
        let id = state.agent;
        let agent = &mut self.agents[id.at()];
        let constraint = match blocker {
            Blocker::Slots => Constraint::Concurrency,
            Blocker::Resource(_) => Constraint::Resource,
            Blocker::Rate(_) => Constraint::Requests,
            Blocker::Circuit(_) => Constraint::Breaker,
        };
        if self.hits.len() < HITS {
            self.hits.push((id, constraint));
        }
        match blocker {
            Blocker::Slots => agent.blocked.push(class),
            Blocker::Resource(resource) => self.resources[resource.at()].blocked.push(class),
            Blocker::Rate(until) | Blocker::Circuit(until) => {
                agent.blocked.push(class);
                if until < agent.wake_at.unwrap_or(Duration::MAX) {
                    agent.wake_at = Some(until);
                    wake(id, until);
                }
            }
        }
    }

    /// Whether a task of the class has all it takes once others have ended, as the limits are now.
    fn may_fit(&self, class: ClassId) -> bool {
        let of = &self.classes[class.at()];
        let mut demands = of.demands.iter();
        0 < self.agents[of.agent.at()].limit
            && demands.all(|of| of.amount <= self.resources[of.resource.at()].capacity)
    }

    /// Keeps for the class what it lacks; answers whether that can ever be enough.
    fn keep(&mut self, class: ClassId) -> bool {
        if !self.may_fit(class) {
            return false;
        }
        let of = &self.classes[class.at()];
        let agent = &self.agents[of.agent.at()];
        let lacks = of.demands.iter().filter(|demand| {
            let resource = &self.resources[demand.resource.at()];
            resource.capacity.saturating_sub(resource.used) < demand.amount
        });
        let resources = lacks.map(|demand| demand.resource).collect();
        self.kept = Some(Kept { class, slots: agent.limit <= agent.running, resources });
        true
    }

    /// Gives free what was kept.
    fn let_go(&mut self, class: ClassId) {
        let Some(kept) = self.kept.take() else { return };
        let agent = self.classes[class.at()].agent;
        self.unblock_agent(agent);
        kept.resources.into_iter().for_each(|resource| self.unblock_resource(resource));
        self.classes[class.at()].blocked = false;
    }

    fn unblock_agent(&mut self, agent: AgentId) {
        let blocked = std::mem::take(&mut self.agents[agent.at()].blocked);
        self.unblock(&blocked);
        // Its memory serves the next.
        let mut blocked = blocked;
        blocked.clear();
        self.agents[agent.at()].blocked = blocked;
    }

    fn unblock_resource(&mut self, resource: ResourceId) {
        if self.resources[resource.at()].blocked.is_empty() {
            return;
        }
        let blocked = std::mem::take(&mut self.resources[resource.at()].blocked);
        self.unblock(&blocked);
    }

    fn unblock(&mut self, classes: &[ClassId]) {
        for class in classes {
            let state = &mut self.classes[class.at()];
            state.blocked = false;
            if let Some(key) = state.ready.top() {
                self.announce(*class, key);
            }
        }
    }

    /// A task of the tenant becomes ready. Who had none has saved nothing up.
    fn joins(&mut self, tenant: TenantId) {
        if self.tenants[tenant.at()].ready == 0 && self.tenants.len() > 1 {
            let others = self.tenants.iter().filter(|tenant| tenant.ready > 0);
            let least = others.map(|tenant| tenant.had).min_by(f64::total_cmp);
            let tenant = &mut self.tenants[tenant.at()];
            tenant.had = tenant.had.max(least.unwrap_or(tenant.had));
        }
        self.tenants[tenant.at()].ready += 1;
    }

    /// The class may stand in no list, and have ready tasks. What stands in one is looked at when it comes up.
    pub(super) fn look_again(&mut self, class: ClassId) {
        let state = &mut self.classes[class.at()];
        if state.blocked || state.announced.is_some() {
            return;
        }
        if let Some(key) = state.ready.top() {
            self.announce(class, key);
        }
    }

    fn announce(&mut self, class: ClassId, key: Key) {
        let state = &mut self.classes[class.at()];
        if state.announced == Some(key) {
            return;
        }
        state.announced = Some(key);
        let tenant = state.tenant;
        let open = &mut self.tenants[tenant.at()].open;
        if 2 * self.classes.len() + 64 < open.len() {
            open.retain(|(key, class)| self.classes[class.at()].announced == Some(*key));
        }
        open.push((key, class));
    }
}

fn is_ready(runs: &Runs<Run>, task: TaskRef, of: u64) -> bool {
    let node = runs.get(task.run).and_then(|run| run.nodes.get(task.node));
    node.is_some_and(|node| matches!(node.state, State::Ready { seq, .. } if seq == of))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 agents, resources, tenants and classes")
}
