//! A number that goes up and down.

use std::sync::Arc;

use crate::series::{GaugeCell, Handle, Series};

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
    pub(crate) fn new(series: Arc<Series<GaugeCell>>) -> Self {
        Self { series: Handle::new(series) }
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
