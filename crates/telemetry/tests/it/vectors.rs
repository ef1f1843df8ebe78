//! Series by label values.

use std::time::{Duration, Instant};

use tidegate_telemetry::{Format, Registry};

#[test]
fn label_sets_that_look_alike_stay_apart() {
    let registry = Registry::new();
    let vec = registry.counter_vec("c_total", "x", ["a", "b"]).unwrap();
    vec.inc_by(["a", "bc"], 1);
    vec.inc_by(["ab", "c"], 10);
    vec.inc_by(["abc", ""], 100);
    assert_eq!(registry.value_of("c_total", &[("b", "bc"), ("a", "a")]), Some(1.0));
    assert_eq!(registry.value_of("c_total", &[("a", "ab"), ("b", "c")]), Some(10.0));
    assert_eq!(registry.value_of("c_total", &[("a", "abc"), ("b", "")]), Some(100.0));
}

#[test]
fn a_hundred_thousand_series_are_all_found_again() {
    let registry = Registry::new();
    let vec = registry.define("c_total", "x").max_series(200_000).counter_vec(["n"]).unwrap();
    for round in 1..=2_u64 {
        (0..100_000_u64).for_each(|n| vec.inc_by([&n.to_string()], n));
        assert_eq!(registry.sum("c_total"), Some((round * 99_999 * 50_000) as f64));
    }
    assert_eq!(registry.value_of("c_total", &[("n", "77777")]), Some(2.0 * 77_777.0));
}

#[test]
fn past_the_limit_values_share_one_series_that_says_so() {
    let registry = Registry::new();
    let vec = registry.define("c_total", "x").max_series(2).counter_vec(["user"]).unwrap();
    for user in ["a", "b", "c", "d", "a", "__overflow__"] {
        vec.inc([user]);
    }
    let text = registry.render(Format::Text);
    let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        samples,
        [
            "c_total{user=\"a\"} 2",
            "c_total{user=\"b\"} 1",
            "c_total{user=\"__overflow__\"} 3",
            "telemetry_overflow_total{metric=\"c_total\"} 3",
        ]
    );
    assert_eq!(registry.value_of("c_total", &[("user", "__overflow__")]), Some(3.0));
    assert!(vec.remove(["a"]));
    vec.inc(["e"]);
    assert_eq!(registry.value_of("c_total", &[("user", "e")]), Some(1.0));
}

#[test]
fn a_removed_series_begins_again_at_zero_and_its_handle_counts_alone() {
    let registry = Registry::new();
    let vec = registry.counter_vec("c_total", "x", ["a"]).unwrap();
    let held = vec.with(["1"]);
    held.inc_by(5);
    assert!(vec.remove(["1"]));
    assert!(!vec.remove(["1"]));
    assert_eq!(registry.value_of("c_total", &[("a", "1")]), None);
    held.inc();
    vec.inc(["1"]);
    assert_eq!(registry.value_of("c_total", &[("a", "1")]), Some(1.0));
    assert_eq!(held.value(), 6);
    vec.clear();
    assert_eq!(registry.sum("c_total"), Some(0.0));
}

#[test]
fn cells_that_are_used_again_begin_at_zero() {
    let registry = Registry::new();
    let counters = registry.counter_vec("c_total", "x", ["a"]).unwrap();
    let histograms = registry.histogram_vec("h", "x", ["a"], [1.0]).unwrap();
    for round in 0..1_000 {
        let round = round.to_string();
        counters.inc([&round]);
        histograms.observe([&round], 0.5);
        assert_eq!(registry.value_of("c_total", &[("a", &round)]), Some(1.0));
        assert_eq!(registry.value_of("h_sum", &[("a", &round)]), Some(0.5));
        counters.clear();
        histograms.clear();
    }
}

#[test]
fn an_unused_series_expires_unless_somebody_holds_it() {
    let registry = Registry::new();
    let idle = Duration::from_secs(60);
    let vec = registry.define("c_total", "x").expire_after(idle).counter_vec(["a"]).unwrap();
    let held = vec.with(["held"]);
    vec.inc(["busy"]);
    vec.inc(["idle"]);
    let start = Instant::now();
    registry.expire(start);
    vec.inc(["busy"]);
    registry.expire(start + idle / 2);
    assert!(registry.value_of("c_total", &[("a", "idle")]).is_some());
    registry.expire(start + idle);
    assert!(registry.value_of("c_total", &[("a", "idle")]).is_none());
    assert!(registry.value_of("c_total", &[("a", "busy")]).is_some());
    registry.expire(start + idle * 2);
    assert!(registry.value_of("c_total", &[("a", "busy")]).is_none());
    assert!(registry.value_of("c_total", &[("a", "held")]).is_some());
    held.inc();
    assert_eq!(registry.sum("c_total"), Some(1.0));
    drop(held);
    registry.expire(start + idle * 3);
    registry.expire(start + idle * 4);
    assert_eq!(registry.sum("c_total"), Some(0.0));
}

#[test]
fn vectors_that_come_and_go_do_not_mix() {
    for round in 0..100 {
        let registry = Registry::new();
        let vec = registry.gauge_vec("depth", "x", ["a"]).unwrap();
        vec.set(["1"], f64::from(round));
        assert_eq!(registry.value_of("depth", &[("a", "1")]), Some(f64::from(round)));
    }
}

#[test]
fn the_overflow_series_cannot_be_had_by_its_labels() {
    let registry = Registry::new();
    let vec = registry.define("c_total", "x").max_series(1).counter_vec(["user"]).unwrap();
    vec.inc(["__overflow__"]);
    vec.inc(["a"]);
    vec.inc(["b"]);
    assert_eq!(registry.value_of("c_total", &[("user", "__overflow__")]), Some(2.0));
    assert_eq!(registry.sum("c_total"), Some(3.0));
    vec.clear();
    vec.inc(["c"]);
    assert_eq!(registry.value_of("c_total", &[("user", "c")]), Some(1.0), "there is room again");
}

#[test]
fn a_metric_without_labels_is_never_too_many_nor_unused() {
    let registry = Registry::new();
    let idle = Duration::from_secs(1);
    let define = || registry.define("c_total", "x").max_series(0).expire_after(idle).or_existing();
    define().counter().unwrap().inc();
    let start = Instant::now();
    registry.expire(start);
    registry.expire(start + idle * 2);
    define().counter().unwrap().inc();
    assert_eq!(registry.value("c_total"), Some(2.0));
    assert!(!registry.render(Format::Text).contains("telemetry_overflow_total"));
}

#[test]
fn the_idle_time_begins_when_the_last_handle_is_dropped() {
    let registry = Registry::new();
    let idle = Duration::from_secs(60);
    let vec = registry.define("c_total", "x").expire_after(idle).counter_vec(["a"]).unwrap();
    let start = Instant::now();
    let held = vec.with(["1"]);
    registry.expire(start);
    registry.expire(start + idle * 2);
    drop(held);
    registry.expire(start + idle * 5 / 2);
    assert_eq!(registry.sum("c_total"), Some(0.0));
    assert!(registry.value_of("c_total", &[("a", "1")]).is_some());
    registry.expire(start + idle * 3);
    assert!(registry.value_of("c_total", &[("a", "1")]).is_none());
}

#[test]
fn an_idle_time_of_zero_is_never() {
    let registry = Registry::new();
    let never = registry.define("c_total", "x").expire_after(Duration::ZERO);
    never.counter_vec(["a"]).unwrap().inc(["1"]);
    let start = Instant::now();
    (0..3).for_each(|second| registry.expire(start + Duration::from_secs(second)));
    assert_eq!(registry.sum("c_total"), Some(1.0));
}
