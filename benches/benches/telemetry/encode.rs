//! Writing the whole registry as text, into a buffer that has grown before.

use std::time::Duration;

use fastmetrics::format::text::TextProfile;
use fastmetrics::metrics::histogram::Histogram as FastHistogram;
use prometheus_client::metrics::family::Family as ClientFamily;
use prometheus_client::metrics::histogram::Histogram as ClientHistogram;
use tidegate_benches::{Suite, timed};
use tidegate_telemetry::{CounterVec, Format, Registry};

use crate::BOUNDS;
use crate::peers::{
    Measured, MeasuredHistograms, OnePath, Path, client, fast, fast_histograms, metrics_recorder,
    prometheus,
};

/// Counters with two labels.
pub(crate) fn counters_of(registry: &Registry, series: usize) -> CounterVec<2> {
    let define = registry.define("ours_total", "Ours.").max_series(series);
    define.counter_vec(["method", "path"]).expect("it is in order")
}

fn ours(registry: &Registry) -> impl FnMut(u64) -> Duration {
    let mut out = Vec::new();
    timed(move || {
        out.clear();
        registry.encode(Format::Text, &mut out);
    })
}

fn prometheus_text(registry: &prometheus::Registry) -> impl FnMut(u64) -> Duration {
    let mut out = String::new();
    timed(move || {
        out.clear();
        let encoder = prometheus::TextEncoder::new();
        encoder.encode_utf8(&registry.gather(), &mut out).expect("it can be encoded");
    })
}

fn client_text(registry: &prometheus_client::registry::Registry) -> impl FnMut(u64) -> Duration {
    let mut out = String::new();
    timed(move || {
        out.clear();
        prometheus_client::encoding::text::encode(&mut out, registry).expect("it can be encoded");
    })
}

fn fast_text(registry: &fastmetrics::registry::Registry) -> impl FnMut(u64) -> Duration {
    let mut out = String::new();
    timed(move || {
        out.clear();
        fastmetrics::format::text::encode(&mut out, registry, TextProfile::PrometheusV0_0_4)
            .expect("it can be encoded");
    })
}

/// Counters with two labels, per series.
pub(crate) fn counters(suite: &mut Suite, id: &str, series: usize) {
    if !suite.wants(id) {
        return;
    }
    let registry = Registry::new();
    let vec = counters_of(&registry, series);
    let (prom_registry, prom) = prometheus();
    let (client_registry, client) = client();
    let (fast_registry, fast) = fast();
    let measured = Measured::new();
    let recorder = metrics_recorder();
    for i in 0..series {
        let (method, path) = ("GET", format!("/api/v1/resource/{i:06}"));
        let n = i as u64 * 7;
        vec.inc_by([method, &path], n);
        prom.with_label_values(&[method, &path]).inc_by(n);
        client.get_or_create(&Path::of(method, &path)).inc_by(n);
        fast.with_or_new(&Path::of(method, &path), |counter| {
            counter.inc_by(n);
        });
        measured.inc_by((method, &path), n);
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("c", "method" => method, "path" => path).increment(n);
        });
    }
    let handle = recorder.handle();
    let mut measured_out = Vec::new();
    let mut metrics_out = Vec::new();
    suite
        .group(id)
        .ours(ours(&registry))
        .peer("prometheus", prometheus_text(&prom_registry))
        .peer("prometheus-client", client_text(&client_registry))
        .peer("fastmetrics", fast_text(&fast_registry))
        .peer(
            "metrics",
            timed(|| {
                metrics_out.clear();
                handle.render_to_write(&mut metrics_out).expect("a vector takes every write");
            }),
        )
        .peer(
            "measured",
            timed(|| {
                measured_out.clear();
                measured.encode(&mut measured_out);
            }),
        )
        .items(series as u64)
        .at_most(0.5)
        .run();
}

/// Histograms with one label and twelve bounds, per histogram.
pub(crate) fn histograms(suite: &mut Suite, id: &str, series: usize) {
    if !suite.wants(id) {
        return;
    }
    let registry = Registry::new();
    let vec = registry.histogram_vec("ours", "Ours.", ["path"], BOUNDS).expect("it is in order");
    let prom_registry = prometheus::Registry::new();
    let opts = prometheus::HistogramOpts::new("h", "h").buckets(BOUNDS.to_vec());
    let prom = prometheus::HistogramVec::new(opts, &["path"]).expect("it is in order");
    prom_registry.register(Box::new(prom.clone())).expect("it is in order");
    let client =
        ClientFamily::<Vec<(String, String)>, ClientHistogram>::new_with_constructor(|| {
            ClientHistogram::new(BOUNDS)
        });
    let mut client_registry = prometheus_client::registry::Registry::default();
    client_registry.register("h", "h", client.clone());
    let (fast_registry, fast) = fast_histograms(|| FastHistogram::new(BOUNDS));
    let measured = MeasuredHistograms::new(BOUNDS);
    for i in 0..series {
        let path = format!("/api/v1/resource/{i:06}");
        for n in 0..20 {
            let value = f64::from(n) / 4.0;
            vec.observe([&path], value);
            prom.with_label_values(&[&path]).observe(value);
            client.get_or_create(&vec![("path".to_owned(), path.clone())]).observe(value);
            fast.with_or_new(&OnePath(path.clone()), |histogram| histogram.observe(value));
            measured.observe(&path, value);
        }
    }
    let mut measured_out = Vec::new();
    suite
        .group(id)
        .ours(ours(&registry))
        .peer("prometheus", prometheus_text(&prom_registry))
        .peer("prometheus-client", client_text(&client_registry))
        .peer("fastmetrics", fast_text(&fast_registry))
        .peer(
            "measured",
            timed(|| {
                measured_out.clear();
                measured.encode(&mut measured_out);
            }),
        )
        .items(series as u64)
        .at_most(0.5)
        .run();
}
