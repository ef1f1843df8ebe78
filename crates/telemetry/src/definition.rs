//! A metric before it is registered.

mod callbacks;

use std::sync::Arc;
use std::time::Duration;

use crate::buckets::Buckets;
use crate::counter::{Counter, CounterCell};
use crate::error::RegisterError;
use crate::family::{Family, Members, Shape};
use crate::float_counter::{FloatCell, FloatCounter};
use crate::gauge::{Gauge, GaugeCell};
use crate::histogram::{Histogram, HistogramCells, HistogramSpec};
use crate::kind::Kind;
use crate::name;
use crate::registry::Registry;
use crate::storage::Storage;
use crate::store::{Limits, Store};
use crate::vec::{CounterVec, FloatCounterVec, GaugeVec, HistogramVec};

/// A metric before it is registered, by the last call of the chain; from [`Registry::define`].
///
/// ```
/// use std::time::Duration;
/// use tidegate_telemetry::Registry;
///
/// let registry = Registry::new();
/// let sent = registry
///     .define("sent_bytes_total", "Bytes sent, by peer.")
///     .unit("bytes")
///     .max_series(1_000)
///     .expire_after(Duration::from_secs(600))
///     .counter_vec(["peer"])?;
/// sent.inc_by(["10.0.0.7"], 512);
///
/// // The same metric, from elsewhere in the program.
/// let again = registry.define("sent_bytes_total", "").or_existing().counter_vec(["peer"])?;
/// again.inc(["10.0.0.7"]);
/// assert_eq!(registry.sum("sent_bytes_total"), Some(513.0));
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Debug)]
#[must_use = "the last call of the chain registers the metric"]
pub struct Definition<'r> {
    registry: &'r Registry,
    name: String,
    help: String,
    unit: Option<String>,
    limits: Limits,
    reuse: bool,
}

impl<'r> Definition<'r> {
    pub(crate) fn new(registry: &'r Registry, name: String, help: String) -> Self {
        let limits = Limits { max_series: 10_000, idle: None };
        Self { registry, name: registry.full_name(&name), help, unit: None, limits, reuse: false }
    }

    /// Says the unit, as OpenMetrics shows it; it must be the end of the name (of a counter's, before `_total`).
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// At most so many series, 10,000 unless set; further label values share one overflow series, and
    /// `telemetry_overflow_total` counts how often. A label that users feed cannot exhaust the memory.
    pub fn max_series(mut self, max_series: usize) -> Self {
        self.limits.max_series = max_series;
        self
    }

    /// Removes a series when its value has been the same for so long, and nobody holds a handle to it. Zero is never.
    pub fn expire_after(mut self, idle: Duration) -> Self {
        self.limits.idle = Some(idle);
        self
    }

    /// Returns the metric of that name if it is there, with the same kind, labels and bounds; else registers it.
    pub fn or_existing(mut self) -> Self {
        self.reuse = true;
        self
    }

    /// Registers a counter.
    ///
    /// # Errors
    ///
    /// The name or unit cannot be used, or a metric has the name.
    pub fn counter(self) -> Result<Counter, RegisterError> {
        Ok(Counter::new(self.counters([])?.handle(&[])))
    }

    /// Registers a counter that grows by fractions too.
    ///
    /// # Errors
    ///
    /// As [`counter`](Self::counter).
    pub fn float_counter(self) -> Result<FloatCounter, RegisterError> {
        Ok(FloatCounter::new(self.float_counters([])?.handle(&[])))
    }

    /// Registers a gauge.
    ///
    /// # Errors
    ///
    /// The name or unit cannot be used, or a metric has the name.
    pub fn gauge(self) -> Result<Gauge, RegisterError> {
        Ok(Gauge::new(self.gauges([])?.handle(&[])))
    }

    /// Registers a histogram.
    ///
    /// # Errors
    ///
    /// The name, unit or bounds cannot be used, or a metric has one of the names that a histogram writes.
    pub fn histogram(self, buckets: impl Into<Buckets>) -> Result<Histogram, RegisterError> {
        Ok(Histogram::new(self.histograms([], &buckets.into())?.handle(&[])))
    }

