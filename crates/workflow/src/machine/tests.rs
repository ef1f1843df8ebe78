//! The machine under hand-written and random schedules, in virtual time.

mod budgets;
mod health;
mod past;
mod simulation;

use std::collections::BTreeSet;
use std::time::Duration;

use super::timers::STALE_TIMERS;
use super::*;
use crate::retry::Retry;

const SECOND: Duration = Duration::from_secs(1);

fn spec(class: ClassId, needs: &[u32]) -> NodeSpec {
    NodeSpec {
        needs: needs.iter().map(|task| Need { task: *task, on: On::Success }).collect(),
        class,
        priority: 0,
        estimate: 1.0,
        complexity: 1.0,
        cost: 0,
        policy: Policy { timeout: None, retry: Retry::NEVER },
        past: None,
    }
}

fn needing(class: ClassId, task: u32, on: On) -> NodeSpec {
    NodeSpec { needs: Box::new([Need { task, on }]), ..spec(class, &[]) }
}

impl Machine {
    /// Adds one task, with what follows.
    fn insert(
        &mut self,
        run: RunId,
        spec: NodeSpec,
        before: &[u32],
        out: &mut Vec<Action>,
    ) -> TaskRef {
        let placed = self.place(run, spec, before).expect("the run is live");
        let task = placed.0;
        self.settle_in(placed, out);
        task
    }
}

/// A machine with one agent, and its first run.
struct Bench {
    machine: Machine,
    out: Vec<Action>,
    now: Duration,
}

const RUN: RunId = RunId(7);

impl Bench {
    fn new(limit: usize, agent_limits: &[usize]) -> Self {
        let mut machine = Machine::new(limit);
        for limit in agent_limits {
            let agent = machine.add_agent(*limit);
            machine.add_class(TenantId::DEFAULT, agent, Box::default());
        }
        Self { machine, out: Vec::new(), now: Duration::ZERO }
    }

    fn submit(&mut self, specs: Vec<NodeSpec>) {
        self.submit_as(RUN, specs, None);
    }

    fn submit_as(&mut self, id: RunId, specs: Vec<NodeSpec>, budget: Option<u64>) {
        let mut run = Run::new(false, budget);
        specs.into_iter().for_each(|spec| run.push(spec));
        self.machine.submit(id, run, None, self.now, &mut self.out);
        self.admit();
    }

    fn insert(&mut self, spec: NodeSpec, before: &[u32]) {
        self.machine.insert(RUN, spec, before, &mut self.out);
        self.admit();
    }

    fn admit(&mut self) {
        self.machine.admit(self.now, &mut self.out);
    }

    fn end(&mut self, node: u32, ended: Attempt) {
        self.end_of(TaskRef { run: RUN, node }, ended, SECOND);
    }

    fn end_of(&mut self, task: TaskRef, ended: Attempt, took: Duration) {
        self.machine.ended(task, ended, took, self.now, &mut self.out);
        self.admit();
    }

    fn waiting(&mut self, node: u32) -> Waiting {
        let task = TaskRef { run: RUN, node };
        self.machine.waiting(task, self.now).expect("its run is live")
    }

    fn ok(&mut self, node: u32) {
        self.end(node, Attempt::Succeeded);
    }

    fn fail(&mut self, node: u32) {
        self.end(node, Attempt::Failed { retryable: true });
    }

    fn at(&mut self, now: Duration) {
        self.now = now;
        self.machine.tick(now, &mut self.out);
        self.admit();
    }

    /// The tasks started since the last look.
    fn started(&mut self) -> Vec<u32> {
        let started = self.out.drain(..).filter_map(|action| match action {
            Action::Start { task, .. } => Some(task.node),
            _ => None,
        });
        started.collect()
    }

    fn ends(&mut self) -> Vec<(u32, End)> {
        let ends = self.out.drain(..).filter_map(|action| match action {
            Action::Settled { task, end } => Some((task.node, end)),
            _ => None,
        });
        ends.collect()
    }
}

