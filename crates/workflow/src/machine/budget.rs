//! What may be spent: by a run with all that its tasks run in their turn, and by a tenant.

use super::{End, Machine, RunId, TaskRef, TenantId};

impl Machine {
    /// Says what a tenant may spend from now on; `None` for as much as it likes.
    pub(crate) fn set_tenant_budget(&mut self, tenant: TenantId, budget: Option<u64>) {
        match budget {
            Some(budget) => drop(self.tenant_budgets.insert(tenant, budget)),
            None => drop(self.tenant_budgets.remove(&tenant)),
        }
    }

    /// What a tenant may still spend, if there is an end to it.
    pub(crate) fn tenant_budget(&self, tenant: TenantId) -> Option<u64> {
        self.tenant_budgets.get(&tenant).copied()
    }

    /// What was spent elsewhere counts; a budget that is less than that is spent.
    pub(crate) fn spend(&mut self, tenant: TenantId, cost: u64) {
        if let Some(left) = self.tenant_budgets.get_mut(&tenant) {
            *left = left.saturating_sub(cost);
        }
    }

    /// Takes what a task costs out of every budget that it falls under: of all of them or, if one has not enough, of none.
    pub(super) fn pay(&mut self, task: TaskRef, tenant: TenantId, cost: u64) -> Result<(), End> {
        for run in self.payers(task.run) {
            if self.runs[run].budget.is_some_and(|left| left < cost) {
                return Err(End::OverBudget);
            }
        }
        if let Some(left) = self.tenant_budgets.get_mut(&tenant) {
            *left = left.checked_sub(cost).ok_or(End::TenantOverBudget)?;
        }
        for run in self.payers(task.run) {
            if let Some(left) = self.runs.get_mut(run).and_then(|run| run.budget.as_mut()) {
                *left -= cost;
            }
        }
        Ok(())
    }

    /// The run, and those of the tasks within whose work it is.
    fn payers(&self, run: RunId) -> Vec<RunId> {
        let mut payers = vec![run];
        let mut at = run;
        while let Some(parent) = self.runs.get(at).and_then(|run| run.parent) {
            payers.push(parent);
            at = parent;
        }
        payers.retain(|run| self.runs.contains(*run));
        payers
    }
}
