//! Counters of fractions.

use std::thread;

use tidegate_telemetry::{Format, Registry};

#[test]
fn amounts_that_a_counter_cannot_grow_by_are_left_out_and_counted() {
    let registry = Registry::new();
    let busy = registry.float_counter("busy_seconds_total", "x").unwrap();
    busy.inc_by(0.25);
    [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY].into_iter().for_each(|n| busy.inc_by(n));
    assert!(busy.inc_with_exemplar(-1.0, &[("trace", "x")]).is_ok());
    busy.inc_by(-0.0);
    busy.inc_by_duration(std::time::Duration::from_millis(500));
    assert_eq!(busy.value(), 0.75);
    let text = registry.render(Format::OpenMetrics);
    assert!(text.contains("\nbusy_seconds_total 0.75\n"), "{text}");
    assert!(
        text.contains("telemetry_invalid_observations_total{metric=\"busy_seconds_total\"} 5\n"),
        "{text}"
    );
}

#[test]
fn a_count_of_fractions_stays_at_its_maximum() {
    let registry = Registry::new();
    let busy = registry.float_counter("c_total", "x").unwrap();
    busy.inc_by(f64::MAX);
    busy.inc_by(f64::MAX);
    assert_eq!(busy.value(), f64::MAX);
    thread::scope(|scope| {
        scope.spawn(|| busy.inc_by(f64::MAX));
    });
    assert_eq!(busy.value(), f64::MAX);
}

#[test]
fn fractions_from_many_threads_are_all_there() {
    let registry = Registry::new();
    let vec = registry.float_counter_vec("c_total", "x", ["a"]).unwrap();
    let all_there = std::sync::Barrier::new(100);
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                vec.inc_by(["1"], 0.5);
                all_there.wait();
                (0..100).for_each(|_| vec.with(["1"]).inc_by(0.25));
            });
        }
    });
    assert_eq!(registry.value_of("c_total", &[("a", "1")]), Some(2_550.0));
    assert!(vec.remove(["1"]));
    vec.inc_by(["1"], 1.0);
    vec.clear();
    assert_eq!(registry.sum("c_total"), Some(0.0));
}

#[test]
fn a_count_of_fractions_has_exemplars_and_a_creation_time() {
    let registry = Registry::builder().created_timestamps().build().unwrap();
    let busy = registry.float_counter("busy_seconds_total", "x").unwrap();
    busy.inc_with_exemplar(0.5, &[("trace", "7f")]).unwrap();
    let text = registry.render(Format::OpenMetrics);
    assert!(text.contains("\nbusy_seconds_total 0.5 # {trace=\"7f\"} 0.5 "), "{text}");
    assert!(text.contains("\nbusy_seconds_created "), "{text}");
    assert!(registry.define("busy_seconds_total", "x").or_existing().counter().is_err());
    registry.define("busy_seconds_total", "x").or_existing().float_counter().unwrap().inc_by(1.0);
    assert_eq!(busy.value(), 1.5);
}
