//! The queue of a pool: one lane for each priority, and ageing so that no lane starves.

use std::collections::VecDeque;

/// How urgent a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    /// When there is nothing else to do.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Before the usual.
    High,
    /// Before everything.
    Critical,
}

impl Priority {
    /// All of them, the least urgent first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];
}

/// Of so many starts in a row at least one is that of the job that has waited the longest, whatever its priority. A job therefore
/// starts after at most `AGEING × (jobs that came before it and still wait + 1)` starts.
pub(crate) const AGEING: u32 = 16;

/// Jobs by priority, each lane first in, first out.
#[derive(Debug)]
pub(crate) struct Lanes<T> {
    lanes: [VecDeque<(u64, T)>; 4],
    arrivals: u64,
    /// Starts in a row that overtook the job that has waited the longest. While nothing is overtaken no turn is due to the oldest,
    /// so that an urgent job among others of one class is not made to wait for one of them.
    overtook: u32,
    len: usize,
}

impl<T> Lanes<T> {
    pub(crate) fn new() -> Self {
        Self { lanes: [const { VecDeque::new() }; 4], arrivals: 0, overtook: 0, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, priority: Priority, job: T) {
        self.lanes[priority as usize].push_back((self.arrivals, job));
        self.arrivals += 1;
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<(Priority, T)> {
        let urgent = self.lanes.iter().rposition(|lane| !lane.is_empty())?;
        let oldest = self.oldest().unwrap_or(urgent);
        let lane = if self.overtook + 1 < AGEING { urgent } else { oldest };
        self.overtook = if lane == oldest { 0 } else { self.overtook + 1 };
        self.len -= 1;
        self.lanes[lane].pop_front().map(|(_, job)| (Priority::ALL[lane], job))
    }

    /// Takes everything, the most urgent first.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        self.len = 0;
        self.lanes.iter_mut().rev().flat_map(|lane| lane.drain(..)).map(|(_, job)| job).collect()
    }

    fn oldest(&self) -> Option<usize> {
        let fronts =
            self.lanes.iter().enumerate().filter_map(|(at, lane)| Some((lane.front()?.0, at)));
        fronts.min().map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_jobs_come_first_and_equals_in_order() {
        let mut lanes = Lanes::new();
        for (priority, job) in [
            (Priority::Low, 'd'),
            (Priority::Normal, 'b'),
            (Priority::Critical, 'a'),
            (Priority::Normal, 'c'),
        ] {
            lanes.push(priority, job);
        }
        assert_eq!(
            String::from_iter(std::iter::from_fn(|| lanes.pop().map(|(_, job)| job))),
            "abcd"
        );
        assert_eq!(lanes.len(), 0);
    }

    #[test]
    fn a_low_job_under_a_flood_of_critical_ones_is_next_within_the_stated_bound() {
        let mut lanes = Lanes::new();
        lanes.push(Priority::Low, "low");
        let turn = (1..).find(|_| {
            lanes.push(Priority::Critical, "critical");
            lanes.pop() == Some((Priority::Low, "low"))
        });
        assert!(turn.is_some_and(|turn| turn <= AGEING), "{turn:?}");
    }

    #[test]
    fn an_urgent_job_is_next_however_many_jobs_of_one_class_came_before() {
        for before in 0..2 * AGEING {
            let mut lanes = Lanes::new();
            (0..=before).for_each(|_| lanes.push(Priority::Normal, "normal"));
            (0..before).for_each(|_| assert!(lanes.pop().is_some()));
            lanes.push(Priority::High, "urgent");
            assert_eq!(lanes.pop(), Some((Priority::High, "urgent")), "after {before}");
        }
    }

    #[test]
    fn drained_lanes_are_empty_and_give_the_urgent_first() {
        let mut lanes = Lanes::new();
        lanes.push(Priority::Low, 'b');
        lanes.push(Priority::High, 'a');
        assert_eq!(lanes.drain(), ['a', 'b']);
        assert_eq!((lanes.len(), lanes.pop()), (0, None));
    }

    proptest::proptest! {
        #[test]
        fn every_job_starts_within_the_stated_bound_whatever_comes_after_it(
            jobs in proptest::collection::vec((0..4_usize, 0..3_u8), 1..300),
        ) {
            let mut lanes = Lanes::new();
            // Each job with the starts that it may still wait for.
            let mut left = Vec::<Option<usize>>::new();
            for (priority, takes) in jobs {
                let older = lanes.len();
                lanes.push(Priority::ALL[priority], left.len());
                left.push(Some(AGEING as usize * (older + 1)));
                for _ in 0..takes {
                    let Some((_, job)) = lanes.pop() else { break };
                    for (at, left) in left.iter_mut().enumerate() {
                        let Some(starts) = left else { continue };
                        assert!(*starts > 0, "job {at} waits for longer than stated");
                        *starts -= 1;
                    }
                    assert!(left[job].take().is_some(), "job {job} came twice");
                }
            }
        }
    }
}
