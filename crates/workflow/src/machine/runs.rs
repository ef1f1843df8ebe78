//! What is kept of each live run, which every step of every task looks into.

use std::cell::Cell;
use std::ops::Index;

use super::{ById, RunId};

/// One item for each run. The run that was asked for last is mostly the next one, and costs a comparison.
#[derive(Debug)]
pub(crate) struct Runs<T> {
    places: ById<usize>,
    items: Vec<(RunId, T)>,
    last: Cell<usize>,
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self { places: ById::default(), items: Vec::new(), last: Cell::new(0) }
    }
}

impl<T> Runs<T> {
    /// The run that was asked for last.
    #[inline]
    fn last(&self, run: RunId) -> Option<&T> {
        let (of, item) = self.items.get(self.last.get())?;
        (*of == run).then_some(item)
    }

    /// The place of another.
    fn place(&self, run: RunId) -> Option<usize> {
        let place = *self.places.get(&run)?;
        self.last.set(place);
        Some(place)
    }

    #[inline]
    pub(crate) fn get(&self, run: RunId) -> Option<&T> {
        self.last(run).or_else(|| self.place(run).map(|place| &self.items[place].1))
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, run: RunId) -> Option<&mut T> {
        let place = match self.last(run) {
            Some(_) => self.last.get(),
            None => self.place(run)?,
        };
        Some(&mut self.items[place].1)
    }

    pub(crate) fn contains(&self, run: RunId) -> bool {
        self.get(run).is_some()
    }

    /// A run that is not in yet.
    pub(crate) fn insert(&mut self, run: RunId, item: T) {
        let before = self.places.insert(run, self.items.len());
        debug_assert!(before.is_none(), "no two runs share a number");
        self.items.push((run, item));
    }

    pub(crate) fn remove(&mut self, run: RunId) -> Option<T> {
        let place = self.places.remove(&run)?;
        let (_, item) = self.items.swap_remove(place);
        if let Some((moved, _)) = self.items.get(place) {
            self.places.insert(*moved, place);
        }
        // The memory of a peak comes back.
        if 4 * self.items.len() + 64 < self.items.capacity() {
            self.items.shrink_to(2 * self.items.len());
            self.places.shrink_to(2 * self.places.len());
        }
        Some(item)
    }

    /// In no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RunId, &T)> {
        self.items.iter().map(|(run, item)| (*run, item))
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl<T> Index<RunId> for Runs<T> {
    type Output = T;

    fn index(&self, run: RunId) -> &T {
        self.get(run).expect("a run that is live")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_is_found_whichever_were_removed_and_asked_for_before() {
        let mut runs = Runs::default();
        (0..1000).for_each(|id| runs.insert(RunId(id), id));
        let is_gone = |id: u64| id % 7 == 3 || (500..990).contains(&id);
        for id in (0..1000).filter(|id| is_gone(*id)) {
            assert_eq!(runs.get(RunId(999)), Some(&999));
            assert_eq!(runs.get(RunId(id)), Some(&id));
            assert_eq!(runs.remove(RunId(id)), Some(id));
            assert_eq!(runs.get(RunId(id)), None);
            assert_eq!(runs.remove(RunId(id)), None);
        }
        for id in 0..1000 {
            assert_eq!(runs.get_mut(RunId(id)).copied(), (!is_gone(id)).then_some(id));
        }
        assert!(runs.iter().all(|(run, id)| run.0 == *id && !is_gone(*id)));
    }

    #[test]
    fn the_memory_of_many_runs_comes_back() {
        let mut runs = Runs::default();
        (0..10_000).for_each(|id| runs.insert(RunId(id), id));
        assert!((0..10_000).all(|id| runs.remove(RunId(id)) == Some(id)));
        assert!(runs.is_empty() && runs.items.capacity() < 200 && runs.places.capacity() < 200);
    }
}
