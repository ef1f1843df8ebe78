//! What runs again, and what that means for those that need it.

use super::*;

impl Bench {
    /// Runs a task again; what had begun.
    fn rerun(&mut self, node: u32, downstream: bool) -> Vec<u32> {
        let begun =
            self.machine.rerun(task(node), downstream, &mut self.out).expect("its run is live");
        self.admit();
        begun
    }
}

#[test]
fn a_task_runs_again_alone_and_what_has_used_its_output_stays() {
    let mut bench = chain();
    (0..3).for_each(|node| bench.ok(node));
    bench.out.clear();
    assert_eq!(bench.rerun(0, false), [0]);
    let again = Action::Again { task: task(0), attempts: 1 };
    let told = bench.out.iter().filter(|action| matches!(action, Action::Again { .. }));
    assert!(told.eq([&again]), "{:?}", bench.out);
    assert_eq!(bench.started(), [0]);
    bench.ok(0);
    assert_eq!(bench.ends(), [(0, End::Succeeded)]);
    bench.ok(3);
    assert_eq!(bench.out.last(), Some(&Action::RunDone { run: RUN }));
}

#[test]
fn with_all_downstream_each_runs_again_after_its_needs() {
    let mut bench = chain();
    (0..3).for_each(|node| bench.ok(node));
    bench.out.clear();
    assert_eq!(bench.rerun(0, true), [2, 1, 0]);
    for node in 0..3 {
        assert_eq!(bench.started(), [node]);
        bench.ok(node);
    }
}

#[test]
fn a_running_dependent_is_stopped_and_what_it_returns_is_not_used() {
    let mut bench = chain();
    bench.ok(0);
    bench.out.clear();
    bench.rerun(0, true);
    assert!(bench.out.contains(&Action::Stop { task: task(1) }));
    assert_eq!(bench.started(), [0]);
    bench.ok(1);
    assert_eq!(bench.ends(), [], "its need runs");
    bench.ok(0);
    assert_eq!(bench.started(), [1]);
}

#[test]
fn a_dependent_that_has_not_started_waits_for_the_new_end() {
    let mut bench = chain();
    bench.machine.set_limit(1);
    bench.ok(0);
    bench.out.clear();
    assert_eq!(bench.waiting(1), Waiting::Limit);
    bench.rerun(0, false);
    assert_eq!(bench.waiting(1), Waiting::Needs(vec![0]));
    bench.ok(3);
    bench.ok(0);
    assert_eq!(bench.started(), [0, 1]);
}

#[test]
fn a_further_attempt_waits_for_a_need_that_runs_again() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[]), flaky(&[0])]);
    bench.ok(0);
    bench.fail(1);
    bench.rerun(0, false);
    bench.started();
    bench.at(SECOND);
    assert!(bench.started().is_empty(), "its need runs");
    bench.ok(0);
    assert_eq!(bench.out.last(), Some(&Action::Start { task: task(1), attempt: 2 }));
}

#[test]
fn what_was_skipped_because_of_a_task_gets_another_chance_with_it() {
    let mut bench = chain();
    bench.fail(0);
    bench.out.clear();
    assert_eq!(bench.rerun(0, false), [2, 1, 0], "they had ended as skipped");
    (0..3).for_each(|node| bench.ok(node));
    let succeeded = [0, 1, 2].map(|node| (node, End::Succeeded));
    assert_eq!(bench.ends(), succeeded);
}

#[test]
fn attempts_are_numbered_on_and_the_retry_policy_begins_anew() {
    let mut bench = Bench::new(9, &[9]);
    let mut both = flaky(&[]);
    both.policy.timeout = Some(10 * SECOND);
    bench.submit(vec![both, spec(A, &[])]);
    bench.fail(0);
    bench.at(SECOND);
    bench.fail(0);
    bench.out.clear();
    bench.rerun(0, false);
    let start = |attempt| Action::Start { task: task(0), attempt };
    assert_eq!(bench.out.last(), Some(&start(3)));
    bench.fail(0);
    bench.at(2 * SECOND);
    assert_eq!(bench.out.last(), Some(&start(4)), "after the delay of a first failure");
    bench.at(10 * SECOND);
    assert!(!bench.out.contains(&Action::Stop { task: task(0) }));
    bench.fail(0);
    assert_eq!(bench.ends(), [(0, End::Failed)]);
}

#[test]
fn running_again_costs_again() {
    let mut bench = Bench::new(9, &[9]);
    let dear = NodeSpec { cost: 4, ..spec(A, &[]) };
    bench.submit_as(RUN, vec![dear, spec(A, &[])], Some(7));
    bench.ok(0);
    bench.out.clear();
    bench.rerun(0, false);
    assert_eq!(bench.ends(), [(0, End::OverBudget)]);
}

#[test]
fn a_cancelled_run_does_not_run_again() {
    let mut bench = chain();
    bench.ok(0);
    bench.machine.cancel_run(RUN, &mut bench.out);
    assert_eq!(bench.machine.rerun(task(0), true, &mut bench.out), None);
}

#[test]
fn what_has_not_begun_since_it_was_to_run_again_does_not_begin_again() {
    let mut bench = chain();
    bench.ok(0);
    bench.machine.set_limit(0);
    assert_eq!(bench.rerun(0, false), [0]);
    bench.out.clear();
    assert!(bench.rerun(0, false).is_empty());
    assert_eq!(bench.out, [Action::Ready { task: task(0) }]);
}

#[test]
fn the_delay_of_an_earlier_attempt_starts_no_later_one() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![flaky(&[])]);
    bench.fail(0);
    bench.at(SECOND / 2);
    bench.rerun(0, false);
    bench.fail(0);
    bench.started();
    bench.at(SECOND);
    assert!(bench.started().is_empty());
    bench.at(3 * SECOND / 2);
    assert_eq!(bench.started(), [0]);
}

#[test]
fn a_run_is_done_when_its_last_task_is_skipped_by_running_again() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[]), flaky(&[0])]);
    bench.ok(0);
    bench.fail(1);
    bench.rerun(0, false);
    bench.fail(0);
    bench.rerun(1, false);
    assert_eq!(bench.out.last(), Some(&Action::RunDone { run: RUN }));
}
