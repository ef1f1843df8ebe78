use super::estimate::Estimate;
use super::*;

mod cuts;
mod growth;
mod probes;
mod shared;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A window of 40 latencies with this tenth percentile and mean, all of `in_flight` in use.
fn window(at: u64, in_flight: usize, p10: u64, mean: u64) -> Sample {
    let latency = Latency { count: 40, p10: ms(p10), mean: ms(mean), ..Latency::of(ms(mean)) };
    let deviation = ms(mean - p10);
    Sample {
        at: ms(at),
        max_in_flight: in_flight,
        latency: Some(Latency { deviation, ..latency }),
        ..Sample::default()
    }
}

fn told(in_flight: usize, latency: u64, wait: u64) -> Sample {
    Sample { backend_wait: Some(ms(wait)), ..window(0, in_flight, latency, latency) }
}

/// Steady windows at 40 in flight, short enough that no probe is due, until the law knows the backend.
fn settled(p10: u64, mean: u64) -> Knee {
    let mut law = Knee { probe_due: ms(1_000_000), ..Knee::new(1, 40) };
    for at in 0..60 {
        let limit = if at == 0 { 40 } else { law.exact as usize };
        law.next(limit, &window(at, limit, p10, mean));
    }
    assert_eq!(law.exact as usize, 40);
    law
}

#[test]
fn a_wait_that_is_told_leads_to_the_capacity_in_one_step() {
    // 40·(1 − 60/80) = 10 are served; 10·1.03 + 0.5.
    assert_eq!(Knee::default().next(40, &told(40, 80, 60)), 10);
    // 200·(1 − 60/120) = 100; 103.5.
    assert_eq!(Knee::default().next(200, &told(200, 120, 60)), 103);
}

#[test]
fn where_the_wait_is_told_one_window_in_four_is_at_the_limit_rounded_up() {
    let mut law = Knee::new(1, 10);
    // All ten are served: 10·1.03 + 0.5, and a bound that keeps it from growing.
    law.max = 11;
    let limits: Vec<usize> = (0..8)
        .map(|_| {
            let limit = (law.exact as usize).max(10);
            law.capacity.forget();
            law.next(limit, &told(limit, 20, if limit == 10 { 0 } else { 2 }))
        })
        .collect();
    assert_eq!(limits, [10, 10, 10, 11, 10, 10, 10, 11]);
    law.told = 2;
    assert_eq!(law.next(11, &told(9, 20, 0)), 11);
}

#[test]
fn an_unused_limit_does_not_grow() {
    let mut law = Knee::default();
    for at in 0..20 {
        assert_eq!(law.next(40, &told(39, 20, 0)), 40);
        assert_eq!(law.next(40, &window(at, 20, 2, 20)), 40);
    }
}

#[test]
fn an_unused_limit_falls_if_what_is_in_flight_waits_nevertheless() {
    // 20·(1 − 15/20) = 5 are served; 5·1.03 + 0.5.
    assert_eq!(Knee::default().next(40, &told(20, 20, 15)), 5);
}

#[test]
fn a_used_limit_grows_faster_the_longer_nothing_waits() {
    let mut law = Knee::default();
    let mut limit = 40;
    let mut growth = Vec::new();
    for _ in 0..20 {
        let next = law.next(limit, &told(limit, 20, 0));
        growth.push(next as f64 / limit as f64);
        limit = next;
    }
    let fastest = growth.iter().copied().fold(0.0, f64::max);
    assert!(growth[0] < 1.13 && (1.45..1.51).contains(&fastest), "{growth:?}");
}

#[test]
fn overloads_beyond_one_in_twenty_cut_a_tenth() {
    let mut law = Knee::default();
    let refused =
        |overloads, rate| Sample { overloads, error_rate: Some(rate), ..Sample::default() };
    assert_eq!(law.next(40, &refused(1, 0.05)), 40);
    assert_eq!(law.next(40, &refused(3, 0.06)), 36);
}

#[test]
fn the_limit_stays_within_its_bounds() {
    let mut law = Knee::new(5, 50);
    assert_eq!(law.next(6, &told(6, 100, 99)), 5);
    let mut limit = 49;
    for _ in 0..9 {
        limit = law.next(limit, &told(limit, 20, 0));
    }
    assert_eq!(limit, 50);
    assert_eq!(Knee::new(0, 50).next(3, &told(3, 100, 100)), 1, "0 would admit nobody ever again");
}

#[test]
fn a_window_with_few_latencies_changes_nothing() {
    let few = |count| Sample {
        latency: Some(Latency { count, ..Latency::of(ms(80)) }),
        ..told(40, 80, 60)
    };
    assert_eq!(Knee::default().next(40, &few(11)), 40);
    assert_eq!(Knee::default().next(40, &few(12)), 10);
}

#[test]
fn a_queue_is_cut_to_the_capacity_in_one_step_from_latency_alone() {
    let mut law = settled(2, 20);
    // 60 ms more for all: 40·(1 − 60/80) = 10 are served; 10·1.03 + 0.8 = 11.1.
    let next = law.next(40, &window(100, 40, 62, 80));
    assert!((10..=12).contains(&next), "{next}");
}

