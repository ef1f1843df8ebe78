//! A number that goes up and down.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::LocalKey;

use crate::family::{Heads, Writer};
use crate::series::{Handle, Series};
use crate::snapshot::Value;
use crate::storage::Storage;
use crate::store::Seen;

/// A number that goes up and down; clones share it.
///
/// ```
/// use tidegate_telemetry::Registry;
///
/// let registry = Registry::new();
/// let depth = registry.gauge("queue_depth", "Jobs that wait.")?;
/// depth.set(3.0);
/// depth.inc();
/// assert_eq!(depth.value(), 4.0);
///
/// let running = registry.gauge("running_jobs", "Jobs that run.")?;
/// {
///     let _one = running.track();
///     assert_eq!(running.value(), 1.0);
/// }
/// assert_eq!(running.value(), 0.0);
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Gauge {
    series: Handle<GaugeCell>,
}

impl Gauge {
    pub(crate) fn new(series: Handle<GaugeCell>) -> Self {
        Self { series }
    }

    /// Sets the value; costs one plain store.
    #[inline]
    pub fn set(&self, value: f64) {
        self.series.value.set(value);
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1.0);
    }

    /// Subtracts one.
    #[inline]
    pub fn dec(&self) {
        self.add(-1.0);
    }

    /// Adds `delta`, which may be negative. No concurrent addition is lost; one beside a `set` may come before it.
    #[inline]
    pub fn add(&self, delta: f64) {
        self.series.value.add(delta);
    }

    /// The value now.
    #[inline]
    pub fn value(&self) -> f64 {
        self.series.value.get()
    }

    /// Adds one until the guard is dropped.
    pub fn track(&self) -> Tracked {
        self.inc();
        Tracked { gauge: self.clone() }
    }
}

/// Subtracts one from its gauge when it is dropped; made by [`Gauge::track`].
#[derive(Debug)]
#[must_use = "dropping the guard subtracts again"]
pub struct Tracked {
    gauge: Gauge,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// The value of a gauge, as the bits of a float.
#[derive(Debug, Default)]
pub(crate) struct GaugeCell(AtomicU64);

impl GaugeCell {
    #[inline]
    pub(crate) fn set(&self, value: f64) {
        // ORDERING: Relaxed; a gauge tells nothing about other memory.
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn add(&self, delta: f64) {
        // ORDERING: Relaxed, both; as `set`.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
            Some((f64::from_bits(bits) + delta).to_bits())
        });
    }

    #[inline]
    fn get(&self) -> f64 {
        // ORDERING: Relaxed; as `set`.
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Storage for GaugeCell {
    type Spec = ();

    fn make((): &()) -> Option<Self> {
        Some(Self::default())
    }

    fn version(&self) -> u64 {
        self.get().to_bits()
    }

    fn read(&self) -> Value {
        Value::Gauge(self.get())
    }

    #[inline]
    fn write(series: &Series<Self>, heads: &Heads, to: &mut Writer<'_>) {
        to.line(heads, &series.labels, series.value.get());
    }

    fn invalid((): &()) -> u64 {
        0
    }

    fn seen() -> &'static LocalKey<RefCell<Vec<Seen<Self>>>> {
        thread_local!(static SEEN: RefCell<Vec<Seen<GaugeCell>>> = const { RefCell::new(Vec::new()) });
        &SEEN
    }
}
