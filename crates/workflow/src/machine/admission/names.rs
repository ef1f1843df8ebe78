//! Agents, resources, tenants and classes: what each may, and which there are.

use std::time::Duration;

use super::super::breaker::{Breaker, Circuit};
use super::super::ids::FamilyId;
use super::super::rate::Rate;
use super::super::ready::Ready;
use super::super::{AgentId, ClassId, ResourceId, TenantId};
use super::{Admission, Agent, Class, Demand, Family, Resource, Tenant, Traits, number};

impl Admission {
    pub(in crate::machine) fn add_agent(&mut self, limit: usize) -> AgentId {
        let agent = Agent {
            limit,
            running: 0,
            rate: None,
            paused: Duration::ZERO,
            circuit: None,
            wake_at: None,
            waiting: Vec::new(),
            ready: 0,
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
    pub(in crate::machine) fn forget_agent(&mut self, agent: AgentId) {
        self.free_agents.push(agent);
    }

    /// Gives a tenant's number free. No class is of it any more.
    pub(in crate::machine) fn forget_tenant(&mut self, tenant: TenantId) {
        self.free_tenants.push(tenant);
    }

    /// Gives a class's number free. No task is of it any more. Where it still stands in line it is passed over.
    pub(in crate::machine) fn forget_class(&mut self, class: ClassId) {
        if self.kept.as_ref().is_some_and(|kept| kept.class == class) {
            self.let_go(class);
        }
        self.leave(class);
        let state = &self.classes[class.at()];
        let id = state.family;
        let family = &mut self.families[id.at()];
        family.waiting.forget(class);
        if let Some(since) = state.since {
            family.ages.remove(&(since, class));
        }
        family.classes -= 1;
        if family.classes == 0 {
            self.by_traits.remove(&family.traits);
            self.free_families.push(id);
        }
        self.free_classes.push(class);
    }

    /// The agents and tenant that a class is of.
    pub(in crate::machine) fn owners(&self, class: ClassId) -> (AgentId, TenantId) {
        let class = &self.classes[class.at()];
        (class.agent, class.tenant)
    }

    /// Of these classes, one whose agent is healthy, takes requests, and has the least to do for what it may.
    pub(in crate::machine) fn least_loaded(&self, classes: &[ClassId]) -> Option<ClassId> {
        let load = |class: &&ClassId| {
            let id = self.classes[class.at()].agent;
            let agent = &self.agents[id.at()];
            let ill = agent.limit == 0
                || agent.circuit.as_ref().is_some_and(|circuit| circuit.is_ill(self.now))
                || self.now < agent.paused
                || agent.rate.as_ref().is_some_and(|rate| rate.is_spent(self.now));
            let busy = (agent.running + agent.ready + 1) as f64;
            (ill, busy / agent.limit as f64)
        };
        let loads = classes.iter().map(|class| (load(&class), *class));
        let least = loads.min_by(|((ill, load), _), ((other_ill, other), _)| {
            ill.cmp(other_ill).then(load.total_cmp(other))
        });
        least.map(|(_, class)| class)
    }

    pub(in crate::machine) fn add_resource(&mut self, capacity: u64) -> ResourceId {
        self.resources.push(Resource { capacity, used: 0, waiting: Vec::new() });
        ResourceId(number(self.resources.len() - 1))
    }

    pub(in crate::machine) fn add_tenant(&mut self, weight: f64) -> TenantId {
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
    pub(in crate::machine) fn add_class(
        &mut self,
        tenant: TenantId,
        agent: AgentId,
        demands: Box<[Demand]>,
    ) -> ClassId {
        let resources = demands.iter().map(|demand| demand.resource).collect();
        let family = self.family((tenant, agent, resources));
        self.families[family.at()].classes += 1;
        let class = Class {
            tenant,
            agent,
            family,
            demands,
            ready: Ready::default(),
            announced: None,
            blocked: None,
            since: None,
        };
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

    fn family(&mut self, traits: Traits) -> FamilyId {
        *self.by_traits.entry(traits).or_insert_with_key(|traits| {
            let family = Family::new(traits.clone());
            match self.free_families.pop() {
                Some(id) => {
                    self.families[id.at()] = family;
                    id
                }
                None => {
                    self.families.push(family);
                    FamilyId(number(self.families.len() - 1))
                }
            }
        })
    }

    pub(in crate::machine) fn waiting_of(&self, agent: AgentId) -> usize {
        self.agents[agent.at()].ready
    }

    /// How many of the agent run, and how many may.
    pub(in crate::machine) fn use_of(&self, agent: AgentId) -> (usize, usize) {
        let agent = &self.agents[agent.at()];
        (agent.running, agent.limit)
    }

    pub(in crate::machine) fn set_agent_limit(&mut self, agent: AgentId, limit: usize) {
        self.agents[agent.at()].limit = limit;
        if limit == 0 {
            self.unwell.push(agent);
        }
        self.unblock_agent(agent);
    }

    pub(in crate::machine) fn set_rate(&mut self, agent: AgentId, per_minute: Option<usize>) {
        let state = &mut self.agents[agent.at()];
        match (&mut state.rate, per_minute) {
            // What has started stays in the window.
            (Some(rate), Some(per_minute)) => rate.set(per_minute),
            (rate, per_minute) => *rate = per_minute.map(Rate::new),
        }
        self.unblock_agent(agent);
    }

    /// The agent wants nothing before this time. A later time that it told earlier stays.
    pub(in crate::machine) fn pause(&mut self, agent: AgentId, until: Duration) {
        let paused = &mut self.agents[agent.at()].paused;
        if *paused <= self.now && self.now < until {
            self.unwell.push(agent);
        }
        *paused = until.max(*paused);
    }

    /// The agent is asked again, whatever it told earlier.
    pub(in crate::machine) fn resume(&mut self, agent: AgentId) {
        self.agents[agent.at()].paused = Duration::ZERO;
        self.unblock_agent(agent);
    }

    /// Whether something is known of the agent that will be forgotten by itself: starts within its rate, a pause, failures.
    pub(in crate::machine) fn is_marked(&self, agent: AgentId) -> bool {
        let agent = &self.agents[agent.at()];
        self.now < agent.paused
            || agent.rate.as_ref().is_some_and(|rate| rate.has_started(self.now))
            || agent.circuit.as_ref().is_some_and(|circuit| !circuit.is_closed())
    }

    pub(in crate::machine) fn set_breaker(&mut self, agent: AgentId, breaker: Option<Breaker>) {
        self.agents[agent.at()].circuit = breaker.map(Circuit::new);
        self.unblock_agent(agent);
    }

    pub(in crate::machine) fn restore_breaker(
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

    pub(in crate::machine) fn restore_start(
        &mut self,
        agent: AgentId,
        ago: Duration,
        now: Duration,
    ) {
        if let Some(rate) = &mut self.agents[agent.at()].rate {
            rate.started_ago(ago, now);
        }
    }

    pub(in crate::machine) fn set_capacity(&mut self, resource: ResourceId, capacity: u64) {
        self.resources[resource.at()].capacity = capacity;
        self.unblock_resource(resource);
    }

    pub(in crate::machine) fn set_weight(&mut self, tenant: TenantId, weight: f64) {
        self.tenants[tenant.at()].weight = weight;
    }
}
