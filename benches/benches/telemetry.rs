//! Groups of `tidegate-telemetry`.
//!
//! `counter/2` and the like have a second thread that does the same without pause; a round counts only if both threads
//! were on a CPU throughout, since two threads that share one CPU do not contend.

#[path = "telemetry/memory.rs"]
mod memory;
#[path = "telemetry/peers.rs"]
mod peers;
#[path = "telemetry/together.rs"]
mod together;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastmetrics::metrics::counter::Counter as FastCounter;
use fastmetrics::metrics::gauge::Gauge as FastGauge;
use fastmetrics::metrics::histogram::Histogram as FastHistogram;
use prometheus_client::metrics::counter::Counter as ClientCounter;
use prometheus_client::metrics::gauge::Gauge as ClientGauge;
use prometheus_client::metrics::histogram::Histogram as ClientHistogram;
use tidegate_benches::{Group, Suite};
use tidegate_telemetry::{Format, Registry};

use crate::memory::bytes_of;
use crate::peers::{Measured, Path, client, metrics_recorder, prometheus};
use crate::together::together;

/// Bounds of the histograms: twelve, as many as most have.
const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0];

fn main() {
    let mut suite = Suite::from_args("telemetry");
    for threads in [1, 2] {
        counter(&mut suite, threads);
        histogram(&mut suite, threads);
        gauge(&mut suite, threads);
        lookup(&mut suite, threads);
    }
    encode(&mut suite, "telemetry/encode/10k", 10_000);
    encode(&mut suite, "telemetry/encode/100k", 100_000);
    encode_histograms(&mut suite);
    memory(&mut suite, "telemetry/bytes/10k", 10_000);
    memory(&mut suite, "telemetry/bytes/100k", 100_000);
    suite.finish();
}

/// The contender for one thread, or for one of two.
fn run<'c>(
    threads: u32,
    operation: impl Fn(u64) + Sync + 'c,
) -> Box<dyn FnMut(u64) -> Duration + 'c> {
    if threads == 2 {
        return Box::new(together(operation));
    }
    Box::new(move |n| {
        let start = Instant::now();
        (0..n).for_each(&operation);
        start.elapsed()
    })
}