const A: ClassId = ClassId(0);
const B: ClassId = ClassId(1);

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
fn a_full_agent_blocks_only_itself() {
    let mut bench = Bench::new(9, &[1, 9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[]), spec(B, &[]), spec(B, &[])]);
    assert_eq!(bench.started(), [0, 2, 3]);
    assert_eq!(bench.waiting(1), Waiting::AgentLimit);
}

#[test]
fn a_shrunk_limit_admits_nobody_until_use_is_below_it() {
    let mut bench = Bench::new(3, &[9]);
    bench.submit((0..6).map(|_| spec(A, &[])).collect());
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
fn the_longest_way_to_the_end_starts_first_and_priority_overrides_it() {
    let mut bench = Bench::new(1, &[9]);
    let mut urgent = spec(A, &[]);
    urgent.priority = 1;
    bench.submit(vec![spec(A, &[]), spec(A, &[]), spec(A, &[1]), urgent]);
    for node in [3, 1] {
        assert_eq!(bench.started(), [node]);
        bench.ok(node);
    }
}

#[test]
fn a_task_behind_which_urgent_ones_keep_arriving_starts_within_the_stated_bound() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[])]);
    assert_eq!(bench.started(), [0]);
    let mut running = 0;
    for start in 1.. {
        let mut urgent = spec(A, &[]);
        urgent.priority = 5;
        bench.insert(urgent, &[]);
        bench.ok(running);
        running = bench.started()[0];
        if running == 1 {
            assert!(start <= admission::AGEING, "started only after {start}");
            return;
        }
    }
}

#[test]
fn a_failed_attempt_is_repeated_after_its_delay_until_attempts_run_out() {
    let mut bench = Bench::new(1, &[9]);
    let mut flaky = spec(A, &[]);
    flaky.policy.retry = Retry { attempts: 2, jitter: 0.0, ..Retry::default() };
    bench.submit(vec![flaky, spec(A, &[])]);
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
    let mut slow = spec(A, &[]);
    slow.policy.timeout = Some(SECOND);
    bench.submit(vec![slow]);
    bench.at(SECOND);
    assert_eq!(bench.out.last(), Some(&Action::Stop { task: TaskRef { run: RUN, node: 0 } }));
    assert_eq!(bench.machine.load().0, 1, "its slot is taken until it has really ended");
    bench.fail(0);
    assert_eq!(bench.ends(), [(0, End::TimedOut)]);
}

#[test]
fn the_time_out_of_an_attempt_is_not_lost_when_others_with_the_same_one_start_and_end() {
    let mut bench = Bench::new(3, &[9]);
    let mut slow = spec(A, &[]);
    slow.policy.timeout = Some(10 * SECOND);
    bench.submit(vec![slow.clone(), slow.clone()]);
    bench.ok(0);
    for run in 8..11 {
        bench.now += SECOND;
        bench.submit_as(RunId(run), vec![slow.clone()], None);
        bench.end_of(TaskRef { run: RunId(run), node: 0 }, Attempt::Succeeded, SECOND);
    }
    assert!(bench.machine.next_due().is_some_and(|due| due <= 10 * SECOND));
    bench.at(10 * SECOND);
    assert_eq!(bench.out.last(), Some(&Action::Stop { task: TaskRef { run: RUN, node: 1 } }));
}

#[test]
fn more_time_outs_than_have_a_line_of_their_own_are_kept_all_the_same() {
    let mut bench = Bench::new(99, &[99]);
    let slow = |seconds| {
        let mut slow = spec(A, &[]);
        slow.policy.timeout = Some(seconds * SECOND);
        slow
    };
    bench.submit((1..=20).rev().map(slow).collect());
    for second in 1..=20 {
        bench.at(second * SECOND);
        let task = TaskRef { run: RUN, node: 20 - second };
        assert_eq!(bench.out.last(), Some(&Action::Stop { task }));
    }
}

