//! What another process has done: ends, attempts, starts and failures that count here too.

use super::*;

fn over(end: End, needs: &[u32]) -> NodeSpec {
    NodeSpec { past: Some(Past::Over(end)), ..spec(A, needs) }
}

fn tried(attempts: u32) -> NodeSpec {
    NodeSpec { past: Some(Past::Failed(attempts)), ..flaky(&[]) }
}

fn submitted(fail_fast: bool, specs: Vec<NodeSpec>) -> Bench {
    let mut bench = Bench::new(9, &[9]);
    bench.submit_run(RUN, Run::new(fail_fast, None), specs, None);
    bench
}

#[test]
fn what_is_over_is_not_run_and_what_follows_from_it_is() {
    let succeeded = over(End::Succeeded, &[]);
    let mut bench = submitted(false, vec![succeeded, spec(A, &[0]), over(End::Failed, &[0])]);
    bench.insert(spec(A, &[2]), &[]);
    bench.insert(over(End::Succeeded, &[]), &[]);
    bench.insert(spec(A, &[4]), &[]);
    let because = End::Skipped { because: 2 };
    let told = bench.out.iter().filter(|action| matches!(action, Action::Settled { .. }));
    assert_eq!(told.count(), 2, "{:?}", bench.out);
    let task = task(3);
    assert!(bench.out.contains(&Action::Settled { task, end: because }));
    assert_eq!(bench.started(), [1, 5]);
    bench.ok(1);
    bench.ok(5);
    assert_eq!(bench.out.last(), Some(&Action::RunDone { run: RUN }));
}

#[test]
fn a_failure_that_is_over_ends_a_run_that_fails_fast_and_no_other() {
    for (fail_fast, started) in [(true, vec![]), (false, vec![1])] {
        let mut bench = submitted(fail_fast, vec![over(End::Failed, &[]), spec(A, &[])]);
        assert_eq!(bench.started(), started);
    }
    let mut bench = submitted(true, vec![over(End::Declined, &[]), spec(A, &[])]);
    assert_eq!(bench.started(), [1]);
}

#[test]
fn a_run_of_which_all_is_over_is_done_at_once() {
    let bench = submitted(false, vec![over(End::Succeeded, &[])]);
    assert_eq!(bench.out, [Action::Began { run: RUN }, Action::RunDone { run: RUN }]);
}

#[test]
fn a_task_that_has_failed_ends_a_run_that_fails_fast_when_it_is_added() {
    let mut bench = submitted(true, vec![spec(A, &[]), spec(A, &[0])]);
    bench.insert(over(End::Failed, &[]), &[]);
    assert_eq!(bench.ends(), [(2, End::Failed), (1, End::Cancelled)]);
    bench.fail(0);
    assert_eq!(bench.ends(), [(0, End::Cancelled)]);
}

#[test]
fn attempts_that_failed_count_also_while_the_task_waits_for_others() {
    let of = |node, attempt| Action::Start { task: task(node), attempt };
    let waits = NodeSpec { needs: spec(A, &[0]).needs, ..tried(1) };
    let mut bench = submitted(false, vec![tried(1), waits.clone()]);
    bench.insert(waits, &[]);
    assert!(bench.out.contains(&of(0, 2)));
    bench.ok(0);
    assert!(bench.out.contains(&of(1, 2)) && bench.out.contains(&of(2, 2)));
    bench.out.clear();
    bench.fail(1);
    bench.fail(2);
    assert_eq!(bench.ends(), [(1, End::Failed), (2, End::Failed)], "of two attempts");
}

#[test]
fn a_task_of_which_attempts_failed_was_paid_for() {
    let mut bench = Bench::new(9, &[9]);
    let dear = NodeSpec { cost: 6, ..tried(1) };
    bench.submit_as(RUN, vec![dear, NodeSpec { cost: 5, ..spec(A, &[]) }], Some(5));
    assert_eq!(bench.started(), [0, 1]);
}

