//! All series of one family: made on first use, found without a lock, bounded in number.
//!
//! ```text
//! series: made --remove or expire--> removed (marked; handles still work, nobody reads it) --rebuild--> gone
//! ```
//!
//! Invariants:
//! 1. Two live series of a store never have the same label values: series are made under the write lock, after a search
//!    of the current table.
//! 2. A table that a thread saw earlier holds only series that are live or marked removed, so a hit in it is good, and a
//!    miss says nothing: it is repeated on the current table.
//! 3. Values past the limit share the overflow series, whose labels no other series can have.

mod idle;
mod seen;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use idle::Idle;
use seen::IDS;
pub(crate) use seen::Seen;

use crate::hash::Hasher;
use crate::labels::Labels;
use crate::series::{Handle, Series};
use crate::storage::Storage;
use crate::table::{MAX_SERIES, Table};

/// The value of every label of the overflow series.
pub(crate) const OVERFLOW: &str = "__overflow__";

/// How many series a family may have, and how long an unused one stays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_series: usize,
    pub(crate) idle: Option<Duration>,
}

/// All series of one family.
pub(crate) struct Store<M: Storage> {
    id: usize,
    names: Vec<String>,
    tail: &'static str,
    spec: M::Spec,
    limits: Limits,
    hasher: Hasher,
    /// The generation of the current table.
    generation: AtomicU64,
    state: RwLock<State<M>>,
    full: AtomicBool,
    overflow: Arc<Series<M>>,
    overflowed: AtomicU64,
    idle: Idle<M>,
}

struct State<M> {
    table: Arc<Table<Arc<Series<M>>>>,
    live: usize,
}

impl<M: Storage> Store<M> {
    /// An empty store; `None` when the process has no cells left. `braces`: constant labels come before ours.
    pub(crate) fn new(
        names: Vec<String>,
        braces: bool,
        spec: M::Spec,
        mut limits: Limits,
    ) -> Option<Self> {
        if names.is_empty() {
            // The one series of a metric without labels is neither one too many nor ever unused.
            limits = Limits { max_series: 1, idle: None };
        }
        let tail = if braces || !names.is_empty() { "} " } else { " " };
        let values = vec![OVERFLOW; names.len()];
        let overflow = Arc::new(Series::new(M::make(&spec)?, Labels::new(&names, &values, tail)));
        let table = Arc::new(Table::new(next_generation(), 1));
        Some(Self {
            id: IDS.take(),
            names,
            tail,
            spec,
            limits,
            hasher: Hasher::new(),
            generation: AtomicU64::new(table.generation),
            state: RwLock::new(State { table, live: 0 }),
            full: AtomicBool::new(false),
            overflow,
            overflowed: AtomicU64::new(0),
            idle: Idle::new(),
        })
    }

    pub(crate) fn spec(&self) -> &M::Spec {
        &self.spec
    }

    /// Uses the series with these values, which is made when there is none. Without allocation when there is one.
    #[inline]
    pub(crate) fn with<const N: usize, R>(
        &self,
        values: &[&str; N],
        usage: impl FnOnce(&Arc<Series<M>>) -> R,
    ) -> R {
        let hash = self.hasher.hash(values);
        let mut usage = Some(usage);
        let quick = M::seen().try_with(|seen| {
            let seen = seen.try_borrow().ok()?;
            // ORDERING: Relaxed; an old table only costs the slow way (invariant 2).
            let table = seen.get(self.id)?.table(self.generation.load(Ordering::Relaxed))?;
            let series = table.find(hash, |series| series.is(&self.names, values))?;
            usage.take().map(|usage| usage(series))
        });
        if let Ok(Some(result)) = quick {
            return result;
        }
        let usage = usage.take().expect("it is taken only with a result");
        usage(&self.find_or_make(hash, values))
    }

    /// A handle to the series with these values, which is made when there is none.
    pub(crate) fn handle<const N: usize>(&self, values: &[&str; N]) -> Handle<M> {
        Handle::first_live(|| self.with(values, Handle::new))
    }

    #[cold]
    fn find_or_make(&self, hash: u64, values: &[&str]) -> Arc<Series<M>> {
        let is = |series: &Arc<Series<M>>| series.is(&self.names, values);
        if let Some(series) = self.current().find(hash, is) {
            return Arc::clone(series);
        }
        // ORDERING: Relaxed; a hint that saves the lock, checked under it when unset.
        if self.full.load(Ordering::Relaxed) {
            return self.spill();
        }
        let mut state = self.state.write().expect("nothing panics while the lock is held");
        if let Some(series) = state.table.find(hash, is) {
            return Arc::clone(series);
        }
        if state.live >= self.limits.max_series.min(MAX_SERIES / 2) {
            // ORDERING: Relaxed; as above.
            self.full.store(true, Ordering::Relaxed);
            return self.spill();
        }
        let is_overflow = !values.is_empty() && values.iter().all(|value| *value == OVERFLOW);
        let Some(value) = (!is_overflow).then(|| M::make(&self.spec)).flatten() else {
            return self.spill();
        };
        let series = Arc::new(Series::new(value, Labels::new(&self.names, values, self.tail)));
        if state.table.is_full() {
            self.rebuild(&mut state);
        }
        state.table.add(hash, Arc::clone(&series));
        state.live += 1;
        series
    }