#[test]
fn newcomers_for_whom_there_is_no_room_stand_in_line_in_the_order_in_which_they_came() {
    let mut bench = Bench::new(1, &[9]);
    let of = |priority| NodeSpec { priority, ..spec(A, &[]) };
    bench.submit(vec![of(9), of(3), of(0)]);
    bench.machine.admission.make_it_the_turn_of_the_oldest();
    bench.ok(0);
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
    let mut run = Run::new(true, None);
    (0..4).for_each(|_| run.push(spec(A, &[])));
    bench.machine.submit(RUN, run, None, bench.now, &mut bench.out);
    bench.admit();
    bench.ok(0);
    bench.end(1, Attempt::Declined);
    bench.machine.cancel_task(TaskRef { run: RUN, node: 2 }, &mut bench.out);
    bench.fail(2);
    assert_eq!(bench.waiting(3), Waiting::Running);
    assert!(!bench.out.contains(&Action::Stop { task: TaskRef { run: RUN, node: 3 } }));
}

#[test]
fn a_running_task_is_asked_to_stop_once_whatever_it_is_stopped_for() {
    let mut bench = Bench::new(9, &[9]);
    let mut slow = spec(A, &[]);
    slow.policy.timeout = Some(SECOND);
    bench.submit(vec![slow, spec(A, &[0])]);
    let task = TaskRef { run: RUN, node: 0 };
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
fn what_needs_a_skipped_task_is_skipped_for_the_root_when_it_is_added_too() {
    let mut bench = chain();
    bench.fail(0);
    bench.out.clear();
    bench.insert(spec(A, &[2]), &[]);
    assert_eq!(bench.ends(), [(4, End::Skipped { because: 0 })]);
}

#[test]
fn a_task_added_before_a_long_way_goes_before_one_that_ends_it() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[0])]);
    bench.insert(spec(A, &[]), &[]);
    bench.insert(spec(A, &[]), &[1]);
    bench.insert(NodeSpec { estimate: 2.0, ..spec(A, &[]) }, &[]);
    let mut order = bench.started();
    for _ in 0..3 {
        bench.ok(*order.last().expect("one runs"));
        order.extend(bench.started());
    }
    assert_eq!(order, [0, 3, 4, 2], "by 1.6, 1.2 and 0.4 seconds after their parts");
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
fn a_task_added_before_a_waiting_one_delays_it() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[0])]);
    bench.insert(spec(A, &[]), &[1]);
    assert!(bench.machine.reaches(RUN, 2, 1) && !bench.machine.reaches(RUN, 1, 2));
    bench.ok(0);
    assert_eq!(bench.started(), [0, 2]);
    bench.ok(2);
    assert_eq!(bench.started(), [1]);
}

#[test]
fn a_task_added_to_a_cancelled_run_never_starts() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit(vec![spec(A, &[])]);
    bench.machine.cancel_run(RUN, &mut bench.out);
    bench.admit();
    bench.insert(spec(A, &[]), &[]);
    assert_eq!(bench.ends(), [(1, End::Cancelled)]);
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

/// A machine with one agent, and a class of tasks that take so much of a resource of ten.
fn shared(limit: usize, amounts: &[u64]) -> Bench {
    let mut bench = Bench::new(limit, &[99]);
    let resource = bench.machine.add_resource(10);
    for amount in amounts {
        let demands = Box::new([Demand { resource, amount: *amount }]);
        bench.machine.add_class(TenantId::DEFAULT, AgentId(0), demands);
    }
    bench
}

#[test]
fn a_task_that_does_not_fit_is_passed_over_and_holds_nothing() {
    let mut bench = shared(9, &[6, 4]);
    bench.submit(vec![
        spec(ClassId(1), &[]),
        spec(ClassId(1), &[]),
        spec(ClassId(2), &[]),
        spec(A, &[]),
    ]);
    assert_eq!(bench.started(), [0, 2, 3]);
    let resource = ResourceId(0);
    assert_eq!(bench.waiting(1), Waiting::Resource { resource, wanted: 6, free: 0 });
    bench.ok(2);
    assert!(bench.started().is_empty());
    bench.ok(0);
    assert_eq!(bench.started(), [1]);
}