#[test]
fn service_that_takes_longer_is_cut_once_and_then_believed() {
    let mut law = settled(2, 20);
    // Three times as long, short and long work alike.
    let mut limit = 40;
    let mut limits = Vec::new();
    for at in 100..112 {
        limit = law.next(limit, &window(at, limit, 6, 60));
        limits.push(limit);
    }
    assert!(limits.iter().any(|limit| *limit < 20), "it has a look: {limits:?}");
    assert_eq!(limit, 40, "{limits:?}");
}

#[test]
fn service_of_one_length_that_takes_longer_is_cut_twice_and_then_believed() {
    let mut law = settled(20, 20);
    let mut limit = 40;
    let mut limits = Vec::new();
    for at in 100..106 {
        limit = law.next(limit, &window(at, limit, 60, 60));
        limits.push(limit);
    }
    assert!(limits[0] < 20 && limits[1] < limits[0], "{limits:?}");
    assert_eq!(limit, 40, "{limits:?}");
}

#[test]
fn at_first_the_limit_is_halved_for_as_long_as_that_shortens_the_latency() {
    let mut law = Knee::new(1, 100);
    let mut limit = 80;
    let mut limits = Vec::new();
    for at in 0..6 {
        // Fifteen are served; what is more waits.
        let wait = (limit as f64 / 15.0 - 1.0).max(0.0) * 20.0;
        limit = law.next(limit, &window(at, limit, (2.0 + wait) as u64, (20.0 + wait) as u64));
        limits.push(limit);
    }
    // 10 are no better than 20 by a half, so that it goes on from there.
    assert_eq!(limits[..4], [80, 40, 20, 10], "{limits:?}");
    assert_eq!(limits[4], 20, "{limits:?}");
    assert!(law.base.is_some_and(|base| base.mean() < 0.021), "{:?}", law.base);
}

#[test]
fn at_first_a_limit_that_is_not_used_is_not_halved() {
    let mut law = Knee::new(1, 100);
    assert_eq!([0, 1, 2].map(|at| law.next(80, &window(at, 30, 2, 20))), [80; 3]);
    assert!(law.base.is_some());
}

#[test]
fn a_limit_of_one_is_not_halved() {
    let mut law = Knee::new(1, 100);
    assert_eq!([0, 1].map(|at| law.next(1, &window(at, 1, 2, 20))), [1, 1]);
    assert!(law.base.is_some());
}

#[test]
fn the_first_window_from_latency_alone_decides_nothing() {
    let mut law = Knee::default();
    assert_eq!(law.window().settle, Duration::from_nanos(1));
    assert_eq!(law.next(40, &window(0, 40, 2, 20)), 40);
    assert_eq!(law.base, None);
    assert_eq!(law.window().count, 40);
    assert_eq!(law.window().at_least, ms(10));
}

#[test]
fn latencies_of_zero_are_no_division_by_zero() {
    let mut law = Knee::new(2, 50);
    let mut limit = 10;
    for at in 0..50 {
        limit = law.next(limit, &window(at, limit, 0, 0));
        assert!((2..=50).contains(&limit), "{limit}");
        assert!(law.window().count <= 40);
    }
}

#[test]
fn a_window_follows_the_limit_and_the_latency() {
    let base = Some(Shape { p10: Estimate::new(0.03, 0.0), spread: Estimate::new(0.01, 0.0) });
    let law = |exact, phase| Knee { exact, rtt: ms(100), base, phase, ..Knee::default() };
    let window = law(15.0, Phase::Steady).window();
    assert_eq!((window.count, window.settle), (30, ms(50)), "twice 15; 1.25 · 40 ms");
    assert_eq!(
        (window.at_least, window.at_most),
        (ms(50), ms(400)),
        "twice as long as 30 of 15 take"
    );
    let checking = Phase::Emptying { before: 20.0, wait: 0.1, again: false };
    assert_eq!(law(15.0, checking).window().count, 15, "a cut is judged by half as many");
    assert_eq!(
        law(100.0, Phase::Steady).window().at_most,
        ms(150),
        "one and a half latencies at least"
    );
}

#[test]
fn a_limit_that_someone_else_set_and_an_overload_end_what_was_going_on() {
    let refused = Sample { overloads: 3, error_rate: Some(0.06), ..Sample::default() };
    for (limit, sample, next) in [(30, Sample::default(), 30), (40, refused, 36)] {
        let mut law = Knee { phase: Phase::Probing { back: 40.0 }, ..settled(2, 20) };
        assert!(law.capacity.value().is_some());
        assert_eq!(law.next(limit, &sample), next);
        assert_eq!((law.phase, law.capacity.value()), (Phase::Steady, None));
    }
}

#[test]
fn a_service_that_was_slower_is_believed_and_the_cuts_forgotten() {
    let mut law = Knee { peak: 50.0, shared: 2.0, ..settled(2, 20) };
    let slower = Shape { p10: Estimate::new(0.06, 0.0), spread: Estimate::new(0.1, 0.0) };
    assert!(law.was_slower(33.0, slower).is_none());
    assert_eq!((law.exact, law.peak, law.shared), (33.0, 0.0, -1.0));
    assert_eq!(law.capacity.value(), None);
    assert_eq!((law.base, law.now), (Some(slower), Some(slower)));
}

#[test]
fn its_bounds_hold_from_the_first_window_on() {
    assert_eq!(Knee::new(1, 10).next(50, &window(0, 50, 20, 20)), 10);
    assert_eq!(Knee::new(7, 10).next(2, &window(0, 2, 20, 20)), 7);
}
