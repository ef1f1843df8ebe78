//! The agents, resources and tenants by name.

mod observed;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tidegate_telemetry::Gauge;

use super::link::memory_of;
use crate::agent::{Agent, Breaker};
use crate::durations::Durations;
use crate::machine::{AgentId, Attempt, ClassId, Demand, Machine, ResourceId, Score, TenantId};
use crate::metrics::Metrics;
use crate::task::{DEFAULT_AGENT, Extras};
pub(crate) use observed::Observed;

/// What the builder was told.
pub(crate) struct Settings {
    pub(crate) agent_default: usize,
    /// How many attempts of an agent without settings of its own may start in a minute.
    pub(crate) agent_default_rate: Option<usize>,
    pub(crate) agents: HashMap<Arc<str>, Agent>,
    pub(crate) resources: HashMap<Arc<str>, u64>,
    pub(crate) tenants: HashMap<Arc<str>, f64>,
    pub(crate) tenant_budgets: HashMap<Arc<str>, u64>,
    pub(crate) score: Option<Score>,
    pub(crate) durations: Durations,
}

/// A change of an agent while it is in use.
#[derive(Debug)]
pub(crate) enum AgentChange {
    Concurrency(usize),
    PerMinute(Option<usize>),
    Breaker(Option<Breaker>),
    /// It is asked again, whatever it told.
    Resume,
}

struct State {
    name: Arc<str>,
    /// Somebody has set something of it: it is kept although nobody uses it.
    is_set: bool,
    /// Whether it is among the touched.
    touched: bool,
    gauges: Option<[Gauge; 2]>,
    memory: Option<ResourceId>,
    observed: Observed,
    waits: bool,
}

/// Finds numbers for names, and makes new ones.
pub(crate) struct Agents {
    default_limit: usize,
    default_rate: Option<usize>,
    by_name: HashMap<Arc<str>, AgentId, foldhash::quality::RandomState>,
    states: Vec<State>,
    resources: HashMap<Arc<str>, ResourceId>,
    tenants: HashMap<Arc<str>, TenantId>,
    /// For tasks of the default tenant that take nothing but a slot, by agent.
    plain: Vec<ClassId>,
    others: HashMap<(TenantId, AgentId, Box<[Demand]>), ClassId>,
    /// Tenants that somebody has given a weight.
    set_tenants: HashSet<TenantId>,
    /// Those whose figures may be others than were last told.
    touched: Vec<AgentId>,
    /// With more names and classes than this, those that nobody uses are thrown out.
    bound: usize,
}

/// How many names and classes that nobody uses are kept before they are thrown out.
const UNUSED: usize = 1024;

/// An agent that wants nothing for longer is asked again all the same.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

impl Agents {
    pub(super) fn new(settings: Settings, machine: &mut Machine) -> Self {
        let mut agents = Self {
            default_limit: settings.agent_default,
            default_rate: settings.agent_default_rate,
            by_name: HashMap::default(),
            states: Vec::new(),
            resources: HashMap::new(),
            tenants: HashMap::new(),
            plain: Vec::new(),
            others: HashMap::new(),
            set_tenants: HashSet::new(),
            touched: Vec::new(),
            bound: usize::MAX,
        };
        agents.add(&Arc::from(DEFAULT_AGENT), usize::MAX, machine);
        for (name, settings) in settings.agents {
            let id = agents.id(&name, machine);
            agents.states[id.at()].is_set = true;
            machine.set_agent_limit(id, settings.concurrency);
            machine.set_rate(id, settings.per_minute);
            machine.set_breaker(id, settings.breaker);
            if let Some(memory) = settings.memory_mb {
                let resource = Arc::from(memory_of(&name));
                agents.states[id.at()].memory =
                    Some(agents.set_resource(&resource, memory, machine));
            }
        }
        for (name, capacity) in settings.resources {
            agents.set_resource(&name, capacity, machine);
        }
        for (name, weight) in settings.tenants {
            agents.set_tenant(&name, weight, machine);
        }
        for (name, budget) in settings.tenant_budgets {
            agents.set_tenant_budget(&name, Some(budget), machine);
        }
        if let Some(score) = settings.score {
            machine.set_score(score);
        }
        agents.states[AgentId::NONE.at()].is_set = true;
        agents.bound = agents.count() + UNUSED;
        agents
    }

    fn count(&self) -> usize {
        self.by_name.len() + self.others.len() + self.tenants.len()
    }