#[test]
fn a_large_task_starts_within_the_stated_bound_although_small_ones_keep_coming() {
    let mut bench = shared(9, &[1, 10]);
    bench.submit(vec![spec(ClassId(1), &[]), spec(ClassId(1), &[]), spec(ClassId(2), &[])]);
    let mut running = bench.started();
    let mut next = 3;
    for starts in 1.. {
        // Two small tasks overlap, so that the resource is never free by itself.
        bench.insert(spec(ClassId(1), &[]), &[]);
        bench.ok(running.remove(0));
        running.extend(bench.started());
        next += 1;
        if running.is_empty() || running.contains(&2) {
            break;
        }
        assert!(starts <= admission::AGEING + 1, "after {starts} starts {next} tasks were first");
    }
    while !running.contains(&2) {
        bench.ok(running.remove(0));
        running.extend(bench.started());
    }
}

#[test]
fn room_is_kept_no_longer_for_a_task_that_can_never_have_it() {
    let never: [fn(&mut Machine); 2] = [
        |machine| machine.set_agent_limit(AgentId(0), 0),
        |machine| machine.set_capacity(ResourceId(0), 9),
    ];
    for can_never_start in never {
        let mut bench = Bench::new(2, &[9, 9]);
        let resource = bench.machine.add_resource(10);
        for (agent, amount) in [(0, 10), (1, 1)] {
            let demands = Box::new([Demand { resource, amount }]);
            bench.machine.add_class(TenantId::DEFAULT, AgentId(agent), demands);
        }
        let mut specs = vec![spec(ClassId(3), &[]); 100];
        specs[2] = spec(ClassId(2), &[]);
        bench.submit(specs);
        let mut running = bench.started();
        while running.len() == 2 {
            bench.ok(running.remove(0));
            running.extend(bench.started());
        }
        can_never_start(&mut bench.machine);
        bench.admit();
        assert_eq!(bench.started().len(), 1, "the slot that was kept for the large task");
    }
}

#[test]
fn a_resource_that_shrank_is_not_given_out_until_use_is_below_it() {
    let mut bench = shared(9, &[5]);
    bench.submit((0..3).map(|_| spec(ClassId(1), &[])).collect());
    assert_eq!(bench.started(), [0, 1]);
    bench.machine.set_capacity(ResourceId(0), 5);
    bench.ok(0);
    assert!(bench.started().is_empty());
    bench.ok(1);
    assert_eq!(bench.started(), [2]);
}

