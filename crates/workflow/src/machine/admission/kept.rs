//! Room for a task that would starve.

use std::time::Duration;

use super::super::run::Run;
use super::super::{AgentId, ClassId, ResourceId, Runs, TaskRef};
use super::blocked::Blocker;
use super::{Admission, is_ready};

/// What is kept for a task that was ready long before others and does not fit.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) class: ClassId,
    pub(super) slots: bool,
    pub(super) resources: Vec<ResourceId>,
}

impl Admission {
    /// The task for which room is kept, once it has it.
    pub(super) fn next_kept(
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
                let key = self.classes[class.at()].ready.top().expect("its oldest task is ready");
                self.block(class, key, blocker, wake);
                None
            }
        }
    }

    /// Whether a task of the class has all it takes once others have ended, as the limits are now.
    pub(super) fn may_fit(&self, class: ClassId) -> bool {
        let of = &self.classes[class.at()];
        let mut demands = of.demands.iter();
        0 < self.agents[of.agent.at()].limit
            && demands.all(|of| of.amount <= self.resources[of.resource.at()].capacity)
    }

    /// Keeps for the class what it lacks; answers whether that can ever be enough.
    pub(super) fn keep(&mut self, class: ClassId) -> bool {
        if !self.may_fit(class) {
            return false;
        }
        let of = &self.classes[class.at()];
        let agent = &self.agents[of.agent.at()];
        let lacks = of.demands.iter().filter(|demand| {
            let resource = &self.resources[demand.resource.at()];
            resource.free() < demand.amount
        });
        let resources = lacks.map(|demand| demand.resource).collect();
        self.kept = Some(Kept { class, slots: agent.limit <= agent.running, resources });
        true
    }

    /// Gives free what was kept.
    pub(super) fn let_go(&mut self, class: ClassId) {
        let Some(kept) = self.kept.take() else { return };
        let agent = self.classes[class.at()].agent;
        self.unblock_agent(agent);
        kept.resources.into_iter().for_each(|resource| self.unblock_resource(resource));
    }
}
