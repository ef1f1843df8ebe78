//! What ends of attempts say of their agent, and which agent is chosen by it.

use super::*;

/// One agent whose breaker opens with its first failure, and tasks of it that may be tried twice.
fn fragile(tasks: usize) -> Bench {
    let mut bench = Bench::new(9, &[9]);
    bench.machine.set_breaker(AgentId(0), Some(Breaker { failures: 1, cool_down: SECOND }));
    let retry = Retry { attempts: 2, jitter: 0.0, ..Retry::default() };
    let policy = Policy { timeout: Some(SECOND), retry };
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
    bench.machine.cancel_task(TaskRef { run: RUN, node: 1 }, &mut bench.out);
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

#[test]
fn of_several_agents_a_healthy_one_with_the_least_to_do_for_its_limit_is_chosen() {
    let mut bench = Bench::new(99, &[2, 4]);
    let mut chosen = Vec::new();
    for run in 0..7 {
        let task = TaskRef { run: RunId(run), node: 0 };
        let mut state = Run::new(false, None);
        state.push(spec(A, &[]));
        state.set_choices(0, Box::new([A, B]));
        bench.machine.submit(task.run, state, None, bench.now, &mut bench.out);
        bench.admit();
        chosen.extend(bench.machine.chosen(task).map(|agent| agent.0));
    }
    assert_eq!(chosen, [1, 0, 1, 1, 0, 1, 1], "the seventh waits: of four, not of two");
    bench.machine.set_breaker(AgentId(0), Some(Breaker { failures: 1, cool_down: SECOND }));
    for run in [1, 4, 0] {
        let task = TaskRef { run: RunId(run), node: 0 };
        bench.end_of(task, Attempt::Failed { retryable: false }, SECOND);
    }
    let mut state = Run::new(false, None);
    state.push(spec(A, &[]));
    state.set_choices(0, Box::new([A, B]));
    bench.machine.submit(RUN, state, None, bench.now, &mut bench.out);
    let task = TaskRef { run: RUN, node: 0 };
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
