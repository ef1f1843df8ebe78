use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn item(at: u64, latency: u64) -> Ended {
    Ended {
        at: ms(at),
        latency: ms(latency),
        in_flight: 1,
        outcome: Outcome::Success,
        backend_wait: None,
    }
}

fn settling(settle: u64, count: usize) -> Window {
    Window { settle: ms(settle), ..Window::every(Duration::ZERO, count) }
}

#[test]
fn a_window_ends_with_count_and_time_together() {
    let mut meter = Meter::new(ms(0), Window::every(ms(100), 2));
    assert_eq!(meter.ended(&item(10, 5)), None);
    assert_eq!(meter.ended(&item(20, 5)), None);
    assert_eq!(meter.ended(&item(100, 5)).and_then(|s| s.latency).map(|l| l.count), Some(3));
    meter.restart(ms(100), Window::every(ms(100), 2), false);
    assert_eq!(meter.ended(&item(250, 5)), None);
    assert!(meter.ended(&item(251, 5)).is_some());
}

#[test]
fn a_window_that_lasts_too_long_ends_with_what_it_has() {
    let window = Window { at_most: ms(50), ..Window::every(Duration::ZERO, 10) };
    let mut meter = Meter::new(ms(0), window);
    assert_eq!(meter.ended(&item(49, 5)), None);
    assert!(meter.ended(&item(50, 5)).is_some());
}

#[test]
fn what_began_under_another_limit_is_left_out_if_the_law_says_so() {
    let fresh = Window { only_fresh: true, ..settling(1, 1) };
    let mut meter = Meter::new(ms(0), fresh);
    meter.restart(ms(100), fresh, true);
    assert_eq!(meter.ended(&item(104, 3)).map(|_| ()), Some(()), "began at 101");
    meter.restart(ms(100), fresh, true);
    assert_eq!(meter.ended(&item(105, 6)), None, "began at 99");
    assert_eq!(meter.ended(&item(105, 5)).and_then(|s| s.latency).map(|l| l.mean), Some(ms(5)));
}

#[test]
fn settling_is_counted_from_the_first_that_began_under_the_new_limit() {
    let mut meter = Meter::new(ms(0), settling(20, 1));
    meter.restart(ms(100), settling(20, 1), true);
    // The use took until 150 to fall under the new limit.
    assert_eq!(meter.ended(&item(155, 5)), None);
    assert_eq!(meter.ended(&item(169, 5)), None);
    assert!(meter.ended(&item(170, 5)).is_some());
    meter.restart(ms(170), settling(20, 1), false);
    assert!(meter.ended(&item(171, 5)).is_some(), "an unchanged limit needs no settling");
}

#[test]
fn mean_deviation_and_quantiles_are_those_of_the_window() {
    let mut meter = Meter::new(ms(0), Window::every(Duration::ZERO, 10));
    let sample = (1..=10).filter_map(|n| meter.ended(&item(n, n * 10))).last();
    let latency = sample.and_then(|sample| sample.latency).expect("ten were measured");
    assert_eq!((latency.count, latency.min, latency.mean), (10, ms(10), ms(55)));
    assert_eq!((latency.p10, latency.p50), (ms(20), ms(60)));
    assert!(latency.deviation.abs_diff(Duration::from_secs_f64(0.028_722_813)) < ms(1));
}

#[test]
fn an_overload_counts_and_has_no_latency() {
    let mut meter = Meter::new(ms(0), Window::EACH);
    let sample = meter.ended(&Ended { outcome: Outcome::Overload, ..item(1, 1) });
    let sample = sample.expect("it fills the window");
    assert_eq!((sample.overloads, sample.error_rate, sample.latency), (1, Some(1.0), None));
}

#[test]
fn throughput_is_what_ended_well_over_the_time_the_window_was_open() {
    let mut meter = Meter::new(ms(100), Window::every(Duration::ZERO, 3));
    meter.ended(&Ended { outcome: Outcome::Overload, ..item(110, 5) });
    meter.ended(&item(120, 5));
    let sample = meter.ended(&item(150, 5));
    assert_eq!(sample.and_then(|sample| sample.throughput), Some(40.0), "two in 50 ms");
    let mut meter = Meter::new(ms(100), Window::EACH);
    assert_eq!(meter.ended(&item(100, 5)).and_then(|sample| sample.throughput), None);
}

#[test]
fn the_backend_wait_is_a_mean_and_absent_if_nobody_tells() {
    let mut meter = Meter::new(ms(0), Window::every(Duration::ZERO, 2));
    meter.ended(&Ended { backend_wait: Some(ms(2)), ..item(1, 5) });
    let sample = meter.ended(&Ended { backend_wait: Some(ms(4)), ..item(2, 5) });
    assert_eq!(sample.and_then(|sample| sample.backend_wait), Some(ms(3)));
    meter.restart(ms(2), Window::EACH, false);
    assert_eq!(meter.ended(&item(3, 5)).and_then(|sample| sample.backend_wait), None);
}