    /// Registers counters that are told apart by labels.
    ///
    /// # Errors
    ///
    /// As [`counter`](Self::counter), or a label cannot be used.
    pub fn counter_vec<const N: usize>(
        self,
        labels: [&str; N],
    ) -> Result<CounterVec<N>, RegisterError> {
        self.counters(labels).map(CounterVec::new)
    }

    /// Registers counters that grow by fractions too and are told apart by labels.
    ///
    /// # Errors
    ///
    /// As [`counter`](Self::counter), or a label cannot be used.
    pub fn float_counter_vec<const N: usize>(
        self,
        labels: [&str; N],
    ) -> Result<FloatCounterVec<N>, RegisterError> {
        self.float_counters(labels).map(FloatCounterVec::new)
    }

    /// Registers gauges that are told apart by labels.
    ///
    /// # Errors
    ///
    /// As [`gauge`](Self::gauge), or a label cannot be used.
    pub fn gauge_vec<const N: usize>(
        self,
        labels: [&str; N],
    ) -> Result<GaugeVec<N>, RegisterError> {
        self.gauges(labels).map(GaugeVec::new)
    }

    /// Registers histograms that are told apart by labels.
    ///
    /// # Errors
    ///
    /// As [`histogram`](Self::histogram), or a label cannot be used.
    pub fn histogram_vec<const N: usize>(
        self,
        labels: [&str; N],
        buckets: impl Into<Buckets>,
    ) -> Result<HistogramVec<N>, RegisterError> {
        self.histograms(labels, &buckets.into()).map(HistogramVec::new)
    }

    fn counters<const N: usize>(
        self,
        labels: [&str; N],
    ) -> Result<Arc<Store<CounterCell>>, RegisterError> {
        self.store(Shape::new(Kind::Counter, &labels, Vec::new()), ())
    }

    fn float_counters<const N: usize>(
        self,
        labels: [&str; N],
    ) -> Result<Arc<Store<FloatCell>>, RegisterError> {
        self.store(Shape::new(Kind::Counter, &labels, Vec::new()), Arc::default())
    }

    fn gauges<const N: usize>(
        self,
        labels: [&str; N],
    ) -> Result<Arc<Store<GaugeCell>>, RegisterError> {
        self.store(Shape::new(Kind::Gauge, &labels, Vec::new()), ())
    }

    fn histograms<const N: usize>(
        self,
        labels: [&str; N],
        buckets: &Buckets,
    ) -> Result<Arc<Store<HistogramCells>>, RegisterError> {
        let refused = |reason| RegisterError::Bounds { metric: self.name.clone(), reason };
        let bounds = buckets.checked().map_err(refused)?;
        let spec = Arc::new(HistogramSpec::new(bounds.clone()));
        self.store(Shape::new(Kind::Histogram, &labels, bounds), spec)
    }

    /// Registers a metric whose series are kept here.
    fn store<M: Storage>(
        self,
        shape: Shape,
        spec: M::Spec,
    ) -> Result<Arc<Store<M>>, RegisterError> {
        let (labels, braces, limits) = (shape.labels.clone(), self.braces(), self.limits);
        let family = self.register(shape, || {
            let store: Store<M> = Store::new(labels, braces, spec, limits)?;
            Some(Arc::new(store))
        })?;
        let store = Arc::clone(&family.members).into_any().downcast();
        store.map_err(|_| RegisterError::Differs { metric: family.name.clone(), what: "kind" })
    }

    /// Checks the metric and adds it to the registry, or finds the one that is there.
    fn register(
        self,
        shape: Shape,
        make: impl FnOnce() -> Option<Arc<dyn Members>>,
    ) -> Result<Arc<Family>, RegisterError> {
        let Self { registry, name, help, unit, reuse, .. } = self;
        let constant = registry.constant();
        let labels: Vec<&str> = shape.labels.iter().map(String::as_str).collect();
        name::check_metric(&name, shape.kind)?;
        name::check_labels(&name, shape.kind, constant, &labels)?;
        if let Some(unit) = &unit {
            name::check_unit(&name, shape.kind, unit)?;
        }
        registry.add(&name, &shape, reuse, || {
            let (name, shape) = (name.clone(), shape.clone());
            Some(Family::new(name, help, unit.as_deref(), shape, Arc::clone(constant), make()?))
        })
    }

    /// Whether a series has braces though it has no labels of its own.
    fn braces(&self) -> bool {
        !self.registry.constant().is_empty()
    }
}
