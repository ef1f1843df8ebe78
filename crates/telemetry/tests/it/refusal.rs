//! Nothing that would spoil a scrape can be registered.

use tidegate_telemetry::{Buckets, RegisterError, Registry};

fn message(result: Result<impl Sized, RegisterError>) -> String {
    result.err().expect("it is refused").to_string()
}

#[test]
fn bad_metric_names_are_refused() {
    let registry = Registry::new();
    for name in
        ["", "1a", "a-b", "a b", "é", "a\n", "a{", "depth_total", "depth_created", "depth_bucket"]
    {
        assert!(matches!(registry.gauge(name, "x"), Err(RegisterError::Name { .. })), "{name:?}");
    }
    for name in ["jobs", "_total", "jobs_totals", "jobs_total "] {
        assert!(matches!(registry.counter(name, "x"), Err(RegisterError::Name { .. })), "{name:?}");
    }
    assert_eq!(
        message(registry.counter("jobs", "x")),
        "metric name \"jobs\": the name of a counter must end in `_total`"
    );
}

#[test]
fn bad_labels_are_refused() {
    let registry = Registry::builder().label("zone", "eu").build().unwrap();
    for label in ["", "1a", "a-b", "__name__", "_a", "é", "zone", "x=\"1\",y"] {
        assert!(
            matches!(registry.gauge_vec("depth", "x", [label]), Err(RegisterError::Label { .. })),
            "{label:?}"
        );
    }
    assert!(
        message(registry.gauge_vec("depth", "x", ["a", "a"])).ends_with("label \"a\": comes twice")
    );
    assert!(registry.histogram_vec("wait", "x", ["le"], [1.0]).is_err());
    assert!(registry.gauge_vec("depth", "x", ["le"]).is_ok());
    assert!(Registry::builder().label("metric", "x").build().is_err());
    assert!(Registry::builder().prefix("a-b").build().is_err());
}

#[test]
fn names_that_meet_in_either_format_are_refused() {
    let registry = Registry::new();
    registry.histogram("wait", "x", [1.0]).unwrap();
    registry.counter("jobs_total", "x").unwrap();
    registry.gauge("size_count", "x").unwrap();
    for name in ["wait", "wait_count", "wait_sum", "jobs"] {
        assert!(matches!(registry.gauge(name, "x"), Err(RegisterError::Taken { .. })), "{name}");
    }
    assert!(registry.histogram("size", "x", [1.0]).is_err());
    assert!(registry.histogram("jobs", "x", [1.0]).is_err());
    assert!(registry.counter("wait_total", "x").is_err());
    // A gauge cannot have such a name; a histogram would write it.
    registry.counter("wait_b_total", "x").unwrap();
    assert!(registry.histogram("wait_b", "x", [1.0]).is_err());
    assert!(registry.counter("telemetry_overflow_total", "x").is_err());
    assert_eq!(
        message(registry.gauge("wait_count", "x")),
        "metric \"wait_count\": its sample name \"wait_count\" belongs to metric \"wait\"",
    );
    assert_eq!(
        message(registry.counter("jobs_total", "x")),
        "metric \"jobs_total\": already registered; `or_existing` returns the one that is there",
    );
}

#[test]
fn bad_bounds_are_refused() {
    let registry = Registry::new();
    let bad: [&[f64]; 5] = [
        &[2.0, 1.0],
        &[1.0, 1.0],
        &[f64::NAN],
        &[f64::NEG_INFINITY, 1.0],
        &[f64::INFINITY, f64::INFINITY],
    ];
    for bounds in bad {
        assert!(
            matches!(registry.histogram("wait", "x", bounds), Err(RegisterError::Bounds { .. })),
            "{bounds:?}"
        );
    }
    assert!(registry.histogram("wait", "x", Buckets::linear(0.0, 1.0, 501)).is_err());
    registry.histogram("wait", "x", [1.0, f64::INFINITY]).unwrap().observe(2.0);
    registry.histogram("empty", "x", Vec::new()).unwrap().observe(2.0);
    assert_eq!(registry.histogram_of("wait", &[]).unwrap().counts(), [0, 1]);
    assert_eq!(registry.histogram_of("empty", &[]).unwrap().counts(), [1]);
}

#[test]
fn a_unit_must_end_the_name() {
    let registry = Registry::new();
    for (name, unit) in [("wait_seconds", "bytes"), ("seconds", "seconds"), ("wait_seconds", "")] {
        assert!(
            matches!(
                registry.define(name, "x").unit(unit).gauge(),
                Err(RegisterError::Unit { .. })
            ),
            "{name}"
        );
    }
    registry.define("cpu_seconds_total", "x").unit("seconds").counter().unwrap();
}

#[test]
fn an_existing_metric_is_returned_only_when_it_is_the_same() {
    let registry = Registry::new();
    registry.counter_vec("jobs_total", "x", ["a"]).unwrap().inc(["1"]);
    registry.histogram("wait", "x", [1.0]).unwrap();
    registry.define("jobs_total", "y").or_existing().counter_vec(["a"]).unwrap().inc(["1"]);
    assert_eq!(registry.sum("jobs_total"), Some(2.0));
    let differs = |result: Result<(), RegisterError>, word: &str| {
        assert!(
            message(result).ends_with(&format!("already registered with another {word}")),
            "{word}"
        );
    };
    differs(
        registry.define("jobs_total", "x").or_existing().counter_vec(["b"]).map(drop),
        "list of labels",
    );
    differs(registry.define("wait", "x").or_existing().gauge().map(drop), "kind");
    differs(
        registry.define("wait", "x").or_existing().histogram([2.0]).map(drop),
        "list of bounds",
    );
}

#[test]
fn an_unregistered_name_is_free_again() {
    let registry = Registry::new();
    let old = registry.histogram("wait", "x", [1.0]).unwrap();
    assert!(registry.unregister("wait"));
    assert!(!registry.unregister("wait"));
    old.observe(1.0);
    registry.gauge("wait_count", "x").unwrap();
    assert!(!registry.unregister("telemetry_overflow_total"));
    assert!(registry.counter("telemetry_overflow_total", "x").is_err());
}

#[test]
fn bad_exemplars_are_refused_and_the_value_is_counted() {
    let registry = Registry::new();
    let jobs = registry.counter("jobs_total", "x").unwrap();
    let wait = registry.histogram("wait", "x", [1.0]).unwrap();
    let long = "é".repeat(127);
    for labels in [&[("1", "x")][..], &[("a", "x"), ("a", "y")], &[("a", "\"")], &[("ab", &long)]] {
        assert!(jobs.inc_with_exemplar(1, labels).is_err(), "{labels:?}");
        assert!(wait.observe_with_exemplar(1.0, labels).is_err(), "{labels:?}");
    }
    assert!(jobs.inc_with_exemplar(1, &[("a", &long)]).is_ok());
    assert_eq!((jobs.value(), wait.snapshot().count()), (5, 4));
    let text = registry.render(tidegate_telemetry::Format::OpenMetrics);
    assert_eq!(text.matches(" # {").count(), 1, "{text}");
    assert!(!registry.render(tidegate_telemetry::Format::Text).contains(" # {"));
}
