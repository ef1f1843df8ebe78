//! What stands in the way of a class, and when it is looked at again.

use std::time::Duration;

use super::super::{AgentId, ClassId, ResourceId, Waiting};
use super::Admission;

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
                let free = state.capacity.saturating_sub(state.used);
                Waiting::Resource { resource, wanted: wanted.map_or(0, |of| of.amount), free }
            }
        }
    }

    pub(super) fn blocker(&mut self, class: ClassId, now: Duration) -> Option<Blocker> {
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

    pub(super) fn block(
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

    pub(super) fn unblock_agent(&mut self, agent: AgentId) {
        let blocked = std::mem::take(&mut self.agents[agent.at()].blocked);
        self.unblock(&blocked);
        // Its memory serves the next.
        let mut blocked = blocked;
        blocked.clear();
        self.agents[agent.at()].blocked = blocked;
    }

    pub(super) fn unblock_resource(&mut self, resource: ResourceId) {
        if self.resources[resource.at()].blocked.is_empty() {
            return;
        }
        let blocked = std::mem::take(&mut self.resources[resource.at()].blocked);
        self.unblock(&blocked);
    }

    pub(super) fn unblock(&mut self, classes: &[ClassId]) {
        for class in classes {
            let state = &mut self.classes[class.at()];
            state.blocked = false;
            if let Some(key) = state.ready.top() {
                self.announce(*class, key);
            }
        }
    }
}
