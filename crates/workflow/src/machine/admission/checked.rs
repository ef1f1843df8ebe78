//! Admission as a test sees it: what it decides is found once more by a look at everything, and its looks are counted.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use super::super::ids::FamilyId;
use super::super::run::Run;
use super::super::{ClassId, Runs, TaskRef};
use super::blocked::Blocker;
use super::{AGEING, Admission, is_ready, number};

thread_local! {
    /// How many classes, and parts of indexes of classes, were looked at.
    pub(in crate::machine) static LOOKS: Cell<usize> = const { Cell::new(0) };
}

impl Admission {
    /// Compares every answer with one that looks at all classes.
    pub(in crate::machine) fn check(&mut self) {
        self.is_checked = true;
    }

    /// The next start is the turn of the task that has been ready the longest.
    pub(in crate::machine) fn make_it_the_turn_of_the_oldest(&mut self) {
        self.starts = AGEING - 1;
    }

    /// How many families there are, how many classes stand in their lists, and how many families wait for an agent.
    pub(in crate::machine) fn families(&self) -> (usize, usize, usize) {
        let listed = self.families.iter().map(|of| of.ages.len() + of.waiting.places());
        let waiting = self.agents.iter().map(|of| of.waiting.len()).sum();
        (self.by_traits.len(), listed.sum(), waiting)
    }

    /// How many numbers families have been given.
    pub(in crate::machine) fn numbers_of_families(&self) -> usize {
        self.families.len()
    }

    fn all(&self) -> impl Iterator<Item = ClassId> + use<> {
        (0..self.classes.len()).map(|at| ClassId(number(at)))
    }

    /// What [`Self::next_best`] is to answer.
    pub(super) fn best_of_all(&mut self, runs: &Runs<Run>, now: Duration) -> Option<TaskRef> {
        let agents = self.agents.iter().map(|of| &of.waiting);
        for waiting in agents.chain(self.resources.iter().map(|of| &of.waiting)) {
            let different: BTreeSet<_> = waiting.iter().collect();
            assert_eq!(different.len(), waiting.len(), "a family waits twice for the same");
            let waits = |of: &FamilyId| !self.families[of.at()].waiting.is_empty();
            assert!(waiting.iter().all(waits), "a family without blocked classes waits");
        }
        let mut ready = vec![0; self.agents.len()];
        let mut best = None;
        for id in self.all() {
            let class = &mut self.classes[id.at()];
            ready[class.agent.at()] += class.ready.len();
            let Some((key, task)) = class.ready.best(|task, seq| is_ready(runs, task, seq)) else {
                continue;
            };
            let tenant = class.tenant;
            if self.blocker(id, now).is_some() {
                continue;
            }
            let had = self.tenants[tenant.at()].had;
            let is_better = best.is_none_or(|(of, has_had, than, _): (_, f64, _, _)| {
                let by_share = has_had.total_cmp(&had).then(Ord::cmp(&of, &tenant));
                by_share.then(key.cmp(&than)).is_gt()
            });
            if is_better {
                best = Some((tenant, had, key, task));
            }
        }
        assert!(self.agents.iter().map(|agent| agent.ready).eq(ready), "they are miscounted");
        best.map(|(.., task)| task)
    }

    /// What [`Self::next_oldest`] is to answer, and the class for which it is to keep room.
    pub(super) fn oldest_of_all(
        &mut self,
        runs: &Runs<Run>,
        now: Duration,
    ) -> (Option<TaskRef>, Option<ClassId>) {
        if let Some(kept) = &self.kept {
            return (None, Some(kept.class));
        }
        let mut by_age = Vec::new();
        for class in self.all() {
            let ready = &mut self.classes[class.at()].ready;
            let oldest = ready.oldest(|task, seq| is_ready(runs, task, seq));
            by_age.extend(oldest.map(|(seq, task)| (seq, class, task)));
        }
        by_age.sort_unstable();
        for (_, class, task) in by_age {
            match self.blocker(class, now) {
                None => return (Some(task), None),
                Some(Blocker::Slots | Blocker::Resource(_)) if self.may_fit(class) => {
                    return (None, Some(class));
                }
                Some(_) => {}
            }
        }
        (None, None)
    }
}
