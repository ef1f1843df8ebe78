//! What ends of attempts say of their agent, and which agent is chosen by it.

use super::*;

/// One agent whose breaker opens with its first failure, and tasks of it that may be tried twice.
fn fragile(tasks: usize) -> Bench {
    let mut bench = Bench::new(9, &[9]);
    bench.machine.set_breaker(AgentId(0), Some(Breaker { failures: 1, cool_down: SECOND }));
    let policy = Policy { timeout: Some(SECOND), retry: twice() };
    bench.submit(vec![NodeSpec { policy, ..spec(A, &[]) }; tasks]);
    bench
}

fn is_open(bench: &mut Bench) -> bool {
    bench.insert(spec(A, &[]), &[]);
    let added = bench.machine.progress(RUN).map_or(0, |run| run.over + run.ready + run.running);
    matches!(bench.waiting(added as u32 - 1), Waiting::Breaker { .. })
}

#[test]
fn attempts_that_were_cancelled_or_declined_say_nothing_of_their_agent() {
    let mut bench = fragile(2);
    bench.end(0, Attempt::Declined);
    assert!(!is_open(&mut bench));
    bench.machine.cancel_task(task(1), &mut bench.out);
    bench.fail(1);
    assert!(!is_open(&mut bench));
}

#[test]
fn a_time_out_is_a_failure_of_the_agent_and_is_tried_again() {
    let mut bench = fragile(1);
    bench.at(SECOND);
    bench.end(0, Attempt::Failed { retryable: false });
    assert!(matches!(bench.waiting(0), Waiting::Backoff { .. }));
    bench.at(2 * SECOND);
    assert!(bench.started().contains(&0));
}

/// A run of one task that either agent can do.
fn either(bench: &mut Bench, run: u64) -> TaskRef {
    let task = task_of(run, 0);
    let mut state = Run::new(false, None);
    state.push(spec(A, &[]));
    state.set_choices(0, Box::new([A, B]));
    bench.machine.submit(task.run, state, None, bench.now, &mut bench.out);
    bench.admit();
    task
}

#[test]
fn of_several_agents_a_healthy_one_with_the_least_to_do_for_its_limit_is_chosen() {
    let mut bench = Bench::new(99, &[2, 4]);
    let mut chosen = Vec::new();
    for run in 0..9 {
        let task = either(&mut bench, run);
        chosen.extend(bench.machine.chosen(task).map(|agent| agent.0));
    }
    assert_eq!(chosen, [1, 0, 1, 1, 0, 1, 1, 0, 1], "those that wait count");
    bench.machine.set_breaker(AgentId(0), Some(Breaker { failures: 1, cool_down: SECOND }));
    for run in [1, 4, 0] {
        bench.end_of(task_of(run, 0), Attempt::Failed { retryable: false }, SECOND);
    }
    let task = either(&mut bench, 9);
    assert_eq!(bench.machine.chosen(task), Some(AgentId(1)), "the idle one is ill");
}

#[test]
fn an_agent_that_wants_nothing_for_a_time_starts_nothing_before_the_latest_that_it_told() {
    let mut bench = Bench::new(9, &[9]);
    bench.machine.set_rate(AgentId(0), Some(1));
    bench.submit(vec![spec(A, &[])]);
    bench.machine.pause_agent(AgentId(0), 90 * SECOND);
    bench.machine.pause_agent(AgentId(0), 10 * SECOND);
    bench.insert(spec(A, &[]), &[]);
    assert_eq!(bench.waiting(1), Waiting::Rate { until: 90 * SECOND }, "longer than its rate");
    bench.at(60 * SECOND);
    bench.at(90 * SECOND);
    assert_eq!(bench.started(), [0, 1]);
    bench.machine.pause_agent(AgentId(0), 95 * SECOND);
    bench.insert(spec(A, &[]), &[]);
    assert_eq!(bench.waiting(2), Waiting::Rate { until: 150 * SECOND }, "shorter than its rate");
}