fn counter(suite: &mut Suite, threads: u32) {
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

fn histogram(suite: &mut Suite, threads: u32) {
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

fn gauge(suite: &mut Suite, threads: u32) {
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

/// Five methods and twenty paths, in an order that no cache of one entry could follow.
fn picks() -> Vec<(&'static str, String)> {
    let methods = ["GET", "PUT", "POST", "DELETE", "PATCH"];
    (0..1024_u64)
        .map(|i| i.wrapping_mul(0x9e37_79b9) >> 7)
        .map(|r| (methods[r as usize % 5], format!("/api/v1/resource/{:05}", r / 5 % 20)))
        .collect()
}

fn lookup(suite: &mut Suite, threads: u32) {
    let id = format!("telemetry/lookup/{threads}");
    let registry = Registry::new();
    let ours =
        registry.counter_vec("ours_total", "Ours.", ["method", "path"]).expect("it is in order");
    let (_, prom) = prometheus();
    let (_, client) = client();
    let measured = Measured::new();
    let recorder = metrics_recorder();
    let picks = picks();
    let pick = |i: u64| {
        let (method, path) = &picks[i as usize % 1024];
        (*method, path.as_str())
    };
    let owned =
        |(method, path): (&str, &str)| Path { method: method.to_owned(), path: path.to_owned() };
    let group: Group<'_> = suite
        .group(&id)
        .ours(run(threads, |i| ours.inc(pick(i).into())))
        .peer("prometheus", run(threads, |i| prom.with_label_values(&<[&str; 2]>::from(pick(i))).inc()))
        .peer("prometheus-client", run(threads, |i| { client.get_or_create(&owned(pick(i))).inc(); }))
        .peer("measured", run(threads, |i| measured.inc(pick(i))))
        .peer(
            "metrics",
            run(threads, |i| {
                let (method, path) = pick(i);
                metrics::with_local_recorder(&recorder, || {
                    metrics::counter!("c", "method" => method.to_owned(), "path" => path.to_owned()).increment(1);
                });
            }),
        );
    group.at_most(0.6).run();
}

fn encode(suite: &mut Suite, id: &str, series: usize) {
    if !suite.wants(id) {
        return;
    }
    let registry = Registry::new();
    let vec =
        registry.define("ours_total", "Ours.").max_series(series).counter_vec(["method", "path"]);
    let vec = vec.expect("it is in order");
    let (prom_registry, prom) = prometheus();
    let (client_registry, client) = client();
    let measured = Measured::new();
    for i in 0..series {
        let (method, path) = ("GET", format!("/api/v1/resource/{i:06}"));
        let n = i as u64 * 7;
        vec.inc_by([method, &path], n);
        prom.with_label_values(&[method, &path]).inc_by(n);
        client.get_or_create(&Path { method: method.to_owned(), path: path.clone() }).inc_by(n);
        measured.inc_by((method, &path), n);
    }
    let each = |n: u64, mut encode: Box<dyn FnMut() + '_>| {
        let start = Instant::now();
        (0..n).for_each(|_| encode());
        start.elapsed() / series as u32
    };
    let mut out = Vec::new();
    let (mut prom_out, mut client_out, mut measured_out) =
        (String::new(), String::new(), Vec::new());
    suite
        .group(id)
        .ours(|n| {
            each(
                n,
                Box::new(|| {
                    out.clear();
                    registry.encode(Format::Text, &mut out);
                }),
            )
        })
        .peer("prometheus", |n| {
            each(
                n,
                Box::new(|| {
                    prom_out.clear();
                    let encoder = prometheus::TextEncoder::new();
                    encoder
                        .encode_utf8(&prom_registry.gather(), &mut prom_out)
                        .expect("it can be encoded");
                }),
            )
        })
        .peer("prometheus-client", |n| {
            each(
                n,
                Box::new(|| {
                    client_out.clear();
                    let encoded = prometheus_client::encoding::text::encode(
                        &mut client_out,
                        &client_registry,
                    );
                    encoded.expect("it can be encoded");
                }),
            )
        })
        .peer("measured", |n| {
            each(
                n,
                Box::new(|| {
                    measured_out.clear();
                    measured.encode(&mut measured_out);
                }),
            )
        })
        .at_most(0.5)
        .run();
}

fn encode_histograms(suite: &mut Suite) {
    let id = "telemetry/encode/1k-histograms";
    if !suite.wants(id) {
        return;
    }
    let registry = Registry::new();
    let vec = registry.histogram_vec("ours", "Ours.", ["path"], BOUNDS).expect("it is in order");
    let prom_registry = prometheus::Registry::new();
    let opts = prometheus::HistogramOpts::new("h", "h").buckets(BOUNDS.to_vec());
    let prom = prometheus::HistogramVec::new(opts, &["path"]).expect("it is in order");
    prom_registry.register(Box::new(prom.clone())).expect("it is in order");
    let client = prometheus_client::metrics::family::Family::<Vec<(String, String)>, ClientHistogram>::new_with_constructor(
        || ClientHistogram::new(BOUNDS),
    );
    let mut client_registry = prometheus_client::registry::Registry::default();
    client_registry.register("h", "h", client.clone());
    for i in 0..1_000 {
        let path = format!("/api/v1/resource/{i:06}");
        for n in 0..20 {
            let value = f64::from(n) / 4.0;
            vec.observe([&path], value);
            prom.with_label_values(&[&path]).observe(value);
            client.get_or_create(&vec![("path".to_owned(), path.clone())]).observe(value);
        }
    }
    let (mut out, mut prom_out, mut client_out) = (Vec::new(), String::new(), String::new());
    suite
        .group(id)
        .ours(tidegate_benches::timed(|| {
            out.clear();
            registry.encode(Format::Text, &mut out);
        }))
        .peer(
            "prometheus",
            tidegate_benches::timed(|| {
                prom_out.clear();
                prometheus::TextEncoder::new().encode_utf8(&prom_registry.gather(), &mut prom_out)
            }),
        )
        .peer(
            "prometheus-client",
            tidegate_benches::timed(|| {
                client_out.clear();
                prometheus_client::encoding::text::encode(&mut client_out, &client_registry)
            }),
        )
        .at_most(0.5)
        .run();
}

/// Bytes that a series with two labels costs, all in.
fn memory(suite: &mut Suite, id: &str, series: usize) {
    if !suite.wants(id) {
        return;
    }
    let paths: Vec<String> = (0..series).map(|i| format!("/api/v1/resource/{i:06}")).collect();
    let each = |bytes: usize| bytes as f64 / series as f64;
    let ours = bytes_of(|| {
        let registry = Registry::new();
        let vec = registry
            .define("ours_total", "Ours.")
            .max_series(series)
            .counter_vec(["method", "path"]);
        let vec = vec.expect("it is in order");
        paths.iter().for_each(|path| vec.inc(["GET", path]));
        (registry, vec)
    });
    let prom = bytes_of(|| {
        let (registry, vec) = prometheus();
        paths.iter().for_each(|path| vec.with_label_values(&["GET", path]).inc());
        (registry, vec)
    });
    let client = bytes_of(|| {
        let (registry, vec) = client();
        for path in &paths {
            vec.get_or_create(&Path { method: "GET".to_owned(), path: path.clone() }).inc();
        }
        (registry, vec)
    });
    let measured = bytes_of(|| {
        let vec = Measured::new();
        paths.iter().for_each(|path| vec.inc(("GET", path)));
        vec
    });
    suite
        .figure(id, "bytes")
        .ours(&[each(ours)])
        .peer("prometheus", &[each(prom)])
        .peer("prometheus-client", &[each(client)])
        .peer("measured", &[each(measured)])
        .at_most_value(150.0)
        .report();
}
