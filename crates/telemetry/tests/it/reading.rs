//! Values read back, snapshots.

use tidegate_telemetry::{Buckets, Format, Registry};

#[test]
fn every_value_is_read_back_by_the_name_it_was_given() {
    let registry = Registry::builder().prefix("app").label("zone", "eu").build().unwrap();
    registry.counter("jobs_total", "x").unwrap().inc_by(3);
    registry.gauge("depth", "x").unwrap().set(-1.5);
    let wait = registry.histogram("wait", "x", [1.0]).unwrap();
    wait.observe(0.25);
    wait.observe(4.0);
    assert_eq!(registry.value("jobs_total"), Some(3.0));
    assert_eq!(registry.value("depth"), Some(-1.5));
    assert_eq!(registry.value("wait_count"), Some(2.0));
    assert_eq!(registry.value("wait_sum"), Some(4.25));
    assert_eq!(registry.value("wait"), None);
    assert_eq!(registry.value("nothing"), None);
    assert_eq!(registry.value_of("depth", &[("zone", "eu")]), None);
}

#[test]
fn a_counter_stays_at_its_maximum() {
    let registry = Registry::new();
    let counter = registry.counter("c_total", "x").unwrap();
    counter.inc_by(u64::MAX - 1);
    counter.inc_by(5);
    std::thread::scope(|scope| {
        scope.spawn(|| counter.inc_by(5));
    });
    assert_eq!(counter.value(), u64::MAX);
    assert!(registry.render(Format::Text).ends_with("c_total 18446744073709551615\n"));
}

#[test]
fn what_is_no_number_is_counted_and_left_out() {
    let registry = Registry::new();
    let wait = registry.histogram("wait", "x", [1.0]).unwrap();
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.5].into_iter().for_each(|v| wait.observe(v));
    let seen = wait.snapshot();
    assert_eq!((seen.count(), seen.sum()), (1, 0.5));
    assert!(
        registry
            .render(Format::Text)
            .ends_with("telemetry_invalid_observations_total{metric=\"wait\"} 3\n")
    );
}

#[test]
fn quantiles_are_interpolated_as_promql_does() {
    let registry = Registry::new();
    let wait = registry.histogram("wait", "x", [1.0, 2.0, 4.0]).unwrap();
    assert_eq!(wait.snapshot().quantile(0.5), None);
    (0..50).for_each(|_| wait.observe(0.5));
    (0..50).for_each(|_| wait.observe(3.0));
    let seen = wait.snapshot();
    assert_eq!(seen.quantile(0.25), Some(0.5));
    assert_eq!(seen.quantile(0.5), Some(1.0));
    assert_eq!(seen.quantile(0.75), Some(3.0));
    assert_eq!(seen.quantile(1.0), Some(4.0));
    assert_eq!(seen.quantile(1.5), None);
    assert_eq!(seen.quantile(f64::NAN), None);
    (0..900).for_each(|_| wait.observe(100.0));
    assert_eq!(wait.snapshot().quantile(0.99), Some(4.0));
    assert_eq!(wait.snapshot().mean(), Some((25.0 + 150.0 + 90_000.0) / 1_000.0));
}

#[test]
fn a_difference_holds_what_happened_between_two_snapshots() {
    let registry = Registry::new();
    let jobs = registry.counter_vec("jobs_total", "x", ["a"]).unwrap();
    let depth = registry.gauge("depth", "x").unwrap();
    let wait = registry.histogram("wait", "x", Buckets::default()).unwrap();
    jobs.inc_by(["old"], 4);
    jobs.inc_by(["again"], 9);
    wait.observe(0.1);
    let before = registry.snapshot();
    jobs.inc_by(["old"], 2);
    jobs.inc_by(["new"], 5);
    jobs.remove(["again"]);
    jobs.inc(["again"]);
    depth.set(-3.0);
    wait.observe(0.2);
    let since = registry.snapshot().since(&before);
    assert_eq!(since.value("jobs_total", &[("a", "old")]), Some(2.0));
    assert_eq!(since.value("jobs_total", &[("a", "new")]), Some(5.0));
    assert_eq!(since.value("jobs_total", &[("a", "again")]), Some(1.0));
    assert_eq!(since.value("jobs_total", &[]), None, "labels are all or nothing");
    assert_eq!(since.value("depth", &[]), Some(-3.0));
    assert_eq!(since.value("wait_count", &[]), Some(1.0));
    assert!((since.value("wait_sum", &[]).unwrap() - 0.2).abs() < 1e-12);
}

#[test]
fn timers_and_guards_end_with_their_scope() {
    let registry = Registry::new();
    let wait = registry.histogram("wait_seconds", "x", Buckets::default()).unwrap();
    let running = registry.gauge("running", "x").unwrap();
    {
        let _timer = wait.start_timer();
        let (_a, _b) = (running.track(), running.track());
        assert_eq!(running.value(), 2.0);
    }
    wait.start_timer().discard();
    assert_eq!((wait.snapshot().count(), running.value()), (1, 0.0));
}

#[test]
fn a_histogram_that_was_made_again_counts_from_zero() {
    let registry = Registry::new();
    let wait = registry.histogram_vec("wait", "x", ["a"], [1.0]).unwrap();
    (0..3).for_each(|_| wait.observe(["1"], 0.5));
    let before = registry.snapshot();
    wait.remove(["1"]);
    wait.observe(["1"], 2.0);
    let since = registry.snapshot().since(&before);
    assert_eq!(since.histogram("wait", &[("a", "1")]).unwrap().counts(), [0, 1]);
}

#[test]
fn a_quantile_below_the_lowest_bound_is_that_bound_where_values_may_be_negative() {
    let registry = Registry::new();
    let wait = registry.histogram("wait", "x", [-1.0, 1.0]).unwrap();
    wait.observe(-5.0);
    assert_eq!(wait.snapshot().quantile(0.5), Some(-1.0));
    assert_eq!(wait.snapshot().quantile(0.0), Some(-1.0));
}
