//! A number that only grows.

use std::cell::RefCell;
use std::thread::LocalKey;

use crate::exemplar::{self, ExemplarError};
use crate::family::{Heads, Writer};
use crate::local;
use crate::series::{Handle, Series};
use crate::snapshot::Value;
use crate::storage::Storage;
use crate::store::Seen;

/// A number that only grows; clones count together.
///
/// Threads count in cells of their own, so that counting costs a plain load and store however many threads do it. At
/// `u64::MAX` the count stays there; it never goes down.
///
/// ```
/// use tidegate_telemetry::Registry;
///
/// let registry = Registry::new();
/// let requests = registry.counter("requests_total", "Requests answered.")?;
/// requests.inc();
/// requests.inc_by(2);
/// assert_eq!(requests.value(), 3);
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Counter {
    series: Handle<CounterCell>,
}

impl Counter {
    pub(crate) fn new(series: Handle<CounterCell>) -> Self {
        Self { series }
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.series.value.add(1);
    }

    /// Adds `n`.
    #[inline]
    pub fn inc_by(&self, n: u64) {
        self.series.value.add(n);
    }

    /// Adds `n`, and shows `labels` (a trace id, say) beside the count in OpenMetrics until the next exemplar.
    ///
    /// Takes a lock: for the sampled few, not for every count.
    ///
    /// # Errors
    ///
    /// A label name cannot be used or comes twice, a value has a quote, or the labels are too long. `n` is added all the same.
    pub fn inc_with_exemplar(&self, n: u64, labels: &[(&str, &str)]) -> Result<(), ExemplarError> {
        self.inc_by(n);
        exemplar::keep(self.series.value.0, labels, n as f64)
    }

    /// The count so far; what this thread counted, and what others did before they told this thread, is in it.
    pub fn value(&self) -> u64 {
        self.series.value.get()
    }
}

/// Where a counter counts: one cell in each thread.
#[derive(Debug)]
pub(crate) struct CounterCell(u32);

impl CounterCell {
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        local::add(self.0, n);
    }

    #[inline]
    fn get(&self) -> u64 {
        local::total(self.0)
    }
}

impl Storage for CounterCell {
    type Spec = ();

    fn make((): &()) -> Option<Self> {
        local::allocate(1).map(Self)
    }

    fn version(&self) -> u64 {
        self.get()
    }

    fn read(&self) -> Value {
        Value::Counter(self.get() as f64)
    }

    #[inline]
    fn write(series: &Series<Self>, heads: &Heads, to: &mut Writer<'_>) {
        to.whole(heads, &series.labels, series.value.get(), series.value.0);
        to.created(heads, series);
    }

    fn invalid((): &()) -> u64 {
        0
    }

    fn seen() -> &'static LocalKey<RefCell<Vec<Seen<Self>>>> {
        thread_local!(static SEEN: RefCell<Vec<Seen<CounterCell>>> = const { RefCell::new(Vec::new()) });
        &SEEN
    }
}

impl Drop for CounterCell {
    fn drop(&mut self) {
        local::release(self.0, 1);
    }
}
