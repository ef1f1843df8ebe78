//! The agents, resources and tenants by name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_limiter::{Latency, Sample};

use super::link::memory_of;
use crate::agent::{Agent, Breaker};
use crate::durations::Durations;
use crate::machine::{AgentId, Attempt, ClassId, Demand, Machine, ResourceId, Score, TenantId};
use crate::task::{DEFAULT_AGENT, Task};

/// What the builder was told.
pub(crate) struct Settings {
    pub(crate) agent_default: usize,
    pub(crate) agents: HashMap<Arc<str>, Agent>,
    pub(crate) resources: HashMap<Arc<str>, u64>,
    pub(crate) tenants: HashMap<Arc<str>, f64>,
    pub(crate) score: Option<Score>,
    pub(crate) durations: Durations,
}

/// A change of an agent while it is in use.
#[derive(Debug)]
pub(crate) enum AgentChange {
    Concurrency(usize),
    PerMinute(Option<usize>),
    Breaker(Option<Breaker>),
}

/// What was measured of an agent over an interval.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Observed {
    pub(crate) limit: usize,
    pub(crate) peak: usize,
    pub(crate) waiting: usize,
    pub(crate) ended: usize,
    pub(crate) failed: usize,
    pub(crate) timed_out: usize,
    pub(crate) shortest: Option<Duration>,
    pub(crate) total: Duration,
    /// Of the squares of the seconds.
    pub(crate) squares: f64,
}

impl Observed {
    /// As a control law wants it.
    pub(crate) fn sample(&self, at: Duration) -> Sample {
        let count = self.ended as f64;
        let latency = self.shortest.map(|min| {
            let mean = self.total / u32::try_from(self.ended).unwrap_or(u32::MAX).max(1);
            let variance = self.squares / count - mean.as_secs_f64().powi(2);
            Latency {
                count: self.ended,
                min,
                mean,
                deviation: Duration::from_secs_f64(variance.max(0.0).sqrt()),
                // Quantiles are not kept: the mean and the shortest stand for them.
                p10: min,
                p50: mean,
            }
        });
        Sample {
            at,
            queue_depth: Some(self.waiting as f64),
            error_rate: (self.ended > 0).then(|| (self.failed + self.timed_out) as f64 / count),
            max_in_flight: self.peak,
            overloads: self.timed_out,
            latency,
            ..Sample::default()
        }
    }
}

struct State {
    name: Arc<str>,
    memory: Option<ResourceId>,
    observed: Observed,
    waits: bool,
}

/// Finds numbers for names, and makes new ones.
pub(crate) struct Agents {
    default_limit: usize,
    by_name: HashMap<Arc<str>, AgentId, foldhash::quality::RandomState>,
    states: Vec<State>,
    resources: HashMap<Arc<str>, ResourceId>,
    tenants: HashMap<Arc<str>, TenantId>,
    /// For tasks of the default tenant that take nothing but a slot, by agent.
    plain: Vec<ClassId>,
    others: HashMap<(TenantId, AgentId, Box<[Demand]>), ClassId>,
}

/// Tasks that name no agent.
const NO_AGENT: AgentId = AgentId(0);

impl Agents {
    pub(super) fn new(settings: Settings, machine: &mut Machine) -> Self {
        let mut agents = Self {
            default_limit: settings.agent_default,
            by_name: HashMap::default(),
            states: Vec::new(),
            resources: HashMap::new(),
            tenants: HashMap::new(),
            plain: Vec::new(),
            others: HashMap::new(),
        };
        agents.add(&Arc::from(DEFAULT_AGENT), usize::MAX, machine);
        for (name, settings) in settings.agents {
            let id = agents.id(&name, machine);
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
        if let Some(score) = settings.score {
            machine.set_score(score);
        }
        agents
    }

    pub(super) fn name(&self, id: AgentId) -> &Arc<str> {
        &self.states[id.at()].name
    }

    pub(super) fn resource_name(&self, id: ResourceId) -> Arc<str> {
        let name = self.resources.iter().find(|(_, of)| **of == id).map(|(name, _)| name);
        name.map_or_else(|| Arc::from(""), Arc::clone)
    }

    pub(super) fn id_of(&mut self, task: &Task, machine: &mut Machine) -> AgentId {
        match &task.agent {
            None => NO_AGENT,
            Some(name) => self.id(name, machine),
        }
    }

    /// The class of a task of this agent; a new one if there is none.
    pub(super) fn class(
        &mut self,
        task: &Task,
        agent: AgentId,
        tenant: TenantId,
        machine: &mut Machine,
    ) -> ClassId {
        let mut demands: Vec<Demand> = Vec::new();
        if let Some(extras) = task.extras.as_deref() {
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
        machine.set_weight(id, weight);
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
        let (_, from) = machine.use_of(id);
        match change {
            AgentChange::Concurrency(limit) => machine.set_agent_limit(id, limit),
            AgentChange::PerMinute(rate) => machine.set_rate(id, rate),
            AgentChange::Breaker(breaker) => machine.set_breaker(id, breaker),
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
            Attempt::Succeeded => {}
            Attempt::Failed { .. } => observed.failed += 1,
            Attempt::TimedOut => observed.timed_out += 1,
        }
        observed.ended += 1;
        observed.total += took;
        observed.squares += took.as_secs_f64().powi(2);
        observed.shortest = Some(observed.shortest.map_or(took, |shortest| shortest.min(took)));
    }

    fn id(&mut self, name: &Arc<str>, machine: &mut Machine) -> AgentId {
        match self.by_name.get(name) {
            Some(id) => *id,
            None => self.add(name, self.default_limit, machine),
        }
    }

    fn add(&mut self, name: &Arc<str>, limit: usize, machine: &mut Machine) -> AgentId {
        let id = machine.add_agent(limit);
        self.by_name.insert(Arc::clone(name), id);
        self.plain.push(machine.add_class(TenantId::DEFAULT, id, Box::default()));
        self.states.push(State {
            name: Arc::clone(name),
            memory: None,
            observed: Observed::default(),
            waits: false,
        });
        id
    }
}
