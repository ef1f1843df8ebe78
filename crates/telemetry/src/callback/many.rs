//! Values of many label sets that are asked for together.

use std::any::Any;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::{Panics, grown, number};
use crate::family::{Heads, Members, Writer};
use crate::kind::Kind;
use crate::labels::Labels;
use crate::snapshot::Value;

/// What a callback says now, label set by label set; see [`gauge_vec_fn`](crate::Definition::gauge_vec_fn).
#[derive(Debug)]
pub struct Readings<'r, const N: usize> {
    rows: &'r mut Rows,
}

impl<'r, const N: usize> Readings<'r, N> {
    pub(crate) fn new(rows: &'r mut Rows) -> Self {
        Self { rows }
    }

    /// Says the value of the series with these labels; of two values for one label set, the later one counts.
    pub fn set(&mut self, values: [&str; N], value: f64) {
        self.rows.set(&values, value);
    }
}

/// Values by their label values.
type Values = BTreeMap<Box<[Box<str>]>, f64>;

/// The readings of one call, sorted, so that the order is the same in every scrape.
#[derive(Debug)]
pub(crate) struct Rows {
    values: Values,
    max: usize,
    left_out: u64,
}

impl Rows {
    fn set(&mut self, values: &[&str], value: f64) {
        let full = self.values.len() >= self.max;
        match self.values.entry(values.iter().map(|value| (*value).into()).collect()) {
            Entry::Occupied(mut entry) => *entry.get_mut() = value,
            Entry::Vacant(_) if full => self.left_out += 1,
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
        }
    }
}

/// A callback that fills in the values of many label sets.
type Read = Box<dyn Fn(&mut Rows) + Send + Sync>;

/// Values of many label sets that are asked for together, by foreign code that may panic.
pub(crate) struct CallbackVec {
    kind: Kind,
    names: Vec<String>,
    tail: &'static str,
    read: Read,
    max_series: usize,
    /// Of counters: what the last reading gave.
    last: Mutex<Values>,
    left_out: AtomicU64,
    panics: Panics,
}

impl CallbackVec {
    /// `braces`: constant labels come before ours.
    pub(crate) fn new(
        kind: Kind,
        names: Vec<String>,
        read: Read,
        braces: bool,
        max_series: usize,
    ) -> Self {
        let tail = if braces || !names.is_empty() { "} " } else { " " };
        let (last, left_out, panics) = (Mutex::default(), AtomicU64::new(0), Panics::default());
        Self { kind, names, tail, read, max_series, last, left_out, panics }
    }

    /// All values now; none when the callback panicked.
    fn now(&self) -> Values {
        let mut rows = Rows { values: Values::new(), max: self.max_series, left_out: 0 };
        if self.panics.contain(|| (self.read)(&mut rows)).is_none() {
            return Values::new();
        }
        // ORDERING: Relaxed; a count.
        self.left_out.fetch_add(rows.left_out, Ordering::Relaxed);
        let mut values = rows.values;
        if self.kind == Kind::Counter {
            let mut last = self.last.lock().expect("nothing panics while the lock is held");
            for (labels, value) in &mut values {
                *value = grown(*value).max(last.get(labels).copied().unwrap_or_default());
            }
            last.clone_from(&values);
        }
        values
    }

    fn each(&self, mut visit: impl FnMut(&Labels, f64)) {
        for (values, value) in self.now() {
            let values: Vec<&str> = values.iter().map(|value| &**value).collect();
            visit(&Labels::new(&self.names, &values, self.tail), value);
        }
    }
}

impl Members for CallbackVec {
    fn write(&self, heads: &Heads, to: &mut Writer<'_>) {
        self.each(|labels, value| to.line(heads, labels, value));
    }

    fn value(&self, values: &[&str]) -> Option<Value> {
        let of =
            |labels: &[Box<str>]| labels.iter().map(|label| &**label).eq(values.iter().copied());
        let (_, value) = self.now().into_iter().find(|(labels, _)| of(labels))?;
        Some(number(self.kind, value))
    }

    fn each_value(&self, visit: &mut dyn FnMut(&Labels, Value)) {
        self.each(|labels, value| visit(labels, number(self.kind, value)));
    }

    fn expire(&self, _: Instant) {}

    fn overflowed(&self) -> u64 {
        // ORDERING: Relaxed; a count.
        self.left_out.load(Ordering::Relaxed)
    }

    fn invalid(&self) -> u64 {
        0
    }

    fn panics(&self) -> u64 {
        self.panics.count()
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl fmt::Debug for CallbackVec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackVec")
            .field("names", &self.names)
            .field("panics", &self.panics)
            .finish_non_exhaustive()
    }
}
