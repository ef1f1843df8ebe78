//! Who is next: newcomers first of all, then the oldest in its turn, then the best of the tenant that has had the least.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use super::super::ids::FamilyId;
use super::super::ready::Key;
use super::super::run::Run;
use super::super::{AgentId, ClassId, Runs, TaskRef, TenantId};
use super::blocked::Blocker;
use super::{AGEING, Admission, is_ready, number};

/// More than this stand in line at once.
const NEWCOMERS: usize = 64;

impl Admission {
    /// Makes room for exactly so many ready tasks more.
    pub(in crate::machine) fn reserve(&mut self, class: ClassId, tasks: usize) {
        self.classes[class.at()].ready.reserve(tasks);
    }

    pub(in crate::machine) fn push(&mut self, class: ClassId, key: Key, task: TaskRef) {
        let nobody_waits = self.ready == self.newcomers.len();
        self.ready += 1;
        let state = &mut self.classes[class.at()];
        state.ready.joins();
        let tenant = state.tenant;
        self.agents[state.agent.at()].ready += 1;
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
    pub(super) fn line_up(&mut self) {
        if self.newcomers.is_empty() {
            return;
        }
        let mut newcomers = std::mem::take(&mut self.newcomers);
        newcomers.sort_unstable_by_key(|(key, ..)| key.seq());
        newcomers.drain(..).for_each(|(key, class, task)| self.put_in_line(class, key, task));
        // Its memory serves the next.
        self.newcomers = newcomers;
    }

    pub(super) fn put_in_line(&mut self, class: ClassId, key: Key, task: TaskRef) {
        let state = &mut self.classes[class.at()];
        state.ready.push(key, task);
        let (family, blocked) = (state.family, state.blocked);
        if state.since.is_none() {
            state.since = Some(key.seq());
            self.families[family.at()].ages.insert((key.seq(), class));
        }
        match blocked {
            None if state.announced.is_none_or(|announced| announced < key) => {
                self.announce(class, key);
            }
            Some(waits) if waits < key => {
                self.wait(class, key);
                self.stir(family);
            }
            _ => {}
        }
    }

    /// A ready task was cancelled; its state says so already.
    pub(in crate::machine) fn left(&mut self, class: ClassId, runs: &Runs<Run>) {
        self.line_up();
        self.ready -= 1;
        let state = &mut self.classes[class.at()];
        self.tenants[state.tenant.at()].ready -= 1;
        self.agents[state.agent.at()].ready -= 1;
        state.ready.left(|task, seq| is_ready(runs, task, seq));
    }

    /// The best of the newcomers, if nothing but its own needs decides about it. Otherwise they wait with all others.
    pub(super) fn next_newcomer(&mut self, now: Duration) -> Option<TaskRef> {
        let (_, class, task) = *self.newcomers.last()?;
        let is_free = self.tenants.len() == 1 && self.starts + 1 < AGEING;
        if is_free && self.blocker(class, now).is_none() {
            self.newcomers.pop();
            return Some(task);
        }
        self.line_up();
        None
    }

    /// The task that has been ready the longest and is held up by others alone: it starts, or room is kept for it.
    pub(super) fn next_oldest(&mut self, runs: &Runs<Run>, now: Duration) -> Option<TaskRef> {
        if self.kept.is_some() {
            return None;
        }
        let mut by_age = BinaryHeap::new();
        let mut families = (0..self.families.len()).map(|at| (FamilyId(number(at)), Unbounded));
        let mut next = families.next();
        loop {
            while let Some((family, after)) = next.take() {
                let oldest = self.oldest_of(family, after, runs);
                by_age.extend(oldest.map(|oldest| Reverse((oldest, family))));
                next = families.next();
            }
            let Reverse(((seq, class, task), family)) = by_age.pop()?;
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
            let agent = self.classes[class.at()].agent;
            let may_others = 0 < self.agents[agent.at()].limit;
            next = may_others.then_some((family, Excluded((seq, class))));
        }
    }

    /// The best task of the tenant that has had the least, passing over what may not start.
    pub(super) fn next_best(
        &mut self,
        runs: &Runs<Run>,
        now: Duration,
        wake: &mut impl FnMut(AgentId, Duration),
    ) -> Option<TaskRef> {
        loop {
            self.put_stirred_in_line();
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
                    Some(blocker) => self.block(class, key, blocker, wake),
                }
                continue;
            }
            if state.blocked.is_some() {
                // Its family takes it for better than it is.
                state.announced = None;
                PeekMut::pop(top);
                let family = state.family;
                match best {
                    Some((best, _)) => self.wait(class, best),
                    None => self.leave(class),
                }
                self.stir(family);
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
    pub(super) fn passes(&mut self, class: ClassId, starts: bool) {
        if starts && self.classes[class.at()].blocked.is_some() {
            self.leave(class);
            self.stir(self.classes[class.at()].family);
        }
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

    /// A task of the tenant becomes ready. Who had none has saved nothing up.
    pub(super) fn joins(&mut self, tenant: TenantId) {
        if self.tenants[tenant.at()].ready == 0 && self.tenants.len() > 1 {
            let others = self.tenants.iter().filter(|tenant| tenant.ready > 0);
            let least = others.map(|tenant| tenant.had).min_by(f64::total_cmp);
            let tenant = &mut self.tenants[tenant.at()];
            tenant.had = tenant.had.max(least.unwrap_or(tenant.had));
        }
        self.tenants[tenant.at()].ready += 1;
    }

    /// The class may stand in no list, and have ready tasks. What stands in one is looked at when it comes up.
    pub(in crate::machine) fn look_again(&mut self, class: ClassId) {
        let state = &mut self.classes[class.at()];
        if state.blocked.is_some() || state.announced.is_some() {
            return;
        }
        if let Some(key) = state.ready.top() {
            self.announce(class, key);
        }
    }

    pub(super) fn announce(&mut self, class: ClassId, key: Key) {
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
