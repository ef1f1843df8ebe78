//! What is due when, as plain values: no clock, no tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::Missed;
use super::cron::Cron;

/// When something is due.
#[derive(Debug, Clone)]
pub(super) enum When {
    At(Timestamp),
    Cron(Arc<Cron>),
}

/// Something that is due.
#[derive(Debug, Clone)]
pub(super) struct Due<J> {
    pub(super) job: J,
    pub(super) at: Timestamp,
}

#[derive(Debug)]
struct Item<J> {
    when: When,
    missed: Missed,
    next: Timestamp,
    job: J,
}

/// Jobs by their ids, each with the next time at which it is due.
#[derive(Debug)]
pub(super) struct Agenda<J> {
    items: BTreeMap<Arc<str>, Item<J>>,
}

impl<J> Default for Agenda<J> {
    fn default() -> Self {
        Self { items: BTreeMap::new() }
    }
}

impl<J: Clone> Agenda<J> {
    /// Adds a job unless one of this id is there.
    pub(super) fn add(
        &mut self,
        id: Arc<str>,
        when: When,
        missed: Missed,
        job: J,
        now: Timestamp,
    ) -> bool {
        let next = match &when {
            When::At(at) => Some(*at),
            When::Cron(cron) => cron.after(now),
        };
        if self.items.contains_key(&id) {
            return false;
        }
        // What never comes again need not be kept.
        if let Some(next) = next {
            self.items.insert(id, Item { when, missed, next, job });
        }
        true
    }

    pub(super) fn remove(&mut self, id: &str) -> bool {
        self.items.remove(id).is_some()
    }

    pub(super) fn next(&self) -> Option<(Arc<str>, Timestamp)> {
        let first = self.items.iter().min_by_key(|(_, item)| item.next)?;
        Some((Arc::clone(first.0), first.1.next))
    }

    /// What is due now, the oldest first; it is not due again. A clock that went back brings nothing twice.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Due<J>> {
        let mut due = Vec::new();
        self.items.retain(|_, item| {
            if now < item.next {
                return true;
            }
            due.extend(item.times(now).into_iter().map(|at| Due { job: item.job.clone(), at }));
            let next = match &item.when {
                When::At(_) => None,
                When::Cron(cron) => cron.after(now),
            };
            item.next = next.unwrap_or(Timestamp::MAX);
            next.is_some()
        });
        // Those of one moment stay in the order of their ids.
        due.sort_by_key(|due| due.at);
        due
    }
}

impl<J> Item<J> {
    /// The times for which it runs, of those from `next` until now.
    fn times(&self, now: Timestamp) -> Vec<Timestamp> {
        let last = match &self.when {
            // What is to run at once is due now.
            When::At(at) if *at == Timestamp::MIN => return vec![now],
            When::At(at) => *at,
            When::Cron(cron) => cron.until(now).unwrap_or(self.next).max(self.next),
        };
        match self.missed {
            Missed::Skip { tolerance } => {
                let age = std::time::Duration::try_from(now.duration_since(last));
                let is_fresh = age.is_ok_and(|age| age <= tolerance);
                if is_fresh { vec![last] } else { Vec::new() }
            }
            Missed::Once => vec![last],
            Missed::Each { at_most } => {
                // Backwards from now, so that years of missed seconds cost nothing.
                let mut times = vec![last];
                while let When::Cron(cron) = &self.when
                    && times.len() < at_most as usize
                    && let Some(before) = times.last().and_then(|at| just_before(*at))
                    && let Some(time) = cron.until(before).filter(|time| self.next <= *time)
                {
                    times.push(time);
                }
                times.truncate(at_most as usize);
                times
            }
        }
    }
}

fn just_before(at: Timestamp) -> Option<Timestamp> {
    at.checked_sub(jiff::SignedDuration::from_nanos(1)).ok()
}
