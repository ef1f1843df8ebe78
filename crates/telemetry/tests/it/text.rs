//! What the two formats look like.

use tidegate_telemetry::{Format, Registry};

fn sample() -> Registry {
    let registry = Registry::builder().label("zone", "eu\"1").build().expect("it is in order");
    registry
        .define("sent_bytes_total", "Bytes\nsent \\ \"all\".")
        .unit("bytes")
        .counter()
        .expect("it is in order")
        .inc_by(7);
    let depth = registry.gauge_vec("depth", "", ["queue"]).expect("it is in order");
    depth.set(["a\nb\\c"], f64::NEG_INFINITY);
    depth.set(["x"], 1e300);
    let seconds = registry
        .histogram_vec("wait_seconds", "Wait.", ["queue"], [0.5, 1.0, 1e6])
        .expect("it is in order");
    [0.5, 0.75, 2e9].into_iter().for_each(|v| seconds.observe(["x"], v));
    registry
}

#[test]
fn text_has_help_type_and_escaped_values() {
    let expected = r#"# TYPE depth gauge
depth{zone="eu\"1",queue="a\nb\\c"} -Inf
depth{zone="eu\"1",queue="x"} 1e300
# HELP sent_bytes_total Bytes\nsent \\ "all".
# TYPE sent_bytes_total counter
sent_bytes_total{zone="eu\"1"} 7
# HELP wait_seconds Wait.
# TYPE wait_seconds histogram
wait_seconds_bucket{zone="eu\"1",queue="x",le="0.5"} 1
wait_seconds_bucket{zone="eu\"1",queue="x",le="1.0"} 2
wait_seconds_bucket{zone="eu\"1",queue="x",le="1e+06"} 2
wait_seconds_bucket{zone="eu\"1",queue="x",le="+Inf"} 3
wait_seconds_sum{zone="eu\"1",queue="x"} 2000000001.25
wait_seconds_count{zone="eu\"1",queue="x"} 3
"#;
    assert_eq!(sample().render(Format::Text), expected);
}

#[test]
fn open_metrics_names_the_family_without_total_and_ends_with_eof() {
    let text = sample().render(Format::OpenMetrics);
    let sent = "# TYPE sent_bytes counter\n# UNIT sent_bytes bytes\n# HELP sent_bytes Bytes\\nsent \\\\ \\\"all\\\".\n\
                sent_bytes_total{zone=\"eu\\\"1\"} 7\n";
    assert!(text.contains(sent), "{text}");
    assert!(
        text.ends_with("wait_seconds_count{zone=\"eu\\\"1\",queue=\"x\"} 3\n# EOF\n"),
        "{text}"
    );
}

#[test]
fn open_metrics_leaves_out_a_sum_that_may_fall() {
    let registry = Registry::new();
    let below = registry.histogram("below", "Has a negative bound.", [-1.0, 1.0]).unwrap();
    below.observe(0.5);
    let fallen = registry.histogram("fallen", "Has a negative sum.", [1.0]).unwrap();
    fallen.observe(-3.0);
    let text = registry.render(Format::OpenMetrics);
    assert!(!text.contains("_sum") && !text.contains("_count"), "{text}");
    assert!(registry.render(Format::Text).contains("fallen_sum -3\nfallen_count 1\n"));
}

#[test]
fn created_timestamps_are_written_when_asked_for() {
    let registry = Registry::builder().created_timestamps().build().unwrap();
    registry.counter("jobs_total", "Jobs.").unwrap().inc();
    registry.histogram("wait_seconds", "Wait.", [1.0]).unwrap();
    let text = registry.render(Format::OpenMetrics);
    for name in ["jobs_created ", "wait_seconds_created "] {
        let line = text.lines().find(|line| line.starts_with(name)).expect("there is such a line");
        let created: f64 = line[name.len()..].parse().unwrap();
        assert!(created > 1.6e9, "{line}");
    }
    assert!(!registry.render(Format::Text).contains("_created"));
}

#[test]
fn encoding_again_gives_the_same_text_and_appends() {
    let registry = sample();
    let mut out = b"before\n".to_vec();
    registry.encode(Format::Text, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        format!("before\n{}", registry.render(Format::Text))
    );
}

#[test]
fn zero_keeps_its_sign() {
    let registry = Registry::new();
    registry.gauge("depth", "").unwrap().set(-0.0);
    assert!(registry.render(Format::Text).ends_with("\ndepth -0.0\n"));
}

#[test]
fn a_bound_of_minus_zero_is_zero() {
    let registry = Registry::new();
    registry.histogram("drift", "x", [-1.0, -0.0, 1.0]).unwrap().observe(0.0);
    let text = registry.render(Format::OpenMetrics);
    assert!(text.contains("drift_bucket{le=\"0.0\"} 1\n"), "{text}");
}
