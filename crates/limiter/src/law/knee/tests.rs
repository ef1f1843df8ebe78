use super::estimate::Estimate;
use super::*;

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
fn a_backend_that_shares_itself_is_kept_where_a_probe_takes_a_tenth_away() {
    let mut law = settled(2, 20);
    let mut limit = 40;
    // Beyond ten in flight, latency is in proportion to their number.
    for at in 100..400 {
        let slow = (limit as f64 / 10.0).max(1.0);
        limit = law.next(limit, &window(at, limit, (2.0 * slow) as u64, (20.0 * slow) as u64));
    }
    assert!(limit <= 20, "{limit}");
    assert!(SURE_IT_SHARES < law.shared, "{}", law.shared);
}

const SURE_IT_SHARES: f64 = 2.0;

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

fn at_rate(limit: usize, per_second: f64) -> Sample {
    Sample { throughput: Some(per_second), ..window(100, limit, 2, 20) }
}

/// It did 2,000 a second at 40, and is at 80 now.
fn grown(mut law: Knee, at_40: &Sample) -> Knee {
    let throughput = Some(2000.0);
    assert_eq!(law.next(40, &Sample { throughput, ..*at_40 }), 40);
    (law.max, law.exact) = (200, 80.0);
    law
}

#[test]
fn growth_that_does_no_more_per_second_is_taken_back() {
    let grown = || grown(settled(2, 20), &window(100, 40, 2, 20));
    assert!(80 <= grown().next(80, &at_rate(80, 4000.0)), "it does twice as much");
    let mut vain = grown();
    assert_eq!(vain.next(80, &at_rate(80, 1000.0)), 40);
    assert_eq!(vain.capacity.value(), None, "what was learned on the way is wrong");
    let unused = Sample { max_in_flight: 30, ..at_rate(80, 500.0) };
    assert_eq!(grown().next(80, &unused), 80, "it had no more to do");
    let mut checking = grown();
    checking.phase = Phase::Emptying { before: 100.0, wait: 0.001, again: false };
    assert_ne!(checking.next(80, &at_rate(80, 1000.0)), 40, "a cut is not growth");
}

#[test]
fn growth_by_someone_else_is_not_taken_back() {
    let mut law = grown(settled(2, 20), &window(100, 40, 2, 20));
    law.exact = 40.0;
    assert_ne!(law.next(80, &at_rate(80, 1000.0)), 40);
}

#[test]
fn even_where_all_latencies_are_equal_the_rate_is_not_exact() {
    let mut law = grown(settled(20, 20), &window(100, 40, 20, 20));
    // ln 1.35 = 0.30 is less than ½·ln 2 = 0.35, by less than twice √(0.2/40).
    let sample = Sample { throughput: Some(2700.0), ..window(100, 80, 20, 20) };
    assert_ne!(law.next(80, &sample), 40);
}

#[test]
fn a_limit_of_one_is_not_halved() {
    let mut law = Knee::new(1, 100);
    assert_eq!([0, 1].map(|at| law.next(1, &window(at, 1, 2, 20))), [1, 1]);
    assert!(law.base.is_some());
}

#[test]
fn where_all_work_takes_the_same_time_a_probe_does_not_tell_a_shared_backend_by_the_spread() {
    let probed = |p10, mean| {
        let mut law = settled(p10, mean);
        (law.exact, law.phase) = (32.0, Phase::Probing { back: 40.0 });
        let before = law.shared;
        law.next(32, &window(100, 32, p10, mean));
        law.shared - before
    };
    assert_eq!(probed(20, 20), 0.0);
    assert!(probed(2, 20) < 0.0);
}

#[test]
fn probes_come_twice_as_often_while_the_kind_of_backend_is_in_doubt() {
    let due = |shared| {
        let mut law = Knee { exact: 40.0, shared, ..Knee::new(1, 100) };
        law.probe(ms(1000), ms(400), false);
        law.probe_due - ms(1000)
    };
    // 0.4 s and, for 40 latencies of 32 at a time, 0.5 s.
    assert_eq!((due(0.0).as_millis(), due(-6.0).as_millis()), (3600, 7200));
}

