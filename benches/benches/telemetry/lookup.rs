//! Looking a counter up by two label values, and adding one.

use tidegate_benches::{Group, Suite};
use tidegate_telemetry::Registry;

use crate::peers::{Measured, Path, client, fast, metrics_recorder, prometheus};
use crate::run;

/// Five methods and twenty paths, in an order that no cache of one entry could follow.
fn picks() -> Vec<(&'static str, String)> {
    let methods = ["GET", "PUT", "POST", "DELETE", "PATCH"];
    (0..1024_u64)
        .map(|i| i.wrapping_mul(0x9e37_79b9) >> 7)
        .map(|r| (methods[r as usize % 5], format!("/api/v1/resource/{:05}", r / 5 % 20)))
        .collect()
}

pub(crate) fn lookup(suite: &mut Suite, threads: u32) {
    let id = format!("telemetry/lookup/{threads}");
    let registry = Registry::new();
    let ours =
        registry.counter_vec("ours_total", "Ours.", ["method", "path"]).expect("it is in order");
    let (_, prom) = prometheus();
    let (_, client) = client();
    let (_, fast) = fast();
    let measured = Measured::new();
    let recorder = metrics_recorder();
    let picks = picks();
    let pick = |i: u64| {
        let (method, path) = &picks[i as usize % 1024];
        (*method, path.as_str())
    };
    let owned = |(method, path): (&str, &str)| Path::of(method, path);
    let group: Group<'_> = suite
        .group(&id)
        .ours(run(threads, |i| ours.inc(pick(i).into())))
        .peer("prometheus", run(threads, |i| prom.with_label_values(&<[&str; 2]>::from(pick(i))).inc()))
        .peer("prometheus-client", run(threads, |i| { client.get_or_create(&owned(pick(i))).inc(); }))
        .peer("fastmetrics", run(threads, |i| fast.with_or_new(&owned(pick(i)), |counter| { counter.inc(); })))
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
