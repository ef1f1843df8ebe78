use std::time::Duration;

use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn shape(p10: f64, spread: f64) -> Shape {
    Shape { p10: Estimate::new(p10, 0.01), spread: Estimate::new(spread, 0.01) }
}

#[test]
fn a_spread_of_more_than_a_fifth_of_the_shortest_tenth_is_wide() {
    assert!(!shape(10.0, 2.0).is_wide() && shape(10.0, 2.1).is_wide());
}

#[test]
fn what_a_probe_saw_above_chance_is_not_learned() {
    let mut narrow = shape(10.0, 1.0);
    narrow.learn(&shape(20.0, 5.0));
    assert_eq!((narrow.p10.value, narrow.spread.value), (10.0, 1.0));
    // A wider spread, by chance at most, takes the tenth percentile along by as much and no more.
    let mut wide = shape(10.0, 10.0);
    wide.learn(&shape(20.0, 10.2));
    let wider = wide.spread.value / 10.0;
    assert!(1.005 < wider && wider < 1.02, "{wide:?}");
    assert!((wide.p10.value - 10.0 * wider).abs() < 1e-9, "{wide:?}");
}

#[test]
fn the_latency_without_waiting_goes_down_with_what_is_clearly_less() {
    let mut base = shape(10.0, 10.0);
    base.lower(&shape(9.6, 9.6));
    assert_eq!((base.p10.value, base.spread.value), (10.0, 10.0), "perhaps by chance");
    base.lower(&shape(9.0, 9.0));
    assert_eq!((base.p10.value, base.spread.value), (9.0, 9.0));
}

#[test]
fn the_wait_is_read_off_the_tenth_percentile_and_the_spread_by_how_noisy_they_are() {
    // Equally noisy: half of what the spread shows is believed.
    assert!((shape(10.0, 10.0).wait(&shape(14.0, 12.0)) - 5.0).abs() < 1e-9);
}

#[test]
fn the_noise_of_a_window_is_smoothed_but_never_less_than_what_is_in_it() {
    let mut lens = Lens::new();
    let mut noise = |deviation| {
        let latency = Latency { count: 40, deviation: ms(deviation), ..Latency::of(ms(20)) };
        lens.shape(&latency, &mut 0.0).spread.variance * 40.0
    };
    assert!((noise(10) - 0.0004).abs() < 1e-12, "as an exponential distribution has it");
    assert!((noise(0) - 0.00036).abs() < 1e-12, "a tenth less");
    assert!((noise(100) - 0.01).abs() < 1e-12, "what is seen is at least there");
}
