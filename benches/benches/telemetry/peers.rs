//! The peers' counters with two string labels, set up the way their documents show.

use measured::text::TextEncoder;
use measured::{CounterVec, LabelGroup, MetricGroup};
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
