//! Who is next: in one line as long as that is enough, then the oldest in its turn, then the best of the tenant that has had
//! the least.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use super::super::ids::FamilyId;
use super::super::ready::{Key, Ready};
use super::super::run::Run;
use super::super::{AgentId, ClassId, Runs, TaskRef, TenantId};
use super::blocked::Blocker;
use super::{AGEING, Admission, is_ready, number};

impl Admission {
    /// Makes room for exactly so many ready tasks more, of these classes.
    pub(in crate::machine) fn reserve(&mut self, mut classes: Vec<ClassId>) {
        if self.is_common() {
            return self.common.reserve(classes.len());
        }
        classes.sort_unstable();
        classes
            .chunk_by(|a, b| a == b)
            .for_each(|of| self.classes[of[0].at()].ready.reserve(of.len()));
    }

    pub(in crate::machine) fn push(
        &mut self,
        class: ClassId,
        key: Key,
        task: TaskRef,
        runs: &Runs<Run>,
    ) {
        let is_common = self.is_common();
        self.ready += 1;
        let state = &self.classes[class.at()];
        self.agents[state.agent.at()].ready += 1;
        self.joins(state.tenant);
        if is_common {
            self.common.push(key, task);
        } else {
            self.line_up(runs);
            self.put_in_line(class, key, task);
        }
    }

    /// Whether the next one stands in line with all others: nobody has been passed over, and no tenant has a share.
    fn is_common(&self) -> bool {
        self.ready == self.common.len() && self.tenants.len() == 1
    }

    /// Where a ready task of the class stands.
    pub(super) fn line_of(&mut self, class: ClassId) -> &mut Ready {
        if self.common.len() > 0 { &mut self.common } else { &mut self.classes[class.at()].ready }
    }

    /// Everybody stands in the line of its class from now on. What comes in its order costs no sorting there.
    pub(super) fn line_up(&mut self, runs: &Runs<Run>) {
        if self.common.len() == 0 {
            return;
        }
        let (entries, by_age) = self.common.take_all();
        for (seq, task) in by_age.into_iter().filter(|(seq, task)| is_ready(runs, *task, *seq)) {
            let class = class_of(runs, task);
            self.classes[class.at()].ready.push_age(seq, task);
            self.comes_of_age(class, seq);
        }
        let mut lines = Vec::new();
        for entry in entries.into_iter().filter(|of| is_ready(runs, of.task, of.key.seq())) {
            let class = class_of(runs, entry.task);
            let line = &mut self.classes[class.at()].ready;
            if line.len() == 0 {
                lines.push(class);
            }
            line.push_entry(entry);
        }
        for class in lines {
            if let Some(key) = self.classes[class.at()].ready.top() {
                self.comes_first(class, key);
            }
        }
    }

    pub(super) fn put_in_line(&mut self, class: ClassId, key: Key, task: TaskRef) {
        self.classes[class.at()].ready.push(key, task);
        self.comes_of_age(class, key.seq());
        self.comes_first(class, key);
    }

    /// A task of the class stands in its line since then.
    fn comes_of_age(&mut self, class: ClassId, seq: u64) {
        let state = &mut self.classes[class.at()];
        if state.since.is_none() {
            state.since = Some(seq);
            self.families[state.family.at()].ages.insert((seq, class));
        }
    }

    /// A task of the class with this key stands in its line, perhaps before all others.
    fn comes_first(&mut self, class: ClassId, key: Key) {
        let state = &self.classes[class.at()];
        match state.blocked {
            None if state.announced.is_none_or(|announced| announced < key) => {
                self.announce(class, key);
            }
            Some(waits) if waits < key => {
                let family = state.family;
                self.wait(class, key);
                self.stir(family);
            }
            _ => {}
        }
    }

    /// A ready task was cancelled; its state says so already.
    pub(in crate::machine) fn left(&mut self, class: ClassId, runs: &Runs<Run>) {
        self.line_of(class).left(|task, seq| is_ready(runs, task, seq));
        self.ready -= 1;
        let state = &self.classes[class.at()];
        self.tenants[state.tenant.at()].ready -= 1;
        self.agents[state.agent.at()].ready -= 1;
    }

    /// The first of the common line, or the oldest in its turn, if nothing but its own needs decides about it. Otherwise all
    /// of them stand in the lines of their classes from now on.
    pub(super) fn next_common(&mut self, runs: &Runs<Run>, now: Duration) -> Option<TaskRef> {
        if self.common.len() == 0 {
            return None;
        }
        let is_turn = self.starts + 1 >= AGEING;
        let is_ready = |task, seq| is_ready(runs, task, seq);
        let task = if is_turn {
            self.common.oldest(is_ready).map(|(_, task)| task)
        } else {
            self.common.best(is_ready).map(|(_, task)| task)
        }?;
        if self.blocker(class_of(runs, task), now).is_none() {
            if !is_turn {
                self.common.pop();
            }
            return Some(task);
        }
        self.line_up(runs);
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

fn class_of(runs: &Runs<Run>, task: TaskRef) -> ClassId {
    runs[task.run].nodes[task.node].class
}