    fn spill(&self) -> Arc<Series<M>> {
        // ORDERING: Relaxed; a count.
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        Arc::clone(&self.overflow)
    }

    /// How many look-ups ended in the overflow series.
    pub(crate) fn overflowed(&self) -> u64 {
        // ORDERING: Relaxed; a count.
        self.overflowed.load(Ordering::Relaxed)
    }

    /// The series with these values, if it is there.
    pub(crate) fn get(&self, values: &[&str]) -> Option<Arc<Series<M>>> {
        let hash = self.hasher.hash(values);
        let found =
            self.table().find(hash, |series| series.is(&self.names, values)).map(Arc::clone);
        found.or_else(|| self.overflow().filter(|series| series.labels.are(&self.names, values)))
    }

    /// Removes the series with these values; whether there was one.
    pub(crate) fn remove(&self, values: &[&str]) -> bool {
        let hash = self.hasher.hash(values);
        let mut state = self.state.write().expect("nothing panics while the lock is held");
        let found = state.table.find(hash, |series| series.is(&self.names, values)).map(Arc::clone);
        let Some(series) = found else { return false };
        series.hold.remove();
        self.forget_one(&mut state);
        true
    }

    /// Removes every series.
    pub(crate) fn clear(&self) {
        let mut state = self.state.write().expect("nothing panics while the lock is held");
        state.table.iter().for_each(|series| series.hold.remove());
        state.live = 0;
        // ORDERING: Relaxed; a hint, see `find_or_make`.
        self.full.store(false, Ordering::Relaxed);
        self.rebuild(&mut state);
    }

    /// Removes series that nobody holds and whose value has been the same for the family's idle time.
    pub(crate) fn expire(&self, now: Instant) {
        let Some(idle) = self.limits.idle else { return };
        let expired = self.idle.expired(&self.table(), idle, now);
        let mut state = self.state.write().expect("nothing panics while the lock is held");
        for _ in expired.iter().filter(|series| series.hold.remove_unheld()) {
            self.forget_one(&mut state);
        }
    }

    /// Calls `visit` with each series: in the order in which they were made, the overflow series last, if it was used.
    pub(crate) fn each(&self, mut visit: impl FnMut(&Series<M>)) {
        let table = self.table();
        table.each(
            |series| series.touch(),
            |series| {
                if !series.hold.is_removed() {
                    visit(series);
                }
            },
        );
        if let Some(overflow) = self.overflow() {
            visit(&overflow);
        }
    }

    /// The overflow series, if it was used.
    fn overflow(&self) -> Option<Arc<Series<M>>> {
        (self.overflowed() > 0).then(|| Arc::clone(&self.overflow))
    }

    /// One series was marked as removed.
    fn forget_one(&self, state: &mut State<M>) {
        state.live -= 1;
        // ORDERING: Relaxed; a hint, see `find_or_make`.
        self.full.store(false, Ordering::Relaxed);
        if state.table.len() > 2 * state.live + 16 {
            self.rebuild(state);
        }
    }

    /// Puts the live series into a new table, with room for more.
    fn rebuild(&self, state: &mut State<M>) {
        let table = Table::new(next_generation(), state.live + state.live / 3 + 1);
        for series in state.table.iter().filter(|series| !series.hold.is_removed()) {
            let values = series.labels.values(&self.names);
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            table.add(self.hasher.hash(&values), Arc::clone(series));
        }
        state.table.supersede();
        state.table = Arc::new(table);
        // ORDERING: Relaxed; as in `with`.
        self.generation.store(state.table.generation, Ordering::Relaxed);
    }

    fn table(&self) -> Arc<Table<Arc<Series<M>>>> {
        Arc::clone(&self.state.read().expect("nothing panics while the lock is held").table)
    }

    /// The current table, remembered for this thread's next look-up.
    fn current(&self) -> Arc<Table<Arc<Series<M>>>> {
        let table = self.table();
        // While the thread's locals are being destroyed there is nothing to remember it in.
        let _ = M::seen().try_with(|seen| Seen::keep(&mut seen.borrow_mut(), self.id, &table));
        table
    }
}

impl<M: Storage> Drop for Store<M> {
    fn drop(&mut self) {
        if let Ok(state) = self.state.get_mut() {
            state.table.supersede();
        }
        IDS.give(self.id);
    }
}

impl<M: Storage> std::fmt::Debug for Store<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("names", &self.names)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A number that no other table of the process has; 0 is none.
fn next_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // ORDERING: Relaxed; only the number counts.
    NEXT.fetch_add(1, Ordering::Relaxed)
}
