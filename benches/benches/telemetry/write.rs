//! Writing through a handle: counters, histograms, gauges.

use std::sync::atomic::{AtomicU64, Ordering};

use fastmetrics::metrics::counter::Counter as FastCounter;
use fastmetrics::metrics::gauge::Gauge as FastGauge;
use fastmetrics::metrics::histogram::Histogram as FastHistogram;
use prometheus_client::metrics::counter::Counter as ClientCounter;
use prometheus_client::metrics::gauge::Gauge as ClientGauge;
use prometheus_client::metrics::histogram::Histogram as ClientHistogram;
use tidegate_benches::Suite;
use tidegate_telemetry::Registry;

use crate::peers::metrics_recorder;
use crate::{BOUNDS, run};

pub(crate) fn counter(suite: &mut Suite, threads: u32) {
    let registry = Registry::new();
    let ours = registry.counter("ours_total", "Ours.").expect("it is in order");
    let plain = AtomicU64::new(0);
    let prom = prometheus::IntCounter::new("c_total", "c").expect("it is in order");
    let client = ClientCounter::<u64>::default();
    let fast = FastCounter::<u64>::default();
    let recorder = metrics_recorder();
    let recorded = metrics::with_local_recorder(&recorder, || metrics::counter!("c"));
    let measured = measured::Counter::new();
    suite
        .group(&format!("telemetry/counter/{threads}"))
        .ours(run(threads, |_| ours.inc()))
        .peer(
            "fetch_add",
            run(threads, |_| {
                plain.fetch_add(1, Ordering::Relaxed);
            }),
        )
        .peer("prometheus", run(threads, |_| prom.inc()))
        .peer(
            "prometheus-client",
            run(threads, |_| {
                client.inc();
            }),
        )
        .peer("metrics", run(threads, |_| recorded.increment(1)))
        .peer("measured", run(threads, |_| measured.inc()))
        .peer("fastmetrics", run(threads, |_| fast.inc()))
        .at_most_of("fetch_add", if threads == 1 { 0.4 } else { 0.15 })
        .run();
}

pub(crate) fn histogram(suite: &mut Suite, threads: u32) {
    let registry = Registry::new();
    let ours = registry.histogram("ours", "Ours.", BOUNDS).expect("it is in order");
    let opts = prometheus::HistogramOpts::new("h", "h").buckets(BOUNDS.to_vec());
    let prom = prometheus::Histogram::with_opts(opts).expect("it is in order");
    let client = ClientHistogram::new(BOUNDS);
    let fast = FastHistogram::new(BOUNDS);
    let measured = measured::Histogram::<12>::with_metadata(
        measured::metric::histogram::Thresholds::with_buckets(BOUNDS),
    );
    // Values in every bucket, in no order that a branch predictor could learn.
    let values: Vec<f64> =
        (0..1024_u64).map(|i| (i.wrapping_mul(0x9e37_79b9) % 7_000) as f64 / 1_000.0).collect();
    let value = |i: u64| values[i as usize % 1024];
    suite
        .group(&format!("telemetry/histogram/{threads}"))
        .ours(run(threads, |i| ours.observe(value(i))))
        .peer("prometheus", run(threads, |i| prom.observe(value(i))))
        .peer("prometheus-client", run(threads, |i| client.observe(value(i))))
        .peer("measured", run(threads, |i| measured.get_metric().observe(value(i))))
        .peer("fastmetrics", run(threads, |i| fast.observe(value(i))))
        .at_most(if threads == 1 { 0.4 } else { 0.08 })
        .run();
}

pub(crate) fn gauge(suite: &mut Suite, threads: u32) {
    let registry = Registry::new();
    let ours = registry.gauge("ours", "Ours.").expect("it is in order");
    let plain = AtomicU64::new(0);
    let prom = prometheus::Gauge::new("g", "g").expect("it is in order");
    let client = ClientGauge::<f64, AtomicU64>::default();
    let fast = FastGauge::<f64>::default();
    suite
        .group(&format!("telemetry/gauge-set/{threads}"))
        .ours(run(threads, |i| ours.set(i as f64)))
        .peer("store", run(threads, |i| plain.store((i as f64).to_bits(), Ordering::Relaxed)))
        .peer("prometheus", run(threads, |i| prom.set(i as f64)))
        .peer(
            "prometheus-client",
            run(threads, |i| {
                client.set(i as f64);
            }),
        )
        .peer("fastmetrics", run(threads, |i| fast.set(i as f64)))
        .at_most_of("store", 1.25)
        .run();
}
