//! What there is to share, and who may have how much of it: all of this can change at any time.

use std::time::Duration;

use super::{AgentId, Breaker, ClassId, Constraint, Demand, Machine, ResourceId, Score, TenantId};

impl Machine {
    /// Scores tasks that become ready from now on.
    pub(crate) fn set_score(&mut self, score: Score) {
        self.score = Some(score);
    }

    /// Adds an agent that admits `limit` tasks at once.
    pub(crate) fn add_agent(&mut self, limit: usize) -> AgentId {
        self.admission.add_agent(limit)
    }

    /// Adds a resource of which so much can be taken.
    pub(crate) fn add_resource(&mut self, capacity: u64) -> ResourceId {
        self.admission.add_resource(capacity)
    }

    /// Adds a tenant with a share in proportion to its weight, which is positive.
    pub(crate) fn add_tenant(&mut self, weight: f64) -> TenantId {
        self.admission.add_tenant(weight)
    }

    /// Adds a class of tasks; the caller knows that there is none like it.
    pub(crate) fn add_class(
        &mut self,
        tenant: TenantId,
        agent: AgentId,
        demands: Box<[Demand]>,
    ) -> ClassId {
        self.admission.add_class(tenant, agent, demands)
    }

    /// Gives a class's number free; no live task is of it.
    pub(crate) fn forget_class(&mut self, class: ClassId) {
        self.admission.forget_class(class);
    }

    /// Gives an agent's number free; no class is of it.
    pub(crate) fn forget_agent(&mut self, agent: AgentId) {
        self.admission.forget_agent(agent);
    }

    /// Gives a tenant's number free; no class is of it, and no live run.
    pub(crate) fn forget_tenant(&mut self, tenant: TenantId) {
        self.admission.forget_tenant(tenant);
    }

    /// The classes that live tasks are or may become of, each with its agent and tenant; some more than once.
    pub(crate) fn classes_in_use(&self) -> impl Iterator<Item = (ClassId, AgentId, TenantId)> {
        let classes = self.runs.iter().flat_map(|(_, run)| run.classes());
        classes.map(|class| {
            let (agent, tenant) = self.admission.owners(class);
            (class, agent, tenant)
        })
    }

    /// Whose constraints held something up since the last time.
    pub(crate) fn take_hits(&mut self) -> Vec<(AgentId, Constraint)> {
        self.admission.take_hits()
    }

    /// How many run, and how many are ready to.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.admission.running(), self.admission.ready())
    }

    pub(crate) fn limit(&self) -> usize {
        self.admission.limit()
    }

    /// How many of the agent run, and how many may.
    pub(crate) fn use_of(&self, agent: AgentId) -> (usize, usize) {
        self.admission.use_of(agent)
    }

    /// How many tasks of the agent are ready.
    pub(crate) fn waiting_of(&self, agent: AgentId) -> usize {
        self.admission.waiting_of(agent)
    }

    /// Changes the overall limit. Shrinking stops nothing; nobody is admitted until use is below the limit.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.admission.set_limit(limit);
    }

    /// Changes the limit of one agent, in the same way.
    pub(crate) fn set_agent_limit(&mut self, agent: AgentId, limit: usize) {
        self.admission.set_agent_limit(agent, limit);
    }

    /// Changes how many attempts of the agent may start in a minute.
    pub(crate) fn set_rate(&mut self, agent: AgentId, per_minute: Option<usize>) {
        self.admission.set_rate(agent, per_minute);
    }

    /// Gives the agent a breaker, closed.
    pub(crate) fn set_breaker(&mut self, agent: AgentId, breaker: Option<Breaker>) {
        self.admission.set_breaker(agent, breaker);
    }

    /// Changes how much of a resource there is, in the way of the limits.
    pub(crate) fn set_capacity(&mut self, resource: ResourceId, capacity: u64) {
        self.admission.set_capacity(resource, capacity);
    }

    /// Changes a tenant's share.
    pub(crate) fn set_weight(&mut self, tenant: TenantId, weight: f64) {
        self.admission.set_weight(tenant, weight);
    }

    /// What is known of an agent's health from elsewhere: so many failures in a row, the last so long ago.
    pub(crate) fn restore_breaker(
        &mut self,
        agent: AgentId,
        failures: u32,
        ago: Duration,
        now: Duration,
    ) {
        self.admission.restore_breaker(agent, failures, ago, now);
    }

    /// An attempt that began elsewhere so long ago, which counts against the agent's rate.
    pub(crate) fn restore_start(&mut self, agent: AgentId, ago: Duration, now: Duration) {
        self.admission.restore_start(agent, ago, now);
    }

    /// Nothing of the agent starts before this time.
    pub(crate) fn pause_agent(&mut self, agent: AgentId, until: Duration) {
        self.admission.pause(agent, until);
    }

    /// Attempts of the agent start again.
    pub(crate) fn resume_agent(&mut self, agent: AgentId) {
        self.admission.resume(agent);
    }

    /// Whether something is known of the agent that will be forgotten by itself.
    pub(crate) fn is_marked(&self, agent: AgentId) -> bool {
        self.admission.is_marked(agent)
    }
}