#[test]
fn an_agent_that_wants_nothing_now_is_chosen_only_if_all_are_like_that() {
    for reason in 0..3 {
        let mut bench = Bench::new(9, &[9, 1]);
        match reason {
            0 => bench.machine.pause_agent(AgentId(0), 60 * SECOND),
            1 => bench.machine.set_agent_limit(AgentId(0), 0),
            _ => {
                bench.machine.set_rate(AgentId(0), Some(1));
                bench.submit(vec![spec(A, &[])]);
            }
        }
        for run in 20..24 {
            let task = either(&mut bench, run);
            assert_eq!(bench.machine.chosen(task), Some(AgentId(1)), "{reason}");
        }
        bench.machine.pause_agent(AgentId(1), 30 * SECOND);
        bench.at(SECOND);
        let chosen = either(&mut bench, 24);
        assert_eq!(bench.machine.chosen(chosen), Some(AgentId(u32::from(reason == 1))), "{reason}");
    }
}

#[test]
fn tasks_in_line_move_on_when_their_agent_wants_nothing_any_more() {
    for reason in 0..3 {
        let mut bench = Bench::new(9, &[1, 1]);
        let policy = Breaker { failures: 1, cool_down: 60 * SECOND };
        bench.machine.set_breaker(AgentId(0), Some(policy));
        let tasks: Vec<TaskRef> = (20..24).map(|run| either(&mut bench, run)).collect();
        let of = |bench: &Bench, agent| {
            let all = tasks.iter().filter(|task| bench.machine.chosen(**task) == Some(agent));
            all.count()
        };
        assert_eq!((of(&bench, AgentId(0)), of(&bench, AgentId(1))), (2, 2));
        bench.out.clear();
        match reason {
            0 => bench.machine.pause_agent(AgentId(0), 60 * SECOND),
            1 => bench.machine.set_agent_limit(AgentId(0), 0),
            _ => bench.end_of(tasks[0], Attempt::Failed { retryable: false }, SECOND),
        }
        bench.admit();
        let moved = bench.out.iter().filter(|action| matches!(action, Action::Moved { .. }));
        assert_eq!(moved.count(), 1, "{reason}");
        assert_eq!(of(&bench, AgentId(1)), 3, "{reason}");
    }
}

#[test]
fn a_task_that_is_put_in_line_anew_may_choose_another_agent_and_says_so() {
    let mut bench = Bench::new(9, &[1, 1]);
    let tasks: Vec<TaskRef> = (20..23).map(|run| either(&mut bench, run)).collect();
    assert_eq!(bench.machine.chosen(tasks[2]), Some(AgentId(0)));
    bench.machine.set_agent_limit(AgentId(1), 9);
    bench.out.clear();
    bench.machine.set_priority(tasks[2], 5, &mut bench.out);
    assert_eq!(bench.out, [Action::Moved { task: tasks[2] }]);
    assert_eq!(bench.machine.chosen(tasks[2]), Some(AgentId(1)));
}

#[test]
fn the_end_of_a_parked_attempt_tells_of_its_agent() {
    let mut bench = fragile(1);
    bench.machine.park(task(0));
    bench.fail(0);
    bench.insert(spec(A, &[]), &[]);
    assert!(matches!(bench.waiting(1), Waiting::Breaker { .. }));
}

