//! The published laws against figures worked out by hand from their sources.

use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn seen(in_flight: usize, latency: u64) -> Sample {
    Sample {
        max_in_flight: in_flight,
        latency: Some(Latency::of(ms(latency))),
        ..Sample::default()
    }
}

// AIMDLimit.java: drop or rtt > timeout → ⌊limit·backoffRatio⌋; 2·inflight ≥ limit → limit + 1; then the bounds.

#[test]
fn aimd_adds_one_when_half_is_used_and_takes_a_tenth_when_late_or_refused() {
    let mut law = Aimd::default();
    assert_eq!(law.next(51, &seen(26, 20)), 52);
    assert_eq!(law.next(51, &seen(25, 20)), 51);
    assert_eq!(law.next(52, &seen(26, 20)), 53, "half is enough");
    assert_eq!(law.next(59, &seen(59, 5000)), 60, "at the time-out is in time");
    assert_eq!(law.next(59, &seen(59, 5001)), 53, "⌊53.1⌋");
    assert_eq!(law.next(59, &Sample { overloads: 1, ..seen(59, 20) }), 53);
    assert_eq!(law.next(59, &Sample { overloads: 7, ..Sample::default() }), 53, "once a sample");
    assert_eq!((law.next(21, &seen(0, 9000)), law.next(200, &seen(200, 20))), (20, 200));
    assert_eq!(law.window(), Window::EACH);
}

// VegasLimit.java: alpha = 3·log10, beta = 6·log10, threshold = log10, all whole, log10 at least 1.

/// A law that saw 20 ms without load.
fn vegas() -> Vegas {
    let mut law = Vegas::default();
    assert_eq!(law.next(100, &seen(100, 20)), 100);
    law
}

#[test]
fn vegas_steps_by_the_queue_that_it_estimates() {
    // At 100: log10 = 2, threshold 2, alpha 6, beta 12; queue = ⌈100·(1 − 20/rtt)⌉.
    let step = |rtt: f64| {
        let latency = Latency::of(Duration::from_secs_f64(rtt / 1e3));
        vegas().next(100, &Sample { latency: Some(latency), ..seen(100, 0) })
    };
    assert_eq!(step(20.0), 112, "queue 0: + beta");
    assert_eq!(step(20.4), 112, "queue 2: + beta");
    assert_eq!(step(20.5), 102, "queue 3: + log10");
    assert_eq!(step(21.0), 102, "queue 5: + log10");
    assert_eq!(step(21.2), 100, "queue 6: stays");
    assert_eq!(step(22.7), 100, "queue 12: stays");
    assert_eq!(step(22.9), 98, "queue 13: − log10");
    // At 9 the logarithm is 1, not 0: threshold 1, alpha 3, beta 6.
    assert_eq!((vegas().next(9, &seen(9, 20)), vegas().next(9, &seen(9, 200))), (15, 8));
}

#[test]
fn vegas_holds_when_less_than_half_is_used_and_falls_when_refused() {
    assert_eq!(vegas().next(100, &seen(49, 20)), 100);
    assert_eq!(vegas().next(100, &seen(50, 20)), 112);
    assert_eq!(vegas().next(100, &Sample { overloads: 1, ..seen(49, 20) }), 98);
    assert_eq!(vegas().next(1, &Sample { overloads: 1, ..seen(1, 20) }), 1);
    let refused = Sample { overloads: 1, ..Sample::default() };
    assert_eq!(vegas().next(100, &refused), 98, "without a latency");
    assert_eq!(
        Vegas::default().next(100, &Sample { overloads: 1, ..seen(100, 20) }),
        98,
        "at once"
    );
    assert_eq!(vegas().next(995, &seen(995, 20)), 1000);
    assert_eq!(vegas().next(100, &Sample::default()), 100);
}

#[test]
fn vegas_takes_a_smaller_latency_at_once_and_any_after_enough_samples() {
    let mut law = vegas();
    assert_eq!(law.next(100, &seen(100, 10)), 100, "the new least");
    assert_eq!(law.next(100, &seen(100, 20)), 98, "half of it is queue now");
    // At limit 1 every 22nd sample (three quarters of 30) is the new least, whatever it is.
    let mut law = Vegas::default();
    law.next(1, &seen(1, 20));
    for _ in 0..20 {
        assert_eq!(law.next(1, &seen(1, 2000)), 7, "queue 1: + beta");
    }
    assert_eq!(law.next(1, &seen(1, 90)), 1, "forgotten");
    assert_eq!(law.next(2, &seen(2, 90)), 8, "90 ms is without queue");
}

// Gradient2Limit.java: L' = 0.8·L + 0.2·(g·L + 4), g = clamp(1.5·long/short, 0.5, 1).

