//! Classes that differ in amounts alone.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::super::ids::FamilyId;
use super::super::ready::Key;
use super::super::run::Run;
use super::super::{AgentId, ClassId, ResourceId, Runs, TaskRef, TenantId};
use super::sizes::Sizes;
use super::{Admission, is_ready, look};

/// What classes of a family have in common.
pub(super) type Traits = (TenantId, AgentId, Box<[ResourceId]>);

/// The classes of one tenant and agent that take of the same resources.
///
/// Its agent holds up all of them or none, and of those that wait for resources only the best that fits is put in line. When
/// that has started, or does not fit any more, the next is looked for.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) traits: Traits,
    /// How many classes there are of it.
    pub(super) classes: usize,
    /// Those that are blocked.
    pub(super) waiting: Sizes,
    /// Since when the first task of each has been ready, or longer: a class whose first task has left stands too early.
    pub(super) ages: BTreeSet<(u64, ClassId)>,
    /// Somebody who waits may fit now.
    pub(super) stirred: bool,
}

impl Family {
    pub(super) fn new(traits: Traits) -> Self {
        let waiting = Sizes::new(traits.2.len());
        Self { traits, classes: 0, waiting, ages: BTreeSet::new(), stirred: false }
    }
}

impl Admission {
    /// The class waits until [`Self::stir`] finds that it fits, with this as its best task.
    pub(super) fn wait(&mut self, class: ClassId, key: Key) {
        let state = &mut self.classes[class.at()];
        state.blocked = Some(key);
        let id = state.family;
        let family = &mut self.families[id.at()];
        if family.waiting.is_empty() {
            let (_, agent, resources) = &family.traits;
            self.agents[agent.at()].waiting.push(id);
            resources.iter().for_each(|of| self.resources[of.at()].waiting.push(id));
        }
        family.waiting.put(class, state.demands.iter().map(|demand| demand.amount), key);
    }

    /// The class waits no more.
    pub(super) fn leave(&mut self, class: ClassId) {
        let state = &mut self.classes[class.at()];
        if state.blocked.take().is_none() {
            return;
        }
        let id = state.family;
        let family = &mut self.families[id.at()];
        family.waiting.take(class);
        if family.waiting.is_empty() {
            let (_, agent, resources) = &family.traits;
            strike(&mut self.agents[agent.at()].waiting, id);
            resources.iter().for_each(|of| strike(&mut self.resources[of.at()].waiting, id));
        }
    }

    /// One of the family may fit now: it is looked for when somebody asks who is next.
    pub(super) fn stir(&mut self, family: FamilyId) {
        stir(family, &mut self.families, &mut self.stirred);
    }

    /// Puts the best of each family in line that has been stirred.
    pub(super) fn put_stirred_in_line(&mut self) {
        while let Some(id) = self.stirred.pop() {
            let family = &mut self.families[id.at()];
            family.stirred = false;
            let (_, agent, resources) = &family.traits;
            let kept = self.kept.as_ref();
            let kept_slots = kept
                .is_some_and(|kept| kept.slots && self.classes[kept.class.at()].agent == *agent);
            let kept_of = |of| kept.is_some_and(|kept| kept.resources.contains(of));
            let state = &self.agents[agent.at()];
            if state.limit <= state.running || kept_slots || resources.iter().any(kept_of) {
                // What changes that stirs it again.
                continue;
            }
            self.free.clear();
            self.free.extend(resources.iter().map(|of| self.resources[of.at()].free()));
            if let Some((key, class)) = family.waiting.best(&self.free) {
                self.announce(class, key);
            }
        }
    }

    /// The class of the family whose first task has been ready the longest, of those that come `after`.
    pub(super) fn oldest_of(
        &mut self,
        family: FamilyId,
        after: Bound<(u64, ClassId)>,
        runs: &Runs<Run>,
    ) -> Option<(u64, ClassId, TaskRef)> {
        let ages = &mut self.families[family.at()].ages;
        loop {
            look();
            let (since, class) = *ages.range((after, Bound::Unbounded)).next()?;
            let state = &mut self.classes[class.at()];
            let oldest = state.ready.oldest(|task, seq| is_ready(runs, task, seq));
            match oldest {
                Some((seq, task)) if seq == since => return Some((seq, class, task)),
                _ => {
                    ages.remove(&(since, class));
                    state.since = oldest.map(|(seq, _)| seq);
                    ages.extend(state.since.map(|seq| (seq, class)));
                }
            }
        }
    }
}

/// Notes, once, that a family is to be looked at.
pub(super) fn stir(id: FamilyId, families: &mut [Family], stirred: &mut Vec<FamilyId>) {
    if !std::mem::replace(&mut families[id.at()].stirred, true) {
        stirred.push(id);
    }
}

fn strike(list: &mut Vec<FamilyId>, id: FamilyId) {
    if let Some(at) = list.iter().position(|of| *of == id) {
        list.swap_remove(at);
    }
}