#[test]
fn growth_pays_if_more_is_done_by_half_as_much() {
    let ground = || Ground::new(40.0, 1000.0, 0.0);
    assert!(ground().pays(80.0, 1415.0, 0.0) && !ground().pays(80.0, 1413.0, 0.0), "√2");
    assert!(ground().pays(46.0, 500.0, 0.0), "too little growth to tell");
    assert!(!ground().pays(47.0, 500.0, 0.0));
    // Two standard deviations, √(0.01 + 0.01) each, are chance: ln 0.76 − ½·ln 2 = −0.62 is not.
    let doubtful = |rate| Ground::new(40.0, 1000.0, 0.01).pays(80.0, rate, 0.01);
    assert!(doubtful(1070.0) && !doubtful(1062.0));
}

#[test]
fn the_ground_is_where_the_limit_is_when_it_falls_and_where_growth_surely_paid() {
    let mut ground = Ground::new(40.0, 1000.0, 0.001);
    ground.pays(38.0, 1000.0, 0.001);
    assert_eq!(ground.limit, 40.0, "a twentieth is the same limit");
    ground.pays(41.0, 2000.0, 0.001);
    assert_eq!(ground.limit, 40.0, "the same limit, more done");
    assert!(!ground.pays(80.0, 2000.0, 0.001), "no more than was done last at 40");
    ground.pays(30.0, 700.0, 0.001);
    assert_eq!(ground.limit, 30.0);
    ground.pays(60.0, 980.0, 0.001);
    assert_eq!(ground.limit, 30.0, "it may have paid");
    ground.pays(60.0, 1400.0, 0.001);
    assert_eq!(ground.limit, 60.0);
}

#[test]
fn probes_below_and_above_the_limit_alternate() {
    let mut law = Knee::new(1, 1000);
    let mut limit = 40;
    let mut moves = Vec::new();
    for at in 0..600 {
        let before = law.exact;
        // Forty are served; what is more waits.
        let wait = (limit as f64 / 40.0 - 1.0).max(0.0) * 20.0;
        let (p10, mean) = ((2.0 + wait) as u64, (20.0 + wait) as u64);
        limit = law.next(limit, &window(at * 10, limit, p10, mean));
        let relative = law.exact / before;
        if relative < 0.85 {
            moves.push("down");
        } else if 1.2 < relative && relative < 1.3 && law.phase == Phase::Steady && law.reached {
            moves.push("up");
        }
    }
    let downs = moves.iter().filter(|step| **step == "down").count();
    assert!(3 <= downs, "{moves:?}");
    assert!(moves.contains(&"up"), "{moves:?}");
    assert!((36..=56).contains(&limit), "{limit}");
}

#[test]
fn an_estimate_moves_by_the_share_of_its_own_variance() {
    let mut estimate = Estimate::new(10.0, 3.0);
    // (3 + 1) / (3 + 1 + 4) = 0.5 of the way, and half the variance is left.
    estimate.update(12.0, 4.0, 1.0, 4.0);
    assert_eq!(estimate, Estimate::new(11.0, 2.0));
    // 4·√(2 + 2) = 8: at the edge it is noise, beyond it is a change.
    let mut edge = estimate;
    edge.update(19.0, 2.0, 0.0, 4.0);
    assert_eq!(edge, Estimate::new(15.0, 1.0));
    estimate.update(19.1, 2.0, 0.0, 4.0);
    assert_eq!(estimate, Estimate::new(19.1, 2.0));
}

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
fn an_estimate_weighs_what_it_knows_against_what_it_sees() {
    let mut estimate = Estimate::new(10.0, 3.0);
    // Variance 3 + 1 against 4 of the measurement: half of the way, and half of the variance is left.
    estimate.update(14.0, 4.0, 1.0, 4.0);
    assert_eq!(estimate, Estimate::new(12.0, 2.0));
    // Off by √(16·(2 + 2)) = 8 is still noise, more is a change.
    let mut noisy = estimate;
    noisy.update(20.0, 2.0, 0.0, 4.0);
    assert_eq!(noisy, Estimate::new(16.0, 1.0));
    estimate.update(20.1, 2.0, 0.0, 4.0);
    assert_eq!(estimate, Estimate::new(20.1, 2.0));
}

