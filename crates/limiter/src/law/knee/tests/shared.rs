use super::*;

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
fn a_shared_backend_is_steered_only_while_its_limit_is_used_and_no_queue_is_seen() {
    let mut unused = Knee { shared: 6.0, max: 100, ..settled(20, 20) };
    unused.next(40, &window(100, 20, 20, 20));
    assert!((unused.exact - 40.0).abs() < 1.0 && unused.exact as usize == 40, "{}", unused.exact);
    let before = unused.exact;
    unused.next(40, &window(100, 20, 20, 20));
    assert_eq!(unused.exact, before);
    let mut queue = Knee { shared: 6.0, max: 100, ..settled(2, 20) };
    // 40·(1 − 10/30) = 27 are served.
    queue.next(40, &window(100, 40, 12, 30));
    assert!(queue.exact < 32.0, "{}", queue.exact);
}

#[test]
fn a_shared_backend_is_not_probed_above_its_limit() {
    let probed = |shared| {
        let mut law = Knee { shared, probe_due: ms(0), max: 100, ..settled(2, 20) };
        law.next(40, &window(100, 40, 2, 20));
        law.reached
    };
    assert!(probed(0.0) && !probed(6.0));
}

#[test]
fn above_the_limit_a_queue_that_hides_the_spread_is_compared_with_a_shared_backend() {
    let compared = |reached| {
        let mut law = Knee { max: 100, exact: 60.0, reached, ..settled(2, 20) };
        let before = law.shared;
        law.next(60, &window(100, 60, 200, 218));
        law.shared != before
    };
    assert!(compared(true) && !compared(false));
}