#[test]
fn no_minute_sees_more_starts_than_the_rate_retries_included() {
    let mut bench = Bench::new(9, &[9]);
    bench.machine.set_rate(AgentId(0), Some(2));
    let mut flaky = spec(A, &[]);
    flaky.policy.retry = Retry { attempts: 2, jitter: 0.0, ..Retry::default() };
    bench.submit(vec![flaky, spec(A, &[]), spec(A, &[])]);
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
fn a_task_of_one_agent_that_is_old_starts_within_the_bound_although_another_has_many() {
    let mut bench = Bench::new(1, &[9, 9]);
    let urgent = || NodeSpec { priority: 5, ..spec(A, &[]) };
    bench.submit(vec![urgent(), spec(B, &[])]);
    (0..100).for_each(|_| bench.insert(urgent(), &[]));
    let mut running = bench.started();
    for start in 1.. {
        bench.ok(running.remove(0));
        running = bench.started();
        if running == [1] {
            return;
        }
        assert!(start <= admission::AGEING, "it has not started after {start}");
    }
}

#[test]
fn what_was_kept_for_a_task_is_free_when_that_is_cancelled() {
    let mut bench = shared(3, &[1, 10]);
    let mut specs = vec![spec(ClassId(1), &[]); 100];
    specs[3] = spec(ClassId(2), &[]);
    bench.submit(specs);
    let mut running = bench.started();
    while running.len() > 1 {
        bench.ok(running.remove(0));
        running.extend(bench.started());
    }
    bench.machine.cancel_task(TaskRef { run: RUN, node: 3 }, &mut bench.out);
    bench.admit();
    assert_eq!(bench.started().len(), 2);
}

#[test]
fn room_is_kept_for_one_task_and_not_for_the_next_of_its_kind() {
    let mut bench = shared(2, &[1, 10]);
    let urgent = NodeSpec { priority: 1, ..spec(ClassId(1), &[]) };
    let mut specs = vec![urgent; 200];
    (2..4).for_each(|node| specs[node] = spec(ClassId(2), &[]));
    bench.submit(specs);
    let mut running = bench.started();
    while !running.contains(&2) {
        bench.ok(running.remove(0));
        running.extend(bench.started());
    }
    bench.ok(2);
    assert_eq!(bench.started().len(), 2, "urgent ones, although another large one waits");
}

#[test]
fn a_slot_of_its_agent_is_kept_for_a_task_that_lacks_a_resource_too() {
    let mut bench = Bench::new(9, &[1, 9]);
    let resource = bench.machine.add_resource(10);
    for (agent, amount) in [(0, 10), (1, 1)] {
        let demands = Box::new([Demand { resource, amount }]);
        bench.machine.add_class(TenantId::DEFAULT, AgentId(agent), demands);
    }
    let (large, small) = (ClassId(2), ClassId(3));
    let mut specs = vec![spec(A, &[]); 200];
    (specs[1], specs[2]) = (spec(small, &[]), spec(large, &[]));
    bench.submit(specs);
    assert_eq!(bench.started(), [0, 1]);
    let mut of_agent = 0;
    for _ in 0..2 * admission::AGEING {
        bench.ok(of_agent);
        match bench.started()[..] {
            [] => return,
            ref started => of_agent = started[0],
        }
    }
    panic!("others take the slot while the resource is not free");
}

#[test]
fn a_class_is_not_forgotten_while_another_is_announced_again_and_again() {
    let mut bench = Bench::new(0, &[999, 9]);
    bench.submit(vec![spec(B, &[])]);
    (0..500).for_each(|priority| bench.insert(NodeSpec { priority, ..spec(A, &[]) }, &[]));
    bench.machine.set_limit(999);
    bench.admit();
    assert_eq!(bench.started().len(), 501);
}

#[test]
fn what_has_started_counts_against_a_rate_that_is_changed() {
    let mut bench = Bench::new(9, &[9]);
    bench.machine.set_rate(AgentId(0), Some(2));
    bench.submit((0..4).map(|_| spec(A, &[])).collect());
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

#[test]
fn tenants_share_slot_time_by_weight() {
    let mut bench = Bench::new(1, &[9]);
    let tenants = [1.0, 3.0].map(|weight| bench.machine.add_tenant(weight));
    for tenant in tenants {
        bench.machine.add_class(tenant, AgentId(0), Box::default());
    }
    for (at, class) in [1, 2].into_iter().enumerate() {
        bench.submit_as(
            RunId(at as u64),
            (0..200).map(|_| spec(ClassId(class), &[])).collect(),
            None,
        );
    }
    // The first tenant's tasks take twice as long as was estimated, the second's half as long.
    let took = [2 * SECOND, SECOND / 2];
    let mut had = [Duration::ZERO; 2];
    while had[0] + had[1] < 60 * SECOND {
        let Some(Action::Start { task, .. }) =
            bench.out.drain(..).find(|action| matches!(action, Action::Start { .. }))
        else {
            panic!("a slot is free")
        };
        let tenant = task.run.0 as usize;
        had[tenant] += took[tenant];
        bench.end_of(task, Attempt::Succeeded, took[tenant]);
    }
    let share = had[1].as_secs_f64() / had[0].as_secs_f64();
    assert!((2.7..3.4).contains(&share), "{had:?}");
}

#[test]
fn a_tenant_that_comes_back_has_saved_nothing_up() {
    let mut bench = Bench::new(1, &[9]);
    for weight in [1.0, 1.0] {
        let tenant = bench.machine.add_tenant(weight);
        bench.machine.add_class(tenant, AgentId(0), Box::default());
    }
    bench.submit_as(RunId(0), (0..40).map(|_| spec(ClassId(1), &[])).collect(), None);
    for node in 0..20 {
        bench.end_of(TaskRef { run: RunId(0), node }, Attempt::Succeeded, SECOND);
    }
    // It was there before, and what it wanted was cancelled.
    bench.submit_as(RunId(2), vec![spec(ClassId(2), &[])], None);
    bench.machine.cancel_run(RunId(2), &mut bench.out);
    for node in 20..30 {
        bench.end_of(TaskRef { run: RunId(0), node }, Attempt::Succeeded, SECOND);
    }
    bench.submit_as(RunId(1), (0..10).map(|_| spec(ClassId(2), &[])).collect(), None);
    bench.out.clear();
    let mut of_new = 0;
    let mut running = TaskRef { run: RunId(0), node: 30 };
    for _ in 0..8 {
        bench.end_of(running, Attempt::Succeeded, SECOND);
        let start = bench.out.drain(..).find_map(|action| match action {
            Action::Start { task, .. } => Some(task),
            _ => None,
        });
        running = start.expect("a slot is free");
        of_new += running.run.0.min(1);
    }
    assert!((3..=5).contains(&of_new), "{of_new} of 8 starts");
}

#[test]
fn a_tenant_that_comes_back_owes_what_it_has_had() {
    let mut bench = Bench::new(1, &[9]);
    for _ in 0..2 {
        let tenant = bench.machine.add_tenant(1.0);
        bench.machine.add_class(tenant, AgentId(0), Box::default());
    }
    let tasks = |class| (0..5).map(|_| spec(ClassId(class), &[])).collect();
    bench.submit_as(RunId(0), tasks(1), None);
    for node in 0..5 {
        bench.end_of(TaskRef { run: RunId(0), node }, Attempt::Succeeded, SECOND);
    }
    bench.submit_as(RunId(1), tasks(2), None);
    bench.submit_as(RunId(2), tasks(1), None);
    for node in 0..4 {
        bench.out.clear();
        bench.end_of(TaskRef { run: RunId(1), node }, Attempt::Succeeded, SECOND);
        let task = TaskRef { run: RunId(1), node: node + 1 };
        assert!(bench.out.contains(&Action::Start { task, attempt: 1 }), "{:?}", bench.out);
    }
}

#[test]
fn who_gets_the_number_of_a_forgotten_tenant_has_had_nothing() {
    let mut bench = Bench::new(1, &[9]);
    let old = bench.machine.add_tenant(0.001);
    let of_old = bench.machine.add_class(old, AgentId(0), Box::default());
    bench.submit_as(RunId(0), vec![spec(of_old, &[])], None);
    bench.end_of(TaskRef { run: RunId(0), node: 0 }, Attempt::Succeeded, SECOND);
    bench.machine.forget_class(of_old);
    bench.machine.forget_tenant(old);
    let new = bench.machine.add_tenant(1.0);
    assert_eq!(new, old);
    let of_new = bench.machine.add_class(new, AgentId(0), Box::default());
    bench.submit((0..3).map(|_| spec(A, &[])).collect());
    bench.submit_as(RunId(1), vec![spec(of_new, &[])], None);
    bench.ok(0);
    bench.out.clear();
    bench.ok(1);
    let task = TaskRef { run: RunId(1), node: 0 };
    assert!(bench.out.contains(&Action::Start { task, attempt: 1 }));
}

#[test]
fn a_budget_pays_in_the_order_of_starts_and_what_it_cannot_pay_fails() {
    let mut bench = Bench::new(1, &[9]);
    let mut dear = spec(A, &[]);
    dear.cost = 6;
    let mut flaky = dear.clone();
    flaky.policy.retry = Retry { attempts: 2, first_delay: Duration::ZERO, ..Retry::default() };
    flaky.priority = 1;
    bench.submit_as(RUN, vec![flaky, dear, needing(A, 1, On::Failure)], Some(10));
    bench.fail(0);
    assert_eq!(bench.ends(), [(1, End::OverBudget)], "six of ten are spent");
    bench.at(SECOND);
    bench.ok(2);
    assert_eq!(bench.started(), [0], "the second attempt costs nothing more");
}

#[test]
fn a_run_past_its_timeout_is_cancelled() {
    let mut bench = Bench::new(1, &[9]);
    let mut run = Run::new(false, None);
    run.push(spec(A, &[]));
    run.push(spec(A, &[]));
    bench.machine.submit(RUN, run, Some(SECOND), Duration::ZERO, &mut bench.out);
    bench.admit();
    bench.at(SECOND);
    bench.fail(0);
    assert_eq!(bench.ends(), [(1, End::Cancelled), (0, End::Cancelled)]);
}

#[test]
fn a_priority_that_changes_puts_a_ready_task_in_line_anew() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit((0..3).map(|_| spec(A, &[])).collect());
    bench.machine.set_priority(TaskRef { run: RUN, node: 2 }, 1, &mut bench.out);
    bench.ok(0);
    assert_eq!(bench.started(), [0, 2]);
}

#[test]
fn an_urgent_task_of_one_agent_overtakes_the_waiting_ones_of_another() {
    let mut bench = Bench::new(1, &[9, 9]);
    let urgent = |class, priority| NodeSpec { priority, ..spec(class, &[]) };
    bench.submit(vec![spec(A, &[]), urgent(B, 1), urgent(B, 1)]);
    bench.insert(urgent(A, 2), &[]);
    bench.ok(1);
    assert_eq!(bench.started(), [1, 3]);
}

#[test]
fn of_equal_ways_to_the_end_the_one_with_more_after_its_first_task_starts_first() {
    let mut bench = Bench::new(1, &[9]);
    let long = |estimate, needs: &[u32]| NodeSpec { estimate, ..spec(A, needs) };
    bench.submit(vec![long(2.0, &[]), long(1.0, &[0]), long(1.0, &[]), long(2.0, &[2])]);
    assert_eq!(bench.started(), [2]);
}

#[test]
fn of_equally_urgent_tasks_the_one_with_more_dependents_starts_first() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[0]), spec(A, &[]), spec(A, &[2]), spec(A, &[2])]);
    assert_eq!(bench.started(), [2]);
}