#[test]
fn the_backend_wait_is_the_mean_of_those_that_were_told_one() {
    let mut meter = Meter::new(ms(0), Window::every(Duration::ZERO, 4));
    let told = |at| Ended { backend_wait: Some(ms(10)), ..item(at, 20) };
    let items = [told(1), item(2, 20), item(3, 20), told(4)];
    let sample = items.iter().filter_map(|item| meter.ended(item)).last();
    assert_eq!(sample.and_then(|sample| sample.backend_wait), Some(ms(10)));
}

#[test]
fn times_without_bound_are_long_and_nothing_worse() {
    let mut meter = Meter::new(ms(0), Window::every(Duration::ZERO, 2));
    let endless = Ended { latency: Duration::MAX, backend_wait: Some(Duration::MAX), ..item(1, 1) };
    assert_eq!(meter.ended(&endless), None);
    let sample = meter.ended(&endless).expect("it is full");
    assert_eq!(sample.backend_wait, Some(Duration::MAX / 2), "their sum is what can be counted");
    assert_eq!(sample.latency.map(|latency| latency.mean), Some(Duration::MAX));
}

#[test]
fn time_that_goes_back_neither_panics_nor_ends_a_window() {
    let window = Window { at_most: ms(50), ..Window::every(ms(10), 2) };
    let mut meter = Meter::new(ms(100), window);
    assert_eq!(meter.ended(&item(40, 5)), None);
    assert_eq!(meter.ended(&item(30, 90)), None, "it would have begun before the clock");
    assert_eq!(meter.ended(&item(110, 5)).and_then(|s| s.latency).map(|l| l.count), Some(3));
    meter.restart(ms(110), settling(20, 1), true);
    assert_eq!(meter.ended(&item(0, 0)), None);
}

#[test]
fn a_window_that_saw_only_overloads_is_full_by_their_number() {
    let mut meter = Meter::new(ms(0), Window::every(Duration::ZERO, 3));
    let overload = |at| Ended { outcome: Outcome::Overload, ..item(at, 1) };
    assert_eq!(meter.ended(&overload(1)), None);
    assert_eq!(meter.ended(&item(2, 1)), None);
    let sample = meter.ended(&overload(3)).expect("three ended");
    assert_eq!((sample.overloads, sample.latency.map(|l| l.count)), (2, Some(1)));
    assert_eq!(sample.error_rate, Some(2.0 / 3.0));
}

#[test]
fn quantiles_of_a_large_window_are_those_of_its_last_1024() {
    let mut meter = Meter::new(ms(0), Window::every(Duration::ZERO, 3000));
    let latency = |n| if n <= 1500 { 1 } else { 9 };
    let sample = (1..=3000).filter_map(|n| meter.ended(&item(n, latency(n)))).last();
    let latency = sample.and_then(|sample| sample.latency).expect("it is full");
    assert_eq!((latency.count, latency.min, latency.mean), (3000, ms(1), ms(5)));
    assert_eq!((latency.p10, latency.p50), (ms(9), ms(9)));
}

#[test]
fn the_most_in_flight_of_a_window_is_not_what_was_last() {
    let mut meter = Meter::new(ms(0), Window::every(Duration::ZERO, 2));
    meter.ended(&Ended { in_flight: 5, ..item(1, 1) });
    let sample = meter.ended(&Ended { in_flight: 2, ..item(2, 1) });
    assert_eq!(sample.map(|sample| sample.max_in_flight), Some(5));
}

#[test]
fn what_began_before_the_change_neither_begins_the_settling_nor_counts_where_only_fresh_does() {
    let mut meter = Meter::new(ms(0), settling(20, 1));
    meter.restart(ms(100), settling(20, 1), true);
    assert_eq!(meter.ended(&item(105, 10)), None, "began at 95");
    assert_eq!(meter.ended(&item(120, 5)), None, "began at 115: settled at 135");
    let fresh = Window { only_fresh: true, ..settling(1, 2) };
    meter.restart(ms(200), fresh, true);
    assert_eq!(meter.ended(&item(205, 5)), None, "the first");
    assert_eq!(meter.ended(&item(206, 7)), None, "began at 199");
    assert!(meter.ended(&item(207, 5)).is_some(), "the second");
}

#[test]
fn the_shortest_time_of_a_window_is_counted_from_when_it_had_settled() {
    let window = Window { at_least: ms(10), ..settling(20, 1) };
    let mut meter = Meter::new(ms(0), window);
    meter.restart(ms(100), window, true);
    assert_eq!(meter.ended(&item(105, 5)), None);
    assert_eq!(meter.ended(&item(119, 5)), None, "still settling");
    assert_eq!(meter.ended(&item(121, 5)), None, "2 ms of 10");
    assert!(meter.ended(&item(129, 5)).is_some());
}

#[test]
fn equal_latencies_deviate_by_nothing_whatever_the_rounding() {
    for latency in 1..500 {
        let mut meter = Meter::new(ms(0), Window::every(Duration::ZERO, 3));
        let sample = (1..=3).filter_map(|n| meter.ended(&item(n, latency))).last();
        let deviation = sample.and_then(|sample| sample.latency).map(|l| l.deviation);
        assert!(
            deviation.is_some_and(|d| d < Duration::from_micros(1)),
            "{latency}: {deviation:?}"
        );
    }
}
