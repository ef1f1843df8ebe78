//! All metrics of a program.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use crate::buckets::Buckets;
use crate::counter::Counter;
use crate::definition::Definition;
use crate::error::RegisterError;
use crate::family::{Family, Writer};
use crate::format::Format;
use crate::gauge::Gauge;
use crate::histogram::{Buffers, Histogram};
use crate::kind::Kind;
use crate::name;
use crate::report;
use crate::snapshot::{HistogramSnapshot, Snapshot, Value};
use crate::vec::{CounterVec, GaugeVec, HistogramVec};

/// All metrics of a program, or of a part of it; clones are the same registry.
///
/// Registration refuses whatever would spoil a scrape, so that what is registered can always be read. Names are given
/// without the registry's prefix and are exposed with it; constant labels are exposed with every series, and are not
/// named when a value is read back.
///
/// ```
/// use tidegate_telemetry::{Format, Registry};
///
/// let registry = Registry::new();
/// let depth = registry.gauge("queue_depth", "Jobs that wait.")?;
/// depth.set(7.0);
/// assert_eq!(registry.value("queue_depth"), Some(7.0));
/// assert_eq!(
///     registry.render(Format::Text),
///     "# HELP queue_depth Jobs that wait.\n# TYPE queue_depth gauge\nqueue_depth 7\n",
/// );
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    prefix: String,
    constant: Arc<[(String, String)]>,
    created: bool,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    families: BTreeMap<String, Arc<Family>>,
    /// Sample names, and the metric that has each.
    claimed: HashMap<String, String>,
    /// The families again, so that reading them takes the lock only for a moment and allocates nothing.
    list: Arc<[Arc<Family>]>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self { inner: Arc::new(Inner::new(String::new(), Arc::new([]), false)) }
    }

    /// A registry with a prefix, constant labels or created timestamps.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Describes a metric with more than a name and a help text, to be registered by the last call of the chain.
    pub fn define(&self, name: impl Into<String>, help: impl Into<String>) -> Definition<'_> {
        Definition::new(self, name.into(), help.into())
    }

    /// Registers a counter; its name ends in `_total`.
    ///
    /// # Errors
    ///
    /// The name cannot be used, or a metric has it.
    pub fn counter(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
    ) -> Result<Counter, RegisterError> {
        self.define(name, help).counter()
    }

    /// Registers a gauge.
    ///
    /// # Errors
    ///
    /// The name cannot be used, or a metric has it.
    pub fn gauge(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
    ) -> Result<Gauge, RegisterError> {
        self.define(name, help).gauge()
    }

    /// Registers a histogram.
    ///
    /// # Errors
    ///
    /// The name or the bounds cannot be used, or a metric has one of the names that a histogram writes.
    pub fn histogram(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
        buckets: impl Into<Buckets>,
    ) -> Result<Histogram, RegisterError> {
        self.define(name, help).histogram(buckets)
    }

    /// Registers counters that are told apart by labels.
    ///
    /// # Errors
    ///
    /// As [`counter`](Self::counter), or a label cannot be used.
    pub fn counter_vec<const N: usize>(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
        labels: [&str; N],
    ) -> Result<CounterVec<N>, RegisterError> {
        self.define(name, help).counter_vec(labels)
    }

    /// Registers gauges that are told apart by labels.
    ///
    /// # Errors
    ///
    /// As [`gauge`](Self::gauge), or a label cannot be used.
    pub fn gauge_vec<const N: usize>(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
        labels: [&str; N],
    ) -> Result<GaugeVec<N>, RegisterError> {
        self.define(name, help).gauge_vec(labels)
    }

    /// Registers histograms that are told apart by labels.
    ///
    /// # Errors
    ///
    /// As [`histogram`](Self::histogram), or a label cannot be used.
    pub fn histogram_vec<const N: usize>(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
        labels: [&str; N],
        buckets: impl Into<Buckets>,
    ) -> Result<HistogramVec<N>, RegisterError> {
        self.define(name, help).histogram_vec(labels, buckets)
    }

    /// Removes a metric with all its series; whether there was one. Handles go on working, but nobody reads them.
    pub fn unregister(&self, name: &str) -> bool {
        let name = self.full_name(name);
        let mut state = self.inner.write();
        let removed = state.families.remove(&name);
        if removed.is_some() {
            state.claimed.retain(|_, owner| *owner != name);
            state.relist();
        }
        // The last drop of a family may drop a callback, which is foreign code.
        drop(state);
        removed.is_some()
    }

    /// The value of a counter or gauge without labels; for a histogram, of its `_count` or `_sum`.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.value_of(name, &[])
    }

    /// The value of a counter or gauge with these labels, in any order; for a histogram, of its `_count` or `_sum`.
    ///
    /// `None` when there is no such series: reading makes none. Whatever the calling thread wrote before is in it.
    pub fn value_of(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        match self.read(name, labels) {
            Some(value) => value.number(),
            None => {
                let of = |suffix: &str| self.histogram_of(name.strip_suffix(suffix)?, labels);
                of("_count").map(|h| h.count() as f64).or_else(|| of("_sum").map(|h| h.sum()))
            }
        }
    }

    /// The sum over all series of a counter or gauge; `None` when there is no such metric.
    pub fn sum(&self, name: &str) -> Option<f64> {
        let family = self.family(name).filter(|family| family.kind != Kind::Histogram)?;
        Some(
            family.snapshot().series.iter().filter_map(|series| series.value.number()).sum::<f64>()
                + 0.0,
        )
    }

    /// What the histogram with these labels, in any order, observed.
    pub fn histogram_of(&self, name: &str, labels: &[(&str, &str)]) -> Option<HistogramSnapshot> {
        match self.read(name, labels)? {
            Value::Histogram(histogram) => Some(histogram),
            Value::Counter(_) | Value::Gauge(_) => None,
        }
    }

    /// Every series, as plain data.
    pub fn snapshot(&self) -> Snapshot {
        self.expire(Instant::now());
        let families = self.families();
        let mut all: Vec<_> = families.iter().map(|family| family.snapshot()).collect();
        all.extend(report::snapshots(&families, &self.inner.constant));
        Snapshot { families: all }
    }

    /// The whole registry as text: metrics by name, series in the order in which they were made.
    pub fn render(&self, format: Format) -> String {
        let mut out = Vec::new();
        self.encode(format, &mut out);
        utf8(out)
    }

    /// Appends the whole registry as text; once `out` has grown, this allocates nothing.
    ///
    /// No lock is held while callbacks run, and no writer waits.
    pub fn encode(&self, format: Format, out: &mut Vec<u8>) {
        self.expire(Instant::now());
        let families = self.families();
        let mut writer =
            Writer { out, format, created: self.inner.created, buffers: Buffers::new() };
        families.iter().for_each(|family| family.write(&mut writer));
        report::write(&families, &self.inner.constant, format, out);
        if format == Format::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
    }

    /// Removes the series that [`expire_after`](Definition::expire_after) allows to go at `now`.
    ///
    /// Every [`encode`](Self::encode) and [`snapshot`](Self::snapshot) does it first.
    pub fn expire(&self, now: Instant) {
        self.families().iter().for_each(|family| family.expire(now));
    }

    fn read(&self, name: &str, labels: &[(&str, &str)]) -> Option<Value> {
        self.family(name)?.value(labels)
    }

    fn family(&self, name: &str) -> Option<Arc<Family>> {
        let name = self.full_name(name);
        self.inner
            .state
            .read()
            .expect("nothing panics while the lock is held")
            .families
            .get(&name)
            .cloned()
    }

    fn families(&self) -> Arc<[Arc<Family>]> {
        Arc::clone(&self.inner.read().list)
    }

    pub(crate) fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.inner.prefix)
    }

    pub(crate) fn constant(&self) -> &Arc<[(String, String)]> {
        &self.inner.constant
    }

    /// Adds a family, or refuses it; with `reuse`, hands back the one that is there.
    pub(crate) fn add(
        &self,
        name: &str,
        kind: Kind,
        reuse: bool,
        make: impl FnOnce() -> Option<Family>,
    ) -> Result<Arc<Family>, RegisterError> {
        let mut state = self.inner.write();
        if reuse && let Some(family) = state.families.get(name) {
            return Ok(Arc::clone(family));
        }
        let claims = name::claims(name, kind);
        for sample in &claims {
            if let Some(owner) = state.claimed.get(sample) {
                let (metric, sample, owner) = (name.to_owned(), sample.clone(), owner.clone());
                return Err(RegisterError::Taken { metric, sample, owner });
            }
        }
        let family = make().ok_or_else(|| RegisterError::Exhausted { metric: name.to_owned() })?;
        let family = Arc::new(family);
        state.claimed.extend(claims.into_iter().map(|sample| (sample, name.to_owned())));
        state.families.insert(name.to_owned(), Arc::clone(&family));
        state.relist();
        Ok(family)
    }
}