#[test]
fn gradient2_follows_its_formula() {
    let mut law = Gradient2::default();
    assert_eq!(law.next(100, &seen(100, 100)), 100, "0.8·100 + 0.2·(100 + 4) = 100.8");
    assert_eq!(law.exact, 100.8);
    // long = (100 + 300)/2 = 200, g = 1: 0.8·100.8 + 0.2·(100.8 + 4) = 101.6.
    assert_eq!(law.next(100, &seen(100, 300)), 101);
    // long = (100 + 300 + 800)/3 = 400, g = 0.75: 0.8·101.6 + 0.2·(76.2 + 4) = 97.32.
    assert_eq!(law.next(101, &seen(100, 800)), 97);
    // long = (1200 + 8800)/4 = 2500, g = 0.5 at least: 0.8·97.32 + 0.2·(48.66 + 4) = 88.388.
    assert_eq!(law.next(97, &seen(100, 8800)), 88);
    assert!((law.exact - 88.388).abs() < 1e-9, "{}", law.exact);
}

#[test]
fn gradient2_holds_when_less_than_half_is_used_and_stays_within_its_bounds() {
    let exact = |in_flight| {
        let mut law = Gradient2::default();
        law.next(100, &seen(in_flight, 100));
        law.exact
    };
    assert_eq!((exact(49), exact(50)), (100.0, 100.8), "half is enough");
    assert_eq!(Gradient2::default().next(100, &Sample::default()), 100);
    let mut law = Gradient2::default();
    assert_eq!((law.next(200, &seen(200, 100)), law.next(200, &seen(200, 100))), (200, 200));
    assert_eq!(Gradient2::default().next(5, &seen(5, 100)), 20);
}

#[test]
fn gradient2_lets_its_average_down_when_it_is_twice_the_latency() {
    let mut law = Gradient2::default();
    law.next(100, &seen(100, 1000));
    // long = (1000 + 100)/2 = 550, more than twice 100: 522.5.
    law.next(100, &seen(100, 100));
    assert!((law.long - 0.5225).abs() < 1e-12, "{}", law.long);
    // The tenth is still a plain mean: (9·100 + 1100)/10.
    let mut law = Gradient2::default();
    for latency in [100, 100, 100, 100, 100, 100, 100, 100, 100, 1100] {
        law.next(100, &seen(100, latency));
    }
    assert!((law.long - 0.2).abs() < 1e-12, "{}", law.long);
    // Ten plain means, then an exponential average over 600: weight 2/601.
    let mut law = Gradient2::default();
    for _ in 0..10 {
        law.next(100, &seen(100, 100));
    }
    law.next(100, &seen(100, 701));
    assert!((law.long - 0.102).abs() < 1e-12, "{}", law.long);
}

// gradient_controller.cc: g = clamp(1.25·minRTT/p50, 0.5, 2), L' = g·L + √(g·L).

#[test]
fn envoy_follows_its_formula_between_probes() {
    let measured = || {
        let mut law = EnvoyGradient::default();
        assert_eq!((law.next(100, &seen(9, 20)), law.next(3, &seen(3, 20))), (3, 100));
        law
    };
    assert_eq!(measured().next(100, &seen(9, 25)), 110, "g = 1: 100 + 10");
    assert_eq!(measured().next(100, &seen(9, 100)), 57, "g = 0.5 at least: 50 + 7.07");
    assert_eq!(measured().next(100, &seen(9, 5)), 214, "g = 2 at most: 200 + 14.1");
    assert_eq!(measured().next(100, &Sample::default()), 100);
    assert_eq!(measured().next(1000, &seen(9, 20)), 1000);
}

#[test]
fn envoy_measures_anew_after_its_interval_and_after_five_windows_at_the_bottom() {
    let at = |seconds, latency| Sample { at: Duration::from_secs(seconds), ..seen(9, latency) };
    let mut law = EnvoyGradient::default();
    law.next(100, &at(0, 20));
    law.next(3, &at(1, 20));
    assert_eq!(law.next(100, &at(60, 25)), 110);
    assert_eq!(law.next(110, &at(61, 25)), 3, "60 s after the last");
    assert_eq!(law.window().count, 50);
    assert_eq!(law.next(3, &at(62, 40)), 110, "back, and 40 ms is the least now");
    let mut limit = 1;
    for second in 63..68 {
        limit = law.next(limit, &at(second, 400));
        assert_eq!(limit, 3, "½ + √½, but 3 at least");
        limit = 1;
    }
    assert_eq!(law.next(100, &at(68, 50)), 3, "whatever the latency");
    assert_eq!(law.next(3, &at(69, 50)), 100);
    assert_eq!(law.next(100, &at(70, 50)), 136, "1.25·100 + √125: the five count anew");
    for second in 71..76 {
        assert_eq!(law.next(4, &at(second, 400)), 3, "½·4 + √2, which is the bottom too");
    }
    assert_eq!(law.next(100, &at(76, 50)), 3);
}

#[test]
fn a_fixed_limit_is_fixed() {
    assert_eq!(Fixed(8).next(3, &seen(3, 20)), 8);
    assert_eq!(Fixed(8).window().count, 1);
}
