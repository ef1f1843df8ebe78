//! Which series have not changed for long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::series::Series;
use crate::storage::Storage;
use crate::table::Table;

/// Which series have not changed for long.
pub(super) struct Idle<M> {
    /// By address: keeping the series keeps the address from being used again.
    since: Mutex<HashMap<usize, Unchanged<M>>>,
}

/// A series, its version, and when that was first seen.
type Unchanged<M> = (Arc<Series<M>>, u64, Instant);

impl<M: Storage> Idle<M> {
    pub(super) fn new() -> Self {
        Self { since: Mutex::new(HashMap::new()) }
    }

    /// Live series that nobody holds and whose value has been the same for `idle`; zero is never.
    pub(super) fn expired(
        &self,
        table: &Table<Arc<Series<M>>>,
        idle: Duration,
        now: Instant,
    ) -> Vec<Arc<Series<M>>> {
        let mut before = self.since.lock().expect("nothing panics while the lock is held");
        let mut after = HashMap::new();
        let mut expired = Vec::new();
        for series in table.iter().filter(|series| !series.hold.is_removed()) {
            let key = Arc::as_ptr(series) as usize;
            // In this order: what a holder wrote before it let go is in the version.
            let held = series.hold.is_held();
            let version = series.value.version();
            let since = before
                .get(&key)
                .filter(|(_, v, _)| *v == version && !held)
                .map_or(now, |(.., since)| *since);
            if now.saturating_duration_since(since) >= idle && !held && !idle.is_zero() {
                expired.push(Arc::clone(series));
            } else {
                after.insert(key, (Arc::clone(series), version, since));
            }
        }
        *before = after;
        expired
    }
}