    /// Throws out the names and classes that no live task uses, once they are many: whoever makes names up for ever must not
    /// fill the memory. `tenants` are those of live runs, `gone` learns of each agent that is forgotten.
    pub(super) fn forget_unused(
        &mut self,
        machine: &mut Machine,
        tenants: impl Iterator<Item = TenantId>,
        mut gone: impl FnMut(&str),
    ) {
        if self.count() <= self.bound {
            return;
        }
        let mut used_tenants: HashSet<TenantId> = tenants.collect();
        used_tenants.extend(&self.set_tenants);
        let (mut used_classes, mut used_agents) = (HashSet::new(), HashSet::new());
        for (class, agent, tenant) in machine.classes_in_use() {
            used_classes.insert(class);
            used_agents.insert(agent);
            used_tenants.insert(tenant);
        }
        self.others.retain(|_, class| {
            let is_used = used_classes.contains(class);
            if !is_used {
                machine.forget_class(*class);
            }
            is_used
        });
        let (states, plain) = (&mut self.states, &self.plain);
        self.by_name.retain(|name, id| {
            let state = &mut states[id.at()];
            let is_used = state.is_set || used_agents.contains(id) || machine.is_marked(*id);
            if !is_used {
                machine.forget_class(plain[id.at()]);
                machine.forget_agent(*id);
                (state.gauges, state.touched) = (None, false);
                gone(name);
            }
            is_used
        });
        self.tenants.retain(|_, id| {
            let is_used = used_tenants.contains(id);
            if !is_used {
                machine.forget_tenant(*id);
            }
            is_used
        });
        self.touched.retain(|id| self.states[id.at()].touched);
        self.bound = 2 * self.count() + UNUSED;
    }

    /// The agent's figures may be others now.
    pub(super) fn touch(&mut self, agent: AgentId) {
        let state = &mut self.states[agent.at()];
        if agent != AgentId::NONE && !std::mem::replace(&mut state.touched, true) {
            self.touched.push(agent);
        }
    }

    /// Tells the figures of those that were touched.
    pub(super) fn publish(&mut self, machine: &mut Machine, metrics: &Metrics) {
        for (agent, constraint) in machine.take_hits() {
            metrics.hit(&self.states[agent.at()].name, constraint);
        }
        for id in self.touched.drain(..) {
            let state = &mut self.states[id.at()];
            state.touched = false;
            let (running, limit) = machine.use_of(id);
            let name = &state.name;
            let gauges = state.gauges.get_or_insert_with(|| metrics.agent(name));
            gauges[0].set(running as f64);
            gauges[1].set(limit as f64);
        }
    }

    /// The classes of a task that any of several agents can do; empty if it names one.
    pub(super) fn choices(
        &mut self,
        extras: Option<&Extras>,
        tenant: TenantId,
        machine: &mut Machine,
    ) -> Box<[ClassId]> {
        let Some(extras) = extras else { return Box::default() };
        let class = |name: &Arc<str>| {
            let agent = self.id(name, machine);
            self.class(Some(extras), agent, tenant, machine)
        };
        extras.any_of.iter().map(class).collect()
    }

    pub(super) fn name(&self, id: AgentId) -> &Arc<str> {
        &self.states[id.at()].name
    }

    pub(super) fn resource_name(&self, id: ResourceId) -> Arc<str> {
        let name = self.resources.iter().find(|(_, of)| **of == id).map(|(name, _)| name);
        name.map_or_else(|| Arc::from(""), Arc::clone)
    }

    /// The number of an agent that a task may have named.
    pub(super) fn id_of(&mut self, name: Option<&Arc<str>>, machine: &mut Machine) -> AgentId {
        match name {
            None => AgentId::NONE,
            Some(name) => self.id(name, machine),
        }
    }

    /// The class of a task of this agent; a new one if there is none.
    pub(super) fn class(
        &mut self,
        extras: Option<&Extras>,
        agent: AgentId,
        tenant: TenantId,
        machine: &mut Machine,
    ) -> ClassId {
        let mut demands: Vec<Demand> = Vec::new();
        if let Some(extras) = extras {
            let memory = self.states[agent.at()].memory.filter(|_| extras.memory_mb > 0);
            demands.extend(memory.map(|resource| Demand { resource, amount: extras.memory_mb }));
            for (name, amount) in &extras.uses {
                // The caller has checked that it is known.
                if let Some(resource) = self.resources.get(name) {
                    demands.push(Demand { resource: *resource, amount: *amount });
                }
            }
            demands.sort_unstable_by_key(|demand| demand.resource);
        }
        if demands.is_empty() && tenant == TenantId::DEFAULT {
            return self.plain[agent.at()];
        }
        let demands = demands.into_boxed_slice();
        let class = self.others.entry((tenant, agent, demands));
        *class.or_insert_with_key(|(tenant, agent, demands)| {
            machine.add_class(*tenant, *agent, demands.clone())
        })
    }

    pub(super) fn tenant(&mut self, name: Option<&Arc<str>>, machine: &mut Machine) -> TenantId {
        let Some(name) = name else { return TenantId::DEFAULT };
        *self.tenants.entry(Arc::clone(name)).or_insert_with(|| machine.add_tenant(1.0))
    }

    pub(super) fn set_tenant(&mut self, name: &Arc<str>, weight: f64, machine: &mut Machine) {
        let id = self.tenant(Some(name), machine);
        self.set_tenants.insert(id);
        machine.set_weight(id, weight);
    }

    pub(super) fn set_tenant_budget(
        &mut self,
        name: &Arc<str>,
        budget: Option<u64>,
        machine: &mut Machine,
    ) {
        let id = self.tenant(Some(name), machine);
        self.set_tenants.insert(id);
        machine.set_tenant_budget(id, budget);
    }

