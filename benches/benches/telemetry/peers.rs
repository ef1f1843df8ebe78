//! The peers' counters with two string labels, set up the way their documents show.

use fastmetrics::encoder::{EncodeLabelSet as FastLabelSet, LabelSetEncoder};
use fastmetrics::metrics::counter::Counter as FastCounter;
use fastmetrics::metrics::family::Family as FastFamily;
use fastmetrics::metrics::histogram::Histogram as FastHistogram;
use fastmetrics::raw::LabelSetSchema;
use measured::metric::histogram::Thresholds;
use measured::text::TextEncoder;
use measured::{CounterVec, HistogramVec, LabelGroup, MetricGroup};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use paracord::ParaCord;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

pub(crate) fn prometheus() -> (prometheus::Registry, prometheus::IntCounterVec) {
    let registry = prometheus::Registry::new();
    let opts = prometheus::Opts::new("c_total", "c");
    let vec = prometheus::IntCounterVec::new(opts, &["method", "path"]).expect("it is in order");
    registry.register(Box::new(vec.clone())).expect("it is in order");
    (registry, vec)
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Path {
    pub(crate) method: String,
    pub(crate) path: String,
}

impl Path {
    pub(crate) fn of(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned() }
    }
}

impl LabelSetSchema for Path {
    fn names() -> Option<&'static [&'static str]> {
        Some(&["method", "path"])
    }
}

impl FastLabelSet for Path {
    fn encode(&self, encoder: &mut dyn LabelSetEncoder) -> fastmetrics::error::Result<()> {
        encoder.encode(&("method", self.method.as_str()))?;
        encoder.encode(&("path", self.path.as_str()))
    }
}

/// The one label of the histograms.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(crate) struct OnePath(pub(crate) String);

impl LabelSetSchema for OnePath {
    fn names() -> Option<&'static [&'static str]> {
        Some(&["path"])
    }
}

impl FastLabelSet for OnePath {
    fn encode(&self, encoder: &mut dyn LabelSetEncoder) -> fastmetrics::error::Result<()> {
        encoder.encode(&("path", self.0.as_str()))
    }
}

pub(crate) fn fast() -> (fastmetrics::registry::Registry, FastFamily<Path, FastCounter>) {
    let mut registry = fastmetrics::registry::Registry::default();
    let family = FastFamily::<Path, FastCounter>::default();
    registry.register("c", "c", family.clone()).expect("it is in order");
    (registry, family)
}

pub(crate) fn fast_histograms(
    make: impl Fn() -> FastHistogram + Send + Sync + 'static,
) -> (fastmetrics::registry::Registry, FastFamily<OnePath, FastHistogram>) {
    let mut registry = fastmetrics::registry::Registry::default();
    let family = FastFamily::<OnePath, FastHistogram>::new(make);
    registry.register("h", "h", family.clone()).expect("it is in order");
    (registry, family)
}

pub(crate) fn client() -> (prometheus_client::registry::Registry, Family<Path, Counter>) {
    let mut registry = prometheus_client::registry::Registry::default();
    let family = Family::<Path, Counter>::default();
    registry.register("c", "c", family.clone());
    (registry, family)
}

pub(crate) fn metrics_recorder() -> PrometheusRecorder {
    PrometheusBuilder::new().build_recorder()
}

#[derive(Clone, Copy, PartialEq, Debug, LabelGroup)]
#[label(set = PathSet)]
pub(crate) struct MeasuredPath<'a> {
    #[label(dynamic_with = ParaCord)]
    method: &'a str,
    #[label(dynamic_with = ParaCord)]
    path: &'a str,
}

#[derive(MetricGroup)]
struct MeasuredMetrics {
    c: CounterVec<PathSet>,
}

pub(crate) struct Measured(MeasuredMetrics);

impl Measured {
    pub(crate) fn new() -> Self {
        let set = PathSet { method: ParaCord::default(), path: ParaCord::default() };
        Self(MeasuredMetrics { c: CounterVec::with_label_set(set) })
    }

    pub(crate) fn inc(&self, labels: (&str, &str)) {
        self.inc_by(labels, 1);
    }

    pub(crate) fn inc_by(&self, (method, path): (&str, &str), n: u64) {
        self.0.c.inc_by(MeasuredPath { method, path }, n);
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut encoder = TextEncoder::new(out);
        self.0.collect_group_into(&mut encoder).expect("it can be encoded");
    }
}

#[derive(Clone, Copy, PartialEq, Debug, LabelGroup)]
#[label(set = OnePathSet)]
pub(crate) struct MeasuredOnePath<'a> {
    #[label(dynamic_with = ParaCord)]
    path: &'a str,
}

#[derive(MetricGroup)]
struct MeasuredHistogram {
    h: HistogramVec<OnePathSet, 12>,
}

pub(crate) struct MeasuredHistograms(MeasuredHistogram);

impl MeasuredHistograms {
    pub(crate) fn new(bounds: [f64; 12]) -> Self {
        let set = OnePathSet { path: ParaCord::default() };
        let bounds = Thresholds::with_buckets(bounds);
        Self(MeasuredHistogram { h: HistogramVec::with_label_set_and_metadata(set, bounds) })
    }

    pub(crate) fn observe(&self, path: &str, value: f64) {
        self.0.h.observe(MeasuredOnePath { path }, value);
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut encoder = TextEncoder::new(out);
        self.0.collect_group_into(&mut encoder).expect("it can be encoded");
    }
}
