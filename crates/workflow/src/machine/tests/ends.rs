//! What the end of a task means for those that need it, and for its run.

use std::collections::BTreeSet;

use super::*;

#[test]
fn a_task_starts_when_all_it_needs_succeeded() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[1, 2]), spec(A, &[]), spec(A, &[])]);
    assert_eq!(bench.started(), [1, 2]);
    bench.ok(1);
    assert!(bench.started().is_empty());
    bench.ok(2);
    assert_eq!(bench.started(), [0]);
}

#[test]
fn dependents_of_a_failure_are_skipped_with_its_root_and_others_go_on() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[0]), spec(A, &[1]), spec(A, &[])]);
    bench.fail(0);
    let because = End::Skipped { because: 0 };
    assert_eq!(bench.ends(), [(0, End::Failed), (1, because), (2, because)]);
    bench.ok(3);
    assert_eq!(bench.out.last(), Some(&Action::RunDone { run: RUN }));
}

#[test]
fn a_task_with_two_failed_needs_is_skipped_once() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[]), spec(A, &[0, 1])]);
    bench.fail(0);
    bench.fail(1);
    let skipped = bench.ends().into_iter().filter(|(node, _)| *node == 2).count();
    assert_eq!(skipped, 1);
}

#[test]
fn an_optional_need_may_fail() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[]), needing(A, 0, On::End)]);
    bench.fail(0);
    assert_eq!(bench.started(), [0, 1]);
}

#[test]
fn a_cancelled_run_stops_what_runs_and_ends_what_waits() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[]), spec(A, &[0]), spec(A, &[2])]);
    bench.machine.cancel_run(RUN, &mut bench.out);
    bench.admit();
    bench.fail(0);
    let cancelled: BTreeSet<u32> = bench
        .ends()
        .into_iter()
        .filter(|(_, end)| *end == End::Cancelled)
        .map(|(node, _)| node)
        .collect();
    assert_eq!(cancelled, BTreeSet::from([0, 1, 2, 3]), "none of them skipped");
    assert_eq!(bench.machine.load(), (0, 0));
}

#[test]
fn a_run_that_fails_fast_goes_on_after_ends_that_are_no_failures() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit_run(RUN, Run::new(true, None), vec![spec(A, &[]); 4], None);
    bench.ok(0);
    bench.end(1, Attempt::Declined);
    bench.machine.cancel_task(task(2), &mut bench.out);
    bench.fail(2);
    assert_eq!(bench.waiting(3), Waiting::Running);
    assert!(!bench.out.contains(&Action::Stop { task: task(3) }));
}

#[test]
fn a_running_task_is_asked_to_stop_once_whatever_it_is_stopped_for() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![slow(SECOND), spec(A, &[0])]);
    let task = task(0);
    bench.at(SECOND);
    bench.machine.cancel_task(task, &mut bench.out);
    bench.machine.cancel_run(RUN, &mut bench.out);
    assert!(bench.machine.is_stopping_or_over(task));
    let stops = bench.out.iter().filter(|action| matches!(action, Action::Stop { .. }));
    assert_eq!(stops.count(), 1);
    bench.fail(0);
    assert_eq!(bench.ends(), [(1, End::Cancelled), (0, End::Cancelled)]);
}

#[test]
fn a_task_waits_for_those_of_its_needs_that_are_not_over() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[]), spec(A, &[0, 1])]);
    bench.ok(0);
    assert_eq!(bench.waiting(2), Waiting::Needs(vec![1]));
}

#[test]
fn what_is_left_of_a_run_is_the_work_and_the_longest_way_of_what_is_not_over() {
    let mut bench = Bench::new(1, &[9]);
    let long = |estimate, needs: &[u32]| NodeSpec { estimate, ..spec(A, needs) };
    bench.submit(vec![long(9.0, &[]), long(2.0, &[]), long(3.0, &[1]), long(1.0, &[])]);
    bench.ok(0);
    let left = bench.machine.progress(RUN).expect("it is live");
    assert_eq!((left.over, left.work, left.longest), (1, 6.0, 5.0));
}

#[test]
fn a_graph_of_many_ways_is_searched_once() {
    let mut bench = Bench::new(9, &[9]);
    let rungs = (1..100).flat_map(|rung| [2 * rung - 2, 2 * rung - 1].map(|_| rung));
    let specs = rungs.map(|rung| spec(A, &[2 * rung - 2, 2 * rung - 1]));
    bench.submit([spec(A, &[]), spec(A, &[])].into_iter().chain(specs).collect());
    assert!(bench.machine.reaches(RUN, 0, 199));
    assert!(!bench.machine.reaches(RUN, 0, 1));
}

#[test]
fn a_fallback_runs_only_after_a_failure() {
    for (ended, fallback) in [
        (Attempt::Failed { retryable: false }, None),
        (Attempt::TimedOut, None),
        (Attempt::Succeeded, Some(End::Skipped { because: 0 })),
        (Attempt::Declined, Some(End::Skipped { because: 0 })),
    ] {
        let mut bench = Bench::new(9, &[9]);
        bench.submit(vec![spec(A, &[]), needing(A, 0, On::Failure)]);
        bench.end(0, ended);
        let end = bench.ends().into_iter().find(|(node, _)| *node == 1);
        assert_eq!(end.map(|(_, end)| end), fallback, "{ended:?}");
    }
}

#[test]
fn a_declined_task_skips_those_that_need_it_and_is_not_repeated() {
    let mut bench = Bench::new(9, &[9]);
    let mut declines = spec(A, &[]);
    declines.policy.retry = Retry::attempts(3);
    bench.submit(vec![declines, spec(A, &[0]), needing(A, 0, On::End)]);
    bench.end(0, Attempt::Declined);
    assert_eq!(bench.started(), [0, 2]);
}

#[test]
fn a_run_past_its_timeout_is_cancelled() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit_run(RUN, Run::new(false, None), vec![spec(A, &[]); 2], Some(SECOND));
    bench.at(SECOND);
    bench.fail(0);
    assert_eq!(bench.ends(), [(1, End::Cancelled), (0, End::Cancelled)]);
}
