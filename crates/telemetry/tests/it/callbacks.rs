//! Values that are asked for when they are read.

use std::sync::{Arc, Mutex};

use tidegate_telemetry::{Format, Readings, Registry};

fn samples(registry: &Registry) -> Vec<String> {
    let text = registry.render(Format::Text);
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn a_callback_that_panics_costs_only_its_own_reading() {
    let registry = Registry::new();
    registry.define("bad", "x").gauge_fn(|| panic!("from a test")).unwrap();
    registry.define("good", "x").gauge_fn(|| 2.0).unwrap();
    let text = registry.render(Format::Text);
    assert_eq!(
        text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(),
        ["good 2", "telemetry_callback_panics_total{metric=\"bad\"} 1"],
    );
    assert_eq!(registry.value("bad"), None);
}

#[test]
fn a_callback_may_use_the_registry() {
    let registry = Registry::new();
    let inside = registry.clone();
    let read = move || {
        inside
            .define("made_inside", "x")
            .or_existing()
            .gauge()
            .map_or(-1.0, |gauge| gauge.value() + 1.0)
    };
    registry.define("outer", "x").gauge_fn(read).unwrap();
    assert!(registry.render(Format::Text).contains("outer 1\n"));
    assert_eq!(registry.value("made_inside"), Some(0.0));
}

#[test]
fn a_counter_callback_never_goes_down() {
    let registry = Registry::new();
    let readings = Mutex::new(vec![f64::NAN, 3.0, -1.0, 5.0, 2.0]);
    let read = move || readings.lock().unwrap().pop().unwrap_or(0.0);
    registry.define("c_total", "x").counter_fn(read).unwrap();
    let seen: Vec<f64> = (0..5).map(|_| registry.value("c_total").unwrap()).collect();
    assert_eq!(seen, [2.0, 5.0, 5.0, 5.0, 5.0]);
}

/// What a callback is to say next.
type Rows = Arc<Mutex<Vec<(&'static str, f64)>>>;

#[test]
fn a_family_has_the_series_that_its_callback_names_now_in_the_order_of_their_labels() {
    let registry = Registry::builder().label("zone", "eu").build().unwrap();
    let rows: Rows = Arc::new(Mutex::new(vec![("mail", 3.0), ("a\"b", -1.5), ("mail", 4.0)]));
    let said = Arc::clone(&rows);
    let read = move |readings: &mut Readings<'_, 2>| {
        said.lock().unwrap().iter().for_each(|(queue, n)| readings.set([queue, "x"], *n));
    };
    registry.define("depth", "x").gauge_vec_fn(["queue", "of"], read).unwrap();
    assert_eq!(
        samples(&registry),
        [
            "depth{zone=\"eu\",queue=\"a\\\"b\",of=\"x\"} -1.5",
            "depth{zone=\"eu\",queue=\"mail\",of=\"x\"} 4"
        ]
    );
    assert_eq!(registry.value_of("depth", &[("of", "x"), ("queue", "mail")]), Some(4.0));
    assert_eq!(registry.value_of("depth", &[("of", "y"), ("queue", "mail")]), None);
    assert_eq!(registry.sum("depth"), Some(2.5));
    let labels = [("zone", "eu"), ("queue", "mail"), ("of", "x")];
    assert_eq!(registry.snapshot().value("depth", &labels), Some(4.0));
    rows.lock().unwrap().clear();
    assert_eq!(samples(&registry), [""; 0]);
}

#[test]
fn counters_that_are_asked_for_never_go_down_until_they_are_left_out() {
    let registry = Registry::new();
    let rows: Rows = Arc::default();
    let said = Arc::clone(&rows);
    let read = move |readings: &mut Readings<'_, 1>| {
        said.lock().unwrap().iter().for_each(|(disk, n)| readings.set([disk], *n));
    };
    registry.define("reads_total", "x").counter_vec_fn(["disk"], read).unwrap();
    let next = |now: &[(&'static str, f64)]| {
        *rows.lock().unwrap() = now.to_vec();
        samples(&registry)
    };
    assert_eq!(
        next(&[("a", 5.0), ("b", f64::NAN)]),
        ["reads_total{disk=\"a\"} 5", "reads_total{disk=\"b\"} 0"]
    );
    assert_eq!(
        next(&[("a", 4.0), ("b", -1.0)]),
        ["reads_total{disk=\"a\"} 5", "reads_total{disk=\"b\"} 0"]
    );
    assert_eq!(next(&[("a", f64::NAN)]), ["reads_total{disk=\"a\"} 5"]);
    assert_eq!(next(&[]), [""; 0]);
    assert_eq!(next(&[("a", 1.0)]), ["reads_total{disk=\"a\"} 1"]);
}

#[test]
fn a_family_that_panics_midway_is_left_out_whole() {
    let registry = Registry::new();
    let read = |readings: &mut Readings<'_, 1>| {
        readings.set(["a"], 1.0);
        panic!("from a test");
    };
    registry.define("bad", "x").gauge_vec_fn(["a"], read).unwrap();
    assert_eq!(samples(&registry), ["telemetry_callback_panics_total{metric=\"bad\"} 1"]);
}

#[test]
fn a_family_past_its_limit_leaves_out_label_sets_and_says_so() {
    let registry = Registry::new();
    let read = |readings: &mut Readings<'_, 1>| {
        ["a", "b", "c", "a"].iter().for_each(|label| readings.set([label], 1.0));
    };
    registry.define("many", "x").max_series(2).gauge_vec_fn(["a"], read).unwrap();
    assert_eq!(
        samples(&registry),
        ["many{a=\"a\"} 1", "many{a=\"b\"} 1", "telemetry_overflow_total{metric=\"many\"} 1"]
    );
}

#[test]
fn a_metric_that_is_asked_for_is_nobody_elses() {
    let registry = Registry::new();
    registry.define("depth", "x").gauge_fn(|| 1.0).unwrap();
    assert!(registry.define("depth", "x").or_existing().gauge_fn(|| 2.0).is_err());
    assert!(registry.define("depth", "x").or_existing().gauge().is_err());
    assert!(registry.define("le_total", "x").counter_vec_fn(["__a"], |_| {}).is_err());
    assert_eq!(registry.value("depth"), Some(1.0));
}