#[test]
fn a_score_replaces_priority_and_rank() {
    let mut bench = Bench::new(1, &[9]);
    bench.machine.set_score(Box::new(|facts| facts.complexity - facts.dependents as f32));
    let complex = |complexity: f32, needs: &[u32]| {
        let priority = -(complexity as i32);
        NodeSpec { complexity, priority, ..spec(A, needs) }
    };
    bench.submit(vec![
        complex(1.0, &[]),
        complex(5.0, &[]),
        complex(3.0, &[]),
        complex(0.0, &[1, 1]),
    ]);
    let mut order = bench.started();
    for _ in 0..2 {
        bench.ok(*order.last().expect("one runs"));
        order.extend(bench.started());
    }
    assert_eq!(order, [1, 2, 0]);
}

#[test]
fn timers_of_attempts_that_are_over_do_not_pile_up() {
    let mut bench = Bench::new(1, &[9]);
    for run in 0..5_000 {
        let mut brief = spec(A, &[]);
        brief.policy.timeout = Some(3600 * SECOND);
        let mut state = Run::new(false, None);
        state.push(brief);
        let hour = Some(3600 * SECOND);
        bench.machine.submit(RunId(run), state, hour, bench.now, &mut bench.out);
        bench.admit();
        bench.end_of(TaskRef { run: RunId(run), node: 0 }, Attempt::Succeeded, SECOND);
        assert!(bench.machine.take_over(RunId(run)).is_some());
    }
    assert!(bench.machine.timers.len() <= STALE_TIMERS + 2);
}

