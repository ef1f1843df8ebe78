//! Metrics with labels.

use std::sync::Arc;

use crate::counter::{Counter, CounterCell};
use crate::float_counter::{FloatCell, FloatCounter};
use crate::gauge::{Gauge, GaugeCell};
use crate::histogram::{Histogram, HistogramCells};
use crate::store::Store;

/// Counters told apart by `N` label values; clones are the same counters.
///
/// Looking a counter up by its values neither locks nor allocates once it exists. Where the values are known beforehand,
/// [`with`](Self::with) once and keeping the [`Counter`] is quicker still. Past the family's limit
/// ([`max_series`](crate::Definition::max_series)) values share one series whose labels are all `__overflow__`.
///
/// The number of values is checked by the compiler:
///
/// ```compile_fail
/// # let registry = tidegate_telemetry::Registry::new();
/// let errors = registry.counter_vec("errors_total", "Errors.", ["task", "kind"]).unwrap();
/// errors.inc(["only one"]);
/// ```
///
/// ```
/// use tidegate_telemetry::Registry;
///
/// let registry = Registry::new();
/// let errors = registry.counter_vec("errors_total", "Errors by task.", ["task"])?;
/// errors.inc(["fetch"]);
/// errors.with(["fetch"]).inc_by(2);
/// assert_eq!(registry.value_of("errors_total", &[("task", "fetch")]), Some(3.0));
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CounterVec<const N: usize> {
    store: Arc<Store<CounterCell>>,
}

impl<const N: usize> CounterVec<N> {
    pub(crate) fn new(store: Arc<Store<CounterCell>>) -> Self {
        Self { store }
    }

    /// The counter with these values, made when there is none.
    ///
    /// It goes on counting when it is removed from the vector, but nobody reads it any more.
    pub fn with(&self, values: [&str; N]) -> Counter {
        Counter::new(self.store.handle(&values))
    }

    /// Adds one to the counter with these values.
    #[inline]
    pub fn inc(&self, values: [&str; N]) {
        self.inc_by(values, 1);
    }

    /// Adds `n` to the counter with these values.
    #[inline]
    pub fn inc_by(&self, values: [&str; N], n: u64) {
        self.store.with(&values, |series| series.value.add(n));
    }

    /// Removes the counter with these values; whether there was one. The next use makes a new one, at zero.
    pub fn remove(&self, values: [&str; N]) -> bool {
        self.store.remove(&values)
    }

    /// Removes every counter.
    pub fn clear(&self) {
        self.store.clear();
    }
}

/// Counters of fractions told apart by `N` label values; see [`CounterVec`] for what all vectors have in common.
///
/// ```
/// use tidegate_telemetry::Registry;
///
/// let registry = Registry::new();
/// let busy = registry.float_counter_vec("busy_seconds_total", "Time spent working, by agent.", ["agent"])?;
/// busy.inc_by(["gpu"], 0.25);
/// assert_eq!(registry.value_of("busy_seconds_total", &[("agent", "gpu")]), Some(0.25));
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FloatCounterVec<const N: usize> {
    store: Arc<Store<FloatCell>>,
}

impl<const N: usize> FloatCounterVec<N> {
    pub(crate) fn new(store: Arc<Store<FloatCell>>) -> Self {
        Self { store }
    }

    /// The counter with these values, made when there is none.
    pub fn with(&self, values: [&str; N]) -> FloatCounter {
        FloatCounter::new(self.store.handle(&values))
    }

    /// Adds `amount` to the counter with these values; see [`FloatCounter::inc_by`] for amounts that are left out.
    #[inline]
    pub fn inc_by(&self, values: [&str; N], amount: f64) {
        self.store.with(&values, |series| series.value.add(amount));
    }

    /// Removes the counter with these values; whether there was one.
    pub fn remove(&self, values: [&str; N]) -> bool {
        self.store.remove(&values)
    }

    /// Removes every counter.
    pub fn clear(&self) {
        self.store.clear();
    }
}

/// Gauges told apart by `N` label values; see [`CounterVec`] for what all vectors have in common.
///
/// ```
/// use tidegate_telemetry::Registry;
///
/// let registry = Registry::new();
/// let depth = registry.gauge_vec("queue_depth", "Jobs that wait, by queue.", ["queue"])?;
/// depth.set(["mail"], 4.0);
/// assert_eq!(registry.value_of("queue_depth", &[("queue", "mail")]), Some(4.0));
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GaugeVec<const N: usize> {
    store: Arc<Store<GaugeCell>>,
}

impl<const N: usize> GaugeVec<N> {
    pub(crate) fn new(store: Arc<Store<GaugeCell>>) -> Self {
        Self { store }
    }

    /// The gauge with these values, made when there is none.
    pub fn with(&self, values: [&str; N]) -> Gauge {
        Gauge::new(self.store.handle(&values))
    }

    /// Sets the gauge with these values.
    #[inline]
    pub fn set(&self, values: [&str; N], value: f64) {
        self.store.with(&values, |series| series.value.set(value));
    }

    /// Adds `delta`, which may be negative, to the gauge with these values.
    #[inline]
    pub fn add(&self, values: [&str; N], delta: f64) {
        self.store.with(&values, |series| series.value.add(delta));
    }

    /// Removes the gauge with these values; whether there was one.
    pub fn remove(&self, values: [&str; N]) -> bool {
        self.store.remove(&values)
    }

    /// Removes every gauge.
    pub fn clear(&self) {
        self.store.clear();
    }
}

/// Histograms told apart by `N` label values; see [`CounterVec`] for what all vectors have in common.
///
/// ```
/// use tidegate_telemetry::{Buckets, Registry};
///
/// let registry = Registry::new();
/// let seconds = registry.histogram_vec("task_seconds", "Run time by agent.", ["agent"], Buckets::default())?;
/// seconds.observe(["gpu"], 0.3);
/// assert_eq!(seconds.with(["gpu"]).snapshot().count(), 1);
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct HistogramVec<const N: usize> {
    store: Arc<Store<HistogramCells>>,
}

impl<const N: usize> HistogramVec<N> {
    pub(crate) fn new(store: Arc<Store<HistogramCells>>) -> Self {
        Self { store }
    }

    /// The histogram with these values, made when there is none.
    pub fn with(&self, values: [&str; N]) -> Histogram {
        Histogram::new(self.store.handle(&values))
    }

    /// Counts an observation in the histogram with these values.
    #[inline]
    pub fn observe(&self, values: [&str; N], value: f64) {
        self.store.with(&values, |series| series.value.observe(value));
    }

    /// Removes the histogram with these values; whether there was one.
    pub fn remove(&self, values: [&str; N]) -> bool {
        self.store.remove(&values)
    }

    /// Removes every histogram.
    pub fn clear(&self) {
        self.store.clear();
    }
}