#[test]
fn what_a_parked_probe_waits_for_is_the_probe_in_its_place() {
    let mut bench = fragile(3);
    bench.fail(0);
    bench.machine.park(task(1));
    bench.at(2 * SECOND);
    // Those that began before it opened do not decide.
    bench.ok(1);
    bench.fail(2);
    assert!(matches!(bench.waiting(0), Waiting::Running), "the probe");
    bench.insert(spec(A, &[]), &[]);
    bench.insert(spec(A, &[]), &[]);
    assert_eq!(bench.waiting(3), Waiting::Breaker { until: Duration::MAX });
    bench.machine.park(task(0));
    bench.admit();
    assert_eq!(bench.waiting(3), Waiting::Running, "it may be what the probe waits for");
    assert_eq!(bench.waiting(4), Waiting::Breaker { until: Duration::MAX }, "one at a time");
    bench.ok(0);
    assert_eq!(bench.waiting(4), Waiting::Breaker { until: Duration::MAX }, "it no longer decides");
    bench.ok(3);
    assert_eq!(bench.waiting(4), Waiting::Running);
}

#[test]
fn an_agent_whose_cool_down_is_over_is_chosen_for_one_attempt_and_then_by_what_comes_of_it() {
    for is_well in [true, false] {
        let mut bench = Bench::new(99, &[2, 2]);
        bench.machine.set_breaker(AgentId(0), Some(Breaker { failures: 1, cool_down: SECOND }));
        let ill = either(&mut bench, 0);
        bench.end_of(ill, Attempt::Failed { retryable: false }, Duration::ZERO);
        let while_ill = either(&mut bench, 1);
        assert_eq!(bench.machine.chosen(while_ill), Some(AgentId(1)));
        bench.at(SECOND);
        let probe = either(&mut bench, 2);
        assert_eq!(bench.machine.chosen(probe), Some(AgentId(0)), "it is asked again");
        let beside = either(&mut bench, 3);
        assert_eq!(bench.machine.chosen(beside), Some(AgentId(1)), "one is enough");
        let verdict =
            if is_well { Attempt::Succeeded } else { Attempt::Failed { retryable: false } };
        bench.end_of(probe, verdict, Duration::ZERO);
        let after = either(&mut bench, 4);
        assert_eq!(bench.machine.chosen(after), Some(AgentId(u32::from(!is_well))));
    }
}

#[test]
fn a_tenant_is_charged_for_what_a_parked_attempt_has_run_itself() {
    let mut machine = Machine::new(1);
    let agent = machine.add_agent(9);
    let tenants = [machine.add_tenant(1.0), machine.add_tenant(1.0)];
    let classes = tenants.map(|tenant| machine.add_class(tenant, agent, Box::default()));
    let mut bench = Bench { machine, out: Vec::new(), now: Duration::ZERO };
    bench.submit(vec![spec(classes[0], &[])]);
    let all = (0..9).map(|at| spec(classes[usize::from(at > 0)], &[])).collect();
    bench.submit_as(RunId(8), all, None);
    let parent = task(0);
    bench.machine.park(parent);
    bench.out.clear();
    bench.end_of(parent, Attempt::Succeeded, 5 * SECOND);
    // Four seconds behind, the other tenant goes first for so long.
    for _ in 0..4 {
        let started = bench.started();
        assert_ne!(started, [0]);
        bench.end_of(TaskRef { run: RunId(8), node: started[0] }, Attempt::Succeeded, SECOND);
    }
}

#[test]
fn what_is_known_of_an_agent_is_worth_keeping_until_it_is_over() {
    let mut bench = Bench::new(9, &[9]);
    let is_marked = |bench: &Bench| bench.machine.is_marked(AgentId(0));
    bench.machine.set_rate(AgentId(0), Some(3));
    assert!(!is_marked(&bench));
    bench.submit(vec![spec(A, &[])]);
    assert!(is_marked(&bench), "one has started in this minute");
    bench.at(60 * SECOND);
    assert!(!is_marked(&bench));
    bench.machine.pause_agent(AgentId(0), 90 * SECOND);
    assert!(is_marked(&bench));
    bench.machine.resume_agent(AgentId(0));
    assert!(!is_marked(&bench));
    bench.machine.set_breaker(AgentId(0), Some(Breaker { failures: 1, cool_down: SECOND }));
    bench.fail(0);
    assert!(is_marked(&bench), "its breaker is open");
}
