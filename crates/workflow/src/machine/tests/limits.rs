//! Slots, rates and breakers.

use super::*;

#[test]
fn a_full_agent_blocks_only_itself() {
    let mut bench = Bench::new(9, &[1, 9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[]), spec(B, &[]), spec(B, &[])]);
    assert_eq!(bench.started(), [0, 2, 3]);
    assert_eq!(bench.waiting(1), Waiting::AgentLimit);
}

#[test]
fn a_shrunk_limit_admits_nobody_until_use_is_below_it() {
    let mut bench = Bench::new(3, &[9]);
    bench.submit(vec![spec(A, &[]); 6]);
    bench.machine.set_limit(1);
    bench.admit();
    assert_eq!(bench.started(), [0, 1, 2]);
    bench.ok(0);
    bench.ok(1);
    assert!(bench.started().is_empty());
    bench.ok(2);
    assert_eq!(bench.started(), [3]);
    bench.machine.set_limit(0);
    bench.admit();
    bench.ok(3);
    assert!(bench.started().is_empty());
}

#[test]
fn no_minute_sees_more_starts_than_the_rate_retries_included() {
    let mut bench = Bench::new(9, &[9]);
    bench.machine.set_rate(AgentId(0), Some(2));
    bench.submit(vec![flaky(&[]), spec(A, &[]), spec(A, &[])]);
    assert_eq!(bench.started(), [0, 1]);
    let minute = 60 * SECOND;
    assert_eq!(bench.waiting(2), Waiting::Rate { until: minute });
    bench.fail(0);
    bench.at(SECOND);
    assert!(bench.started().is_empty());
    assert_eq!(bench.machine.next_due(), Some(minute));
    bench.at(minute);
    assert_eq!(bench.started(), [2, 0]);
}

#[test]
fn a_breaker_that_is_taken_away_and_a_capacity_that_is_raised_let_waiting_tasks_start() {
    let mut bench = shared(9, &[6]);
    bench.machine.set_breaker(AgentId(0), Some(Breaker { failures: 1, cool_down: SECOND }));
    bench.submit(vec![spec(A, &[]), spec(ClassId(1), &[]), spec(ClassId(1), &[])]);
    assert_eq!(bench.started(), [0, 1]);
    bench.machine.set_capacity(ResourceId(0), 12);
    bench.admit();
    assert_eq!(bench.started(), [2]);
    bench.fail(0);
    bench.insert(spec(A, &[]), &[]);
    assert!(bench.started().is_empty());
    bench.machine.set_breaker(AgentId(0), None);
    bench.admit();
    assert_eq!(bench.started(), [3]);
}

#[test]
fn what_has_started_counts_against_a_rate_that_is_changed() {
    let mut bench = Bench::new(9, &[9]);
    bench.machine.set_rate(AgentId(0), Some(2));
    bench.submit(vec![spec(A, &[]); 4]);
    bench.machine.set_rate(AgentId(0), Some(3));
    bench.admit();
    assert_eq!(bench.started(), [0, 1, 2]);
}

#[test]
fn a_raised_rate_lets_waiting_tasks_start() {
    let mut bench = Bench::new(9, &[9]);
    bench.machine.set_rate(AgentId(0), Some(0));
    bench.submit(vec![spec(A, &[])]);
    assert!(bench.started().is_empty());
    bench.machine.set_rate(AgentId(0), None);
    bench.admit();
    assert_eq!(bench.started(), [0]);
}

#[test]
fn an_open_breaker_holds_its_agent_back_until_a_probe_succeeds() {
    let mut bench = Bench::new(9, &[9, 9]);
    let breaker = Breaker { failures: 1, cool_down: SECOND };
    bench.machine.set_breaker(AgentId(0), Some(breaker));
    bench.submit(vec![spec(A, &[]), spec(A, &[0]), spec(B, &[])]);
    bench.insert(spec(A, &[2]), &[]);
    bench.insert(spec(A, &[2]), &[]);
    bench.fail(0);
    bench.ok(2);
    assert_eq!(bench.started(), [0, 2]);
    assert_eq!(bench.waiting(3), Waiting::Breaker { until: SECOND });
    bench.at(SECOND);
    assert_eq!(bench.started(), [3], "one probe");
    bench.ok(3);
    assert_eq!(bench.started(), [4]);
}