impl Inner {
    fn new(prefix: String, constant: Arc<[(String, String)]>, created: bool) -> Self {
        let mut state = State::default();
        for name in report::NAMES {
            let claims = name::claims(name, Kind::Counter);
            state.claimed.extend(claims.into_iter().map(|sample| (sample, name.to_owned())));
        }
        Self { prefix, constant, created, state: RwLock::new(state) }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("nothing panics while the lock is held")
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().expect("nothing panics while the lock is held")
    }
}

impl State {
    fn relist(&mut self) {
        self.list = self.families.values().cloned().collect();
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let families = self.families();
        f.debug_struct("Registry")
            .field("metrics", &families.iter().map(|family| &family.name).collect::<Vec<_>>())
            .finish()
    }
}

/// Settings of a new registry; from [`Registry::builder`].
///
/// ```
/// use tidegate_telemetry::{Format, Registry};
///
/// let registry = Registry::builder().prefix("shop").label("zone", "eu").build()?;
/// registry.counter("orders_total", "Orders.")?.inc();
/// assert_eq!(registry.value("orders_total"), Some(1.0));
/// assert!(registry.render(Format::Text).ends_with("shop_orders_total{zone=\"eu\"} 1\n"));
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    prefix: Option<String>,
    constant: Vec<(String, String)>,
    created: bool,
}

impl Builder {
    /// Puts `prefix` and a `_` before the name of every metric.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Adds a label to every series.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.constant.push((name.into(), value.into()));
        self
    }

    /// Writes in OpenMetrics when each counter and histogram was made, as a sample that ends in `_created`.
    ///
    /// Off unless asked for: a server that does not know them stores each as one more series.
    #[must_use]
    pub fn created_timestamps(mut self) -> Self {
        self.created = true;
        self
    }

    /// The registry.
    ///
    /// # Errors
    ///
    /// The prefix cannot begin a metric's name, or a label cannot be used.
    pub fn build(self) -> Result<Registry, RegisterError> {
        let prefix = self.prefix.map(|prefix| format!("{prefix}_")).unwrap_or_default();
        name::check_metric(&format!("{prefix}x"), Kind::Gauge)?;
        // Our own reports have the label `metric`.
        name::check_labels(report::OVERFLOW.name, Kind::Counter, &self.constant, &["metric"])?;
        let inner = Inner::new(prefix, self.constant.into(), self.created);
        Ok(Registry { inner: Arc::new(inner) })
    }
}

fn utf8(text: Vec<u8>) -> String {
    String::from_utf8(text).expect("names, labels and help texts are UTF-8")
}
