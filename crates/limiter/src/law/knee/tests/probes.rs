use super::*;

#[test]
fn probes_come_twice_as_often_while_the_kind_of_backend_is_in_doubt() {
    // The latency, and for 40 latencies of 32 at a time another 1.25 of it.
    assert_eq!((due(0.0, 60), due(-6.0, 60)), (540, 1000));
    assert_eq!((due(1.9, 60), due(2.0, 60)), (540, 1000));
    assert_eq!(due(0.0, 10), 500, "half a second at least");
}

#[test]
fn where_a_round_trip_is_long_probes_come_as_soon_as_one_window_lies_between() {
    assert_eq!((due(0.0, 200), due(-6.0, 200)), (1000, 1000), "a second is less than four probes");
    assert_eq!((due(0.0, 400), due(-6.0, 400)), (1350, 1350), "1.5 of 0.9 s");
}

/// After how many milliseconds the next probe is due.
fn due(shared: f64, rtt: u64) -> u128 {
    let mut law = Knee { exact: 40.0, shared, ..Knee::new(1, 100) };
    law.probe(ms(1000), ms(rtt), false);
    (law.probe_due - ms(1000)).as_millis()
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
fn a_probe_above_is_one_more_at_least_and_expects_growth() {
    let mut law = Knee { exact: 2.0, ..Knee::new(1, 100) };
    law.probe(ms(0), ms(1), true);
    assert!(law.reached && law.phase == Phase::Steady);
    assert_eq!(law.exact, 3.0);
    assert_ne!(law.capacity, Capacity::unknown());
    assert_eq!(law.probe_due, ms(500), "however short the latency");
}
