//! Delays before further attempts, and time-outs.

use super::*;
use crate::machine::timers::STALE_TIMERS;

#[test]
fn a_failed_attempt_is_repeated_after_its_delay_until_attempts_run_out() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit(vec![flaky(&[]), spec(A, &[])]);
    bench.fail(0);
    assert_eq!(bench.started(), [0, 1], "waiting for a retry holds no slot");
    bench.ok(1);
    assert_eq!(bench.machine.next_due(), Some(SECOND));
    bench.at(SECOND - Duration::from_nanos(1));
    assert!(bench.started().is_empty());
    bench.at(SECOND);
    assert_eq!(bench.started(), [0]);
    bench.fail(0);
    assert_eq!(bench.ends(), [(0, End::Failed)]);
}

#[test]
fn a_fatal_error_is_not_repeated() {
    let mut bench = Bench::new(1, &[9]);
    let mut flaky = spec(A, &[]);
    flaky.policy.retry = Retry::attempts(5);
    bench.submit(vec![flaky]);
    bench.end(0, Attempt::Failed { retryable: false });
    assert_eq!(bench.ends(), [(0, End::Failed)]);
}

#[test]
fn an_attempt_past_its_timeout_is_stopped_and_counts_as_timed_out() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit(vec![slow(SECOND)]);
    bench.at(SECOND);
    assert_eq!(bench.out.last(), Some(&Action::Stop { task: task(0) }));
    assert_eq!(bench.machine.load().0, 1, "its slot is taken until it has really ended");
    bench.fail(0);
    assert_eq!(bench.ends(), [(0, End::TimedOut)]);
}

#[test]
fn the_time_out_of_an_attempt_is_not_lost_when_others_with_the_same_one_start_and_end() {
    let mut bench = Bench::new(3, &[9]);
    let slow = slow(10 * SECOND);
    bench.submit(vec![slow.clone(), slow.clone()]);
    bench.ok(0);
    for run in 8..11 {
        bench.now += SECOND;
        bench.submit_as(RunId(run), vec![slow.clone()], None);
        bench.ok_of(run, 0);
    }
    assert!(bench.machine.next_due().is_some_and(|due| due <= 10 * SECOND));
    bench.at(10 * SECOND);
    assert_eq!(bench.out.last(), Some(&Action::Stop { task: task(1) }));
}

#[test]
fn more_time_outs_than_have_a_line_of_their_own_are_kept_all_the_same() {
    let mut bench = Bench::new(99, &[99]);
    bench.submit((1..=20).rev().map(|seconds| slow(seconds * SECOND)).collect());
    for second in 1..=20 {
        bench.at(second * SECOND);
        assert_eq!(bench.out.last(), Some(&Action::Stop { task: task(20 - second) }));
    }
}

#[test]
fn timers_of_attempts_that_are_over_do_not_pile_up() {
    let mut bench = Bench::new(1, &[9]);
    for run in 0..5_000 {
        let hour = 3600 * SECOND;
        bench.submit_run(RunId(run), Run::new(false, None), vec![slow(hour)], Some(hour));
        bench.ok_of(run, 0);
        assert!(bench.machine.take_over(RunId(run)).is_some());
    }
    assert!(bench.machine.timers.len() <= STALE_TIMERS + 2);
}