impl Bench {
    /// Runs a task again; what had begun.
    fn rerun(&mut self, node: u32, downstream: bool) -> Vec<u32> {
        let task = TaskRef { run: RUN, node };
        let begun = self.machine.rerun(task, downstream, &mut self.out).expect("its run is live");
        self.admit();
        begun
    }
}

/// 0 <- 1 <- 2, and 3 beside them that keeps the run live.
fn chain() -> Bench {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[0]), spec(A, &[1]), spec(A, &[])]);
    bench
}

#[test]
fn a_task_runs_again_alone_and_what_has_used_its_output_stays() {
    let mut bench = chain();
    (0..3).for_each(|node| bench.ok(node));
    bench.out.clear();
    assert_eq!(bench.rerun(0, false), [0]);
    let again = Action::Again { task: TaskRef { run: RUN, node: 0 }, attempts: 1 };
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
    let dependent = TaskRef { run: RUN, node: 1 };
    assert!(bench.out.contains(&Action::Stop { task: dependent }));
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
    let mut flaky = spec(A, &[0]);
    flaky.policy.retry = Retry { attempts: 2, jitter: 0.0, ..Retry::default() };
    bench.submit(vec![spec(A, &[]), flaky]);
    bench.ok(0);
    bench.fail(1);
    bench.rerun(0, false);
    bench.started();
    bench.at(SECOND);
    assert!(bench.started().is_empty(), "its need runs");
    bench.ok(0);
    assert_eq!(
        bench.out.last(),
        Some(&Action::Start { task: TaskRef { run: RUN, node: 1 }, attempt: 2 })
    );
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
    let mut flaky = spec(A, &[]);
    flaky.policy.retry = Retry { attempts: 2, jitter: 0.0, ..Retry::default() };
    flaky.policy.timeout = Some(10 * SECOND);
    bench.submit(vec![flaky, spec(A, &[])]);
    bench.fail(0);
    bench.at(SECOND);
    bench.fail(0);
    bench.out.clear();
    bench.rerun(0, false);
    let start = |attempt| Action::Start { task: TaskRef { run: RUN, node: 0 }, attempt };
    assert_eq!(bench.out.last(), Some(&start(3)));
    bench.fail(0);
    bench.at(2 * SECOND);
    assert_eq!(bench.out.last(), Some(&start(4)), "after the delay of a first failure");
    bench.at(10 * SECOND);
    assert!(!bench.out.contains(&Action::Stop { task: TaskRef { run: RUN, node: 0 } }));
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
    let task = TaskRef { run: RUN, node: 0 };
    assert_eq!(bench.machine.rerun(task, true, &mut bench.out), None);
}

#[test]
fn what_has_not_begun_since_it_was_to_run_again_does_not_begin_again() {
    let mut bench = chain();
    bench.ok(0);
    bench.machine.set_limit(0);
    assert_eq!(bench.rerun(0, false), [0]);
    bench.out.clear();
    assert!(bench.rerun(0, false).is_empty());
    assert_eq!(bench.out, [Action::Ready { task: TaskRef { run: RUN, node: 0 } }]);
}

#[test]
fn the_delay_of_an_earlier_attempt_starts_no_later_one() {
    let mut bench = Bench::new(9, &[9]);
    let mut flaky = spec(A, &[]);
    flaky.policy.retry = Retry { attempts: 2, jitter: 0.0, ..Retry::default() };
    bench.submit(vec![flaky]);
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
    let mut flaky = spec(A, &[0]);
    flaky.policy.retry = Retry::attempts(2);
    bench.submit(vec![spec(A, &[]), flaky]);
    bench.ok(0);
    bench.fail(1);
    bench.rerun(0, false);
    bench.fail(0);
    bench.rerun(1, false);
    assert_eq!(bench.out.last(), Some(&Action::RunDone { run: RUN }));
}
