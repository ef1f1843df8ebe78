//! What stands in the way of a class, and when it is looked at again.

use std::time::Duration;

use super::super::ready::Key;
use super::super::{AgentId, ClassId, ResourceId, Waiting};
use super::{Admission, look, stir};

/// How many constraints that were hit are kept until somebody counts them.
const HITS: usize = 1 << 16;

/// What stands in the way of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Blocker {
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

impl Admission {
    /// The agent's rate or breaker may have changed with time.
    pub(in crate::machine) fn wake(&mut self, agent: AgentId) {
        self.agents[agent.at()].wake_at = None;
        self.unblock_agent(agent);
    }

    /// Whether this is the time at which the agent is to be looked at again.
    pub(in crate::machine) fn wakes_at(&self, agent: AgentId, at: Duration) -> bool {
        self.agents[agent.at()].wake_at == Some(at)
    }

    /// Why a ready task of the class does not start.
    pub(in crate::machine) fn why(&mut self, class: ClassId, now: Duration) -> Waiting {
        match self.blocker(class, now) {
            None => Waiting::Limit,
            Some(Blocker::Slots) => Waiting::AgentLimit,
            Some(Blocker::Rate(until)) => Waiting::Rate { until },
            Some(Blocker::Circuit(until)) => Waiting::Breaker { until },
            Some(Blocker::Resource(resource)) => {
                let demands = &self.classes[class.at()].demands;
                let wanted = demands.iter().find(|demand| demand.resource == resource);
                let state = &self.resources[resource.at()];
                let wanted = wanted.map_or(0, |of| of.amount);
                Waiting::Resource { resource, wanted, free: state.free() }
            }
        }
    }

    pub(super) fn blocker(&mut self, class: ClassId, now: Duration) -> Option<Blocker> {
        look();
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
            let kept = others.is_some_and(|kept| kept.resources.contains(&demand.resource));
            if resource.free() < demand.amount || kept {
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

    /// Notes that something stands in the way of the class, whose best task has this key.
    pub(super) fn block(
        &mut self,
        class: ClassId,
        key: Key,
        blocker: Blocker,
        wake: &mut impl FnMut(AgentId, Duration),
    ) {
        let state = &self.classes[class.at()];
        let (id, family) = (state.agent, state.family);
        let constraint = match blocker {
            Blocker::Slots => Constraint::Concurrency,
            Blocker::Resource(_) => Constraint::Resource,
            Blocker::Rate(_) => Constraint::Requests,
            Blocker::Circuit(_) => Constraint::Breaker,
        };
        if self.hits.len() < HITS {
            self.hits.push((id, constraint));
        }
        if let Blocker::Rate(until) | Blocker::Circuit(until) = blocker {
            let agent = &mut self.agents[id.at()];
            if until < agent.wake_at.unwrap_or(Duration::MAX) {
                agent.wake_at = Some(until);
                wake(id, until);
            }
        }
        let waited = state.blocked;
        if waited != Some(key) {
            self.wait(class, key);
        }
        if waited.is_some() && matches!(blocker, Blocker::Resource(_)) {
            // It fitted when it was put in line. Another of its family may fit still.
            self.stir(family);
        }
    }

    pub(super) fn unblock_agent(&mut self, agent: AgentId) {
        let Self { agents, families, stirred, .. } = self;
        agents[agent.at()].waiting.iter().for_each(|family| stir(*family, families, stirred));
    }

    pub(super) fn unblock_resource(&mut self, resource: ResourceId) {
        let Self { resources, families, stirred, .. } = self;
        resources[resource.at()].waiting.iter().for_each(|family| stir(*family, families, stirred));
    }
}
