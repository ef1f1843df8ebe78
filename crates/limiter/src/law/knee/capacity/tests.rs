use super::*;

const SMALL: Headroom = Headroom { share: 0.03, more: 0.5 };

#[test]
fn capacity_grows_only_on_evidence_and_only_if_it_may() {
    let headroom = Headroom { share: 0.0, more: 0.0 };
    let mut capacity = Capacity::unknown();
    capacity.jitter = 0.01;
    let limits: Vec<f64> = (0..3).map(|_| capacity.aim(100.0, 0.0, headroom, false)).collect();
    assert_eq!(limits, [100.0; 3]);
    // Expected 0.02 at least, variance 10⁻⁴ at least: 0.02² / 2·10⁻⁴ = 2 a window, and more than 3 is enough.
    let mut capacity = Capacity::unknown();
    capacity.aim(100.0, 0.0, headroom, true);
    assert_eq!(capacity.aim(100.0, 0.0, headroom, true).round(), 112.0);
}

#[test]
fn growth_is_fast_where_it_is_expected() {
    let grown = |expected| {
        let mut capacity = Capacity::unknown();
        if expected {
            capacity.expect_growth();
        }
        capacity.aim(100.0, 0.0, SMALL, true);
        capacity.aim(100.0, 0.0, SMALL, true)
    };
    assert!((grown(false) - 112.0).abs() < 1e-9 && (grown(true) - 150.0).abs() < 1e-9);
}

#[test]
fn a_limit_that_is_not_used_falls_only_if_what_is_in_flight_is_clearly_too_much() {
    let aim = |waiting| Capacity::unknown().aim_unused(100.0, 60, waiting, SMALL);
    assert_eq!(aim(0.05), 100.0, "57 are served, three headrooms above are more than 60");
    assert!((aim(0.5) - 31.4).abs() < 1e-9, "30 are served");
}

#[test]
fn jitter_is_half_the_squared_difference_of_neighbours_and_a_jump_counts_little() {
    let mut capacity = Capacity::unknown();
    let mut jitter = |waiting| {
        capacity.aim_unused(100.0, 100, waiting, SMALL);
        capacity.jitter
    };
    jitter(0.0);
    assert!((jitter(0.1) - 0.0025).abs() < 1e-9, "0.1²/2, the mean of it and of nothing");
    // 0.5²/2 is cut to nine times what is known.
    assert!((jitter(0.6) - (0.0025 + (9.0 - 1.0) * 0.0025 / 3.0)).abs() < 1e-9);
}

#[test]
fn what_a_change_of_the_limit_does_is_no_noise() {
    let mut capacity = Capacity::unknown();
    capacity.jitter = 0.01;
    let mut noise = |limit, waiting| capacity.noise(limit, waiting);
    noise(100.0, 0.0);
    assert_eq!(noise(100.0, 0.0), 0.005, "the mean of what was known and of nothing");
    assert_eq!(noise(115.0, 0.2), 0.005, "there is more waiting as there are more");
    let calm = noise(105.0, 0.2);
    assert!(calm < 0.005, "{calm}: about as many, and they wait as long");
    assert!(calm < capacity.jitter);
}