#[test]
fn what_chance_explains_is_admitted_and_not_taken_for_less() {
    let estimate = Estimate::new(10.0, 3.0);
    assert!(estimate.admits(15.9, 1.0) && !estimate.admits(16.1, 1.0), "three times √(3 + 1)");
    let less = Estimate::new(4.0, 1.0);
    assert!(less.is_below(&estimate, 2.9) && !less.is_below(&estimate, 3.1));
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

#[test]
fn growth_is_fast_where_it_is_expected() {
    let grown = |expected| {
        let mut capacity = Capacity::unknown();
        if expected {
            capacity.expect_growth();
        }
        capacity.aim(100.0, 0.0, HEADROOM_TOLD, true);
        capacity.aim(100.0, 0.0, HEADROOM_TOLD, true)
    };
    assert!((grown(false) - 112.0).abs() < 1e-9 && (grown(true) - 150.0).abs() < 1e-9);
}

#[test]
fn a_limit_that_is_not_used_falls_only_if_what_is_in_flight_is_clearly_too_much() {
    let aim = |waiting| Capacity::unknown().aim_unused(100.0, 60, waiting, HEADROOM_TOLD);
    assert_eq!(aim(0.05), 100.0, "57 are served, three headrooms above are more than 60");
    assert!((aim(0.5) - 31.4).abs() < 1e-9, "30 are served");
}

#[test]
fn jitter_is_half_the_squared_difference_of_neighbours_and_a_jump_counts_little() {
    let mut capacity = Capacity::unknown();
    let mut jitter = |waiting| {
        capacity.aim_unused(100.0, 100, waiting, HEADROOM_TOLD);
        capacity.jitter
    };
    jitter(0.0);
    assert!((jitter(0.1) - 0.0025).abs() < 1e-9, "0.1²/2, the mean of it and of nothing");
    // 0.5²/2 is cut to nine times what is known.
    assert!((jitter(0.6) - (0.0025 + (9.0 - 1.0) * 0.0025 / 3.0)).abs() < 1e-9);
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
    assert!(law.was_slower(33.0, shape(0.06, 0.1)).is_none());
    assert_eq!((law.exact, law.peak, law.shared), (33.0, 0.0, -1.0));
    assert_eq!(law.capacity.value(), None);
    assert_eq!((law.base, law.now), (Some(shape(0.06, 0.1)), Some(shape(0.06, 0.1))));
}

#[test]
fn a_shared_backend_is_steered_to_where_a_tenth_of_the_latency_is_waiting() {
    let steered = |latency| {
        let mut law = Knee { shared: 6.0, max: 100, ..settled(20, 20) };
        law.next(40, &window(100, 40, latency, latency));
        law.exact
    };
    assert!((steered(20) - 40.8).abs() < 1e-6, "a fifth of the tenth that it is off");
    assert!((steered(40) - 38.0).abs() < 1e-6, "a twentieth down at most, though half is waiting");
}

#[test]
fn what_no_queue_would_show_says_nothing_about_a_shared_backend() {
    let mut law = settled(20, 20);
    law.exact = 41.0;
    let before = law.shared;
    law.compare(0.1);
    assert_eq!(law.shared, before, "a fortieth above the capacity");
    law.exact = 60.0;
    law.compare(0.15);
    assert!(before < law.shared, "a third above, and it waits half as much as in a queue");
}

#[test]
fn a_probe_above_is_one_more_at_least_and_expects_growth() {
    let mut law = Knee { exact: 2.0, ..Knee::new(1, 100) };
    law.probe(ms(0), ms(1), true);
    assert!(law.reached && law.phase == Phase::Steady);
    assert_eq!(law.exact, 3.0);
    assert_ne!(law.capacity, Capacity::unknown());
    assert_eq!(law.probe_due, ms(500), "however short the latency");
}
