//! A metric before it is registered.

use std::sync::Arc;
use std::time::Duration;

use crate::buckets::Buckets;
use crate::callback::Callback;
use crate::counter::Counter;
use crate::error::RegisterError;
use crate::family::{Data, Family};
use crate::gauge::Gauge;
use crate::histogram::{Histogram, HistogramCells, HistogramSpec};
use crate::kind::Kind;
use crate::name;
use crate::registry::Registry;
use crate::series::{CounterCell, GaugeCell};
use crate::store::{Limits, Store};
use crate::vec::{CounterVec, GaugeVec, HistogramVec};

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
        let store = self.counters(&[])?;
        Ok(store.with(&[], |series| Counter::new(Arc::clone(series))))
    }

    /// Registers a gauge.
    ///
    /// # Errors
    ///
    /// The name or unit cannot be used, or a metric has the name.
    pub fn gauge(self) -> Result<Gauge, RegisterError> {
        let store = self.gauges(&[])?;
        Ok(store.with(&[], |series| Gauge::new(Arc::clone(series))))
    }

    /// Registers a histogram.
    ///
    /// # Errors
    ///
    /// The name, unit or bounds cannot be used, or a metric has one of the names that a histogram writes.
    pub fn histogram(self, buckets: impl Into<Buckets>) -> Result<Histogram, RegisterError> {
        let store = self.histograms(&[], buckets.into())?;
        Ok(store.with(&[], |series| Histogram::new(Arc::clone(series))))
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
        self.counters(&labels).map(CounterVec::new)
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
        self.gauges(&labels).map(GaugeVec::new)
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
        self.histograms(&labels, buckets.into()).map(HistogramVec::new)
    }

    /// Registers a counter whose value is asked for at each reading.
    ///
    /// It never goes down: a lower reading than before, or one that is no number, changes nothing. Where the callback
    /// panics, the reading is left out, and `telemetry_callback_panics_total` counts it.
    ///
    /// # Errors
    ///
    /// As [`counter`](Self::counter); a metric that is there is never the same, `or_existing` or not.
    pub fn counter_fn(
        self,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        self.callback(Kind::Counter, Box::new(read))
    }

    /// Registers a gauge whose value is asked for at each reading; no lock is held meanwhile.
    ///
    /// Where the callback panics, the reading is left out, and `telemetry_callback_panics_total` counts it.
    ///
    /// ```
    /// # let registry = tidegate_telemetry::Registry::new();
    /// let started = std::time::Instant::now();
    /// registry.define("up_seconds", "Time since the start.").gauge_fn(move || started.elapsed().as_secs_f64())?;
    /// assert!(registry.value("up_seconds").is_some_and(|seconds| seconds >= 0.0));
    /// # Ok::<(), tidegate_telemetry::RegisterError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`gauge`](Self::gauge); a metric that is there is never the same, `or_existing` or not.
    pub fn gauge_fn(
        self,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        self.callback(Kind::Gauge, Box::new(read))
    }

    fn counters(self, labels: &[&str]) -> Result<Arc<Store<CounterCell>>, RegisterError> {
        self.check(Kind::Counter, labels)?;
        let make = || {
            Some(Data::Counter(Arc::new(Store::new(
                owned(labels),
                self.braces(),
                (),
                self.limits,
            )?)))
        };
        match &self.register(Kind::Counter, labels, make)?.data {
            Data::Counter(store) => Ok(Arc::clone(store)),
            Data::Gauge(_) | Data::Histogram(_) | Data::Callback(_) => Err(self.differs("kind")),
        }
    }

    fn gauges(self, labels: &[&str]) -> Result<Arc<Store<GaugeCell>>, RegisterError> {
        self.check(Kind::Gauge, labels)?;
        let make = || {
            Some(Data::Gauge(Arc::new(Store::new(owned(labels), self.braces(), (), self.limits)?)))
        };
        match &self.register(Kind::Gauge, labels, make)?.data {
            Data::Gauge(store) => Ok(Arc::clone(store)),
            Data::Counter(_) | Data::Histogram(_) | Data::Callback(_) => Err(self.differs("kind")),
        }
    }

    fn histograms(
        self,
        labels: &[&str],
        buckets: Buckets,
    ) -> Result<Arc<Store<HistogramCells>>, RegisterError> {
        self.check(Kind::Histogram, labels)?;
        let refused = |reason| RegisterError::Bounds { metric: self.name.clone(), reason };
        let spec = Arc::new(HistogramSpec::new(buckets.checked().map_err(refused)?));
        let make = || {
            let store = Store::new(owned(labels), self.braces(), Arc::clone(&spec), self.limits)?;
            Some(Data::Histogram(Arc::new(store)))
        };
        match &self.register(Kind::Histogram, labels, make)?.data {
            Data::Histogram(store) if store.spec().bounds == spec.bounds => Ok(Arc::clone(store)),
            Data::Histogram(_) => Err(self.differs("list of bounds")),
            Data::Counter(_) | Data::Gauge(_) | Data::Callback(_) => Err(self.differs("kind")),
        }
    }

    fn callback(
        mut self,
        kind: Kind,
        read: Box<dyn Fn() -> f64 + Send + Sync>,
    ) -> Result<(), RegisterError> {
        self.reuse = false;
        self.check(kind, &[])?;
        let braces = self.braces();
        self.register(kind, &[], || Some(Data::Callback(Arc::new(Callback::new(read, braces)))))?;
        Ok(())
    }

    fn check(&self, kind: Kind, labels: &[&str]) -> Result<(), RegisterError> {
        name::check_metric(&self.name, kind)?;
        name::check_labels(&self.name, kind, self.registry.constant(), labels)?;
        self.unit.as_ref().map_or(Ok(()), |unit| name::check_unit(&self.name, kind, unit))
    }

    fn register(
        &self,
        kind: Kind,
        labels: &[&str],
        make: impl FnOnce() -> Option<Data>,
    ) -> Result<Arc<Family>, RegisterError> {
        let constant = Arc::clone(self.registry.constant());
        let make = || {
            let (name, help) = (self.name.clone(), self.help.clone());
            Some(Family::new(name, help, self.unit.as_deref(), kind, constant, make()?))
        };
        let family = self.registry.add(&self.name, kind, self.reuse, make)?;
        if family.kind != kind {
            Err(self.differs("kind"))
        } else if family.labels() != labels {
            Err(self.differs("list of labels"))
        } else {
            Ok(family)
        }
    }

    fn braces(&self) -> bool {
        !self.registry.constant().is_empty()
    }

    fn differs(&self, what: &'static str) -> RegisterError {
        RegisterError::Differs { metric: self.name.clone(), what }
    }
}

fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}