    pub(super) fn tenant_budget(&self, name: &str, machine: &Machine) -> Option<u64> {
        machine.tenant_budget(*self.tenants.get(name)?)
    }

    pub(super) fn set_resource(
        &mut self,
        name: &Arc<str>,
        capacity: u64,
        machine: &mut Machine,
    ) -> ResourceId {
        if let Some(id) = self.resources.get(name) {
            machine.set_capacity(*id, capacity);
            return *id;
        }
        let id = machine.add_resource(capacity);
        self.resources.insert(Arc::clone(name), id);
        id
    }

    /// Changes an agent; answers with its limit before and after.
    pub(super) fn change(
        &mut self,
        name: &Arc<str>,
        change: AgentChange,
        machine: &mut Machine,
    ) -> (usize, usize) {
        let id = self.id(name, machine);
        self.states[id.at()].is_set = true;
        self.touch(id);
        let (_, from) = machine.use_of(id);
        match change {
            AgentChange::Concurrency(limit) => machine.set_agent_limit(id, limit),
            AgentChange::PerMinute(rate) => machine.set_rate(id, rate),
            AgentChange::Breaker(breaker) => machine.set_breaker(id, breaker),
            AgentChange::Resume => machine.resume_agent(id),
        }
        (from, machine.use_of(id).1)
    }

    /// What another process has seen of an agent.
    pub(super) fn restore(
        &mut self,
        name: &Arc<str>,
        failures: u32,
        ago: Duration,
        machine: &mut Machine,
        now: Duration,
    ) {
        let id = self.id(name, machine);
        machine.restore_breaker(id, failures, ago, now);
    }

    /// An attempt of an agent that another process has begun so long ago.
    pub(super) fn restore_start(
        &mut self,
        name: &Arc<str>,
        ago: Duration,
        machine: &mut Machine,
        now: Duration,
    ) {
        let id = self.id(name, machine);
        machine.restore_start(id, ago, now);
    }

    /// Takes what was measured since the last time.
    pub(super) fn observe(&mut self, name: &Arc<str>, machine: &Machine) -> Observed {
        let Some(id) = self.by_name.get(name).copied() else { return Observed::default() };
        let observed = std::mem::take(&mut self.states[id.at()].observed);
        let (running, limit) = machine.use_of(id);
        let (peak, waiting) = (observed.peak.max(running), machine.waiting_of(id));
        Observed { limit, peak, waiting, ..observed }
    }

    /// Whether the agent's last attempt waited for something.
    pub(super) fn waits(&self, agent: AgentId) -> bool {
        self.states[agent.at()].waits
    }

    pub(super) fn set_waits(&mut self, agent: AgentId, waited: bool) {
        self.states[agent.at()].waits = waited;
    }

    /// An attempt of the agent started, and so many of them run now.
    pub(super) fn started(&mut self, agent: AgentId, running: usize) {
        let observed = &mut self.states[agent.at()].observed;
        observed.peak = observed.peak.max(running);
    }

    /// An attempt of the agent ended.
    pub(super) fn ended(&mut self, agent: AgentId, took: Duration, verdict: Attempt) {
        let observed = &mut self.states[agent.at()].observed;
        match verdict {
            Attempt::Declined => return,
            Attempt::Succeeded => observed.succeeded(took),
            Attempt::Failed { .. } => observed.failed += 1,
            Attempt::TimedOut => observed.timed_out += 1,
        }
        observed.ended += 1;
    }

    /// The agent said that it can bear no more, and nothing at all for so long. Tasks of no agent have nobody to wait for.
    pub(super) fn overloaded(
        &mut self,
        agent: AgentId,
        wait: Duration,
        machine: &mut Machine,
        now: Duration,
    ) {
        self.states[agent.at()].observed.overloaded += 1;
        if agent != AgentId::NONE {
            machine.pause_agent(agent, now.saturating_add(wait.min(LONGEST_PAUSE)));
        }
    }

    fn id(&mut self, name: &Arc<str>, machine: &mut Machine) -> AgentId {
        match self.by_name.get(name) {
            Some(id) => *id,
            None => {
                let id = self.add(name, self.default_limit, machine);
                machine.set_rate(id, self.default_rate);
                id
            }
        }
    }

    fn add(&mut self, name: &Arc<str>, limit: usize, machine: &mut Machine) -> AgentId {
        let id = machine.add_agent(limit);
        self.by_name.insert(Arc::clone(name), id);
        let plain = machine.add_class(TenantId::DEFAULT, id, Box::default());
        let state = State {
            name: Arc::clone(name),
            is_set: false,
            touched: false,
            gauges: None,
            memory: None,
            observed: Observed::default(),
            waits: false,
        };
        if id.at() < self.states.len() {
            // The number of one that was forgotten.
            (self.plain[id.at()], self.states[id.at()]) = (plain, state);
        } else {
            self.plain.push(plain);
            self.states.push(state);
        }
        id
    }
}