#[test]
fn failures_in_a_row_count_on_and_an_open_breaker_stays_so_for_the_rest_of_its_time() {
    let agent = AgentId(0);
    let breaker = Breaker { failures: 3, cool_down: 10 * SECOND };
    for (failures, ago, until) in [(2, 0, None), (3, 4, Some(6)), (3, 10, None), (9, 99, None)] {
        let mut bench = Bench::new(9, &[9]);
        bench.machine.set_breaker(agent, Some(breaker));
        bench.machine.restore_breaker(agent, failures, ago * SECOND, bench.now);
        bench.submit(vec![spec(A, &[])]);
        let expected = match until {
            Some(until) => Waiting::Breaker { until: until * SECOND },
            None => Waiting::Running,
        };
        assert_eq!(bench.waiting(0), expected, "{failures} failures {ago} s ago");
    }
    let mut bench = Bench::new(1, &[9]);
    bench.machine.set_breaker(agent, Some(breaker));
    bench.machine.restore_breaker(agent, 2, Duration::ZERO, bench.now);
    bench.submit(vec![spec(A, &[]), spec(A, &[])]);
    bench.fail(0);
    assert_eq!(bench.waiting(1), Waiting::Breaker { until: 10 * SECOND }, "the third");
    bench.machine.restore_breaker(agent, 0, Duration::ZERO, bench.now);
    assert_eq!(bench.waiting(1), Waiting::Breaker { until: 10 * SECOND }, "it has seen more");
}

#[test]
fn tasks_that_are_over_elsewhere_are_all_placed_before_what_waits_for_them() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[0])]);
    let ends = [End::Failed, End::Succeeded, End::Failed];
    let specs = ends.into_iter().map(|end| over(end, &[])).chain([spec(A, &[])]);
    let placed = specs.filter_map(|spec| bench.machine.place(RUN, spec, &[1]));
    let placed: Vec<Placed> = placed.collect();
    bench.out.clear();
    placed.into_iter().for_each(|task| bench.machine.settle_in(task, &mut bench.out));
    let skipped = (1, End::Skipped { because: 2 });
    assert_eq!(bench.ends(), [(2, End::Failed), skipped, (3, End::Succeeded), (4, End::Failed)]);
    bench.admit();
    assert_eq!(bench.started(), [5], "the one that is left runs");
}

#[test]
fn what_is_over_starts_nothing_of_those_that_came_with_it_and_are_over_too() {
    let mut bench = submitted(false, vec![spec(A, &[])]);
    bench.out.clear();
    let succeeded = |needs: &[u32]| over(End::Succeeded, needs);
    // As many are submitted at once: all of them are placed before anything follows.
    let placed: Vec<Placed> = [succeeded(&[]), succeeded(&[1])]
        .map(|spec| bench.machine.place(RUN, spec, &[]).expect("the run is live"))
        .into();
    placed.into_iter().for_each(|placed| bench.machine.settle_in(placed, &mut bench.out));
    bench.admit();
    let settled = |node| Action::Settled { task: task(node), end: End::Succeeded };
    assert_eq!(bench.out, [settled(1), settled(2)]);
}

#[test]
fn a_task_may_be_placed_before_one_whose_end_is_decided() {
    let mut bench = submitted(false, vec![spec(A, &[])]);
    let first = bench.machine.place(RUN, over(End::Declined, &[]), &[]).expect("the run is live");
    let second = bench.machine.place(RUN, spec(A, &[]), &[1]).expect("the run is live");
    bench.machine.settle_in(first, &mut bench.out);
    bench.machine.settle_in(second, &mut bench.out);
    bench.admit();
    let settled = Action::Settled { task: task(1), end: End::Declined };
    assert!(bench.out.contains(&settled), "{:?}", bench.out);
    assert_eq!(bench.started(), [0, 2]);
}
