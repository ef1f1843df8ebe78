//! Many classes of tasks, each with amounts of its own: what counts is how many of them are looked at.

use super::super::admission::checked::LOOKS;
use super::*;

/// A machine with an agent and these resources, and a task for each list of amounts.
fn each_its_own(agent_limit: usize, capacities: &[u64], amounts: &[Vec<u64>]) -> Bench {
    let mut bench = Bench::new(usize::MAX, &[agent_limit]);
    let resources = capacities.iter().map(|capacity| bench.machine.add_resource(*capacity));
    let resources: Vec<ResourceId> = resources.collect();
    let tasks = amounts.iter().map(|amounts| {
        let demands = resources.iter().zip(amounts);
        let demands =
            demands.map(|(resource, amount)| Demand { resource: *resource, amount: *amount });
        spec(bench.machine.add_class(TenantId::DEFAULT, AgentId(0), demands.collect()), &[])
    });
    let tasks = tasks.collect();
    bench.submit(tasks);
    bench
}

/// Lets all of them run, the oldest first, and tells how many looks each took.
fn looks_until_all_are_over(bench: &mut Bench, tasks: usize) -> usize {
    LOOKS.set(0);
    let (mut running, mut over) = (bench.started(), 0);
    while !running.is_empty() {
        bench.go_on(&mut running);
        over += 1;
    }
    assert_eq!(over, tasks);
    LOOKS.get() / tasks
}

const TASKS: u64 = 4000;

/// The numbers below [`TASKS`] in an order of no meaning: 1,237 has no factor in common with it.
fn mixed(at: u64) -> u64 {
    at * 1237 % TASKS
}

fn all(amounts: impl Fn(u64) -> Vec<u64>) -> Vec<Vec<u64>> {
    (0..TASKS).map(amounts).collect()
}

#[track_caller]
fn check(agent_limit: usize, capacities: &[u64], amounts: &[Vec<u64>], bound: usize) {
    let mut bench = each_its_own(agent_limit, capacities, amounts);
    let looks = looks_until_all_are_over(&mut bench, amounts.len());
    assert!(looks <= bound, "{looks} looks for each task");
}

#[test]
fn of_classes_that_are_forgotten_nothing_is_left() {
    let mut bench = each_its_own(1, &[9], &[vec![1], vec![2], vec![3]]);
    assert_eq!(bench.started(), [0]);
    // The first has started before anybody had to wait.
    assert_eq!(bench.machine.admission.families(), (2, 4, 1));
    bench.machine.cancel_run(RUN, &mut bench.out);
    bench.ok(0);
    (1..=3).for_each(|class| bench.machine.forget_class(ClassId(class)));
    assert_eq!(bench.machine.admission.families(), (1, 0, 0));
    let agent = AgentId(0);
    for resource in [0, 1, 0] {
        let demands = Box::new([Demand { resource: ResourceId(resource), amount: 1 }]);
        let class = bench.machine.add_class(TenantId::DEFAULT, agent, demands);
        bench.machine.forget_class(class);
    }
    assert_eq!(bench.machine.admission.numbers_of_families(), 2, "those of others serve again");
}

#[test]
fn classes_of_which_one_fits_at_a_time_are_not_all_looked_at_when_one_has_ended() {
    check(usize::MAX, &[2 * TASKS], &all(|at| vec![TASKS + 1 + at]), 30);
    check(usize::MAX, &[2 * TASKS], &all(|at| vec![TASKS + 1 + mixed(at)]), 30);
}

#[test]
fn a_small_one_behind_many_large_ones_is_found_without_a_look_at_these() {
    // One that is large takes so much that none but small ones have room beside it.
    let amounts = all(|at| vec![if at % 8 == 7 { 1 + at } else { 9 * TASKS + at }]);
    check(usize::MAX, &[10 * TASKS], &amounts, 30);
}

#[test]
fn classes_of_one_agent_are_not_all_looked_at_when_it_has_a_slot_again() {
    check(4, &[u64::MAX], &all(|at| vec![1 + mixed(at)]), 30);
}

#[test]
fn classes_that_take_of_two_resources_are_not_all_looked_at_when_some_of_both_is_free() {
    check(usize::MAX, &[4 * TASKS; 2], &all(|at| vec![1 + at, 1 + mixed(at)]), 80);
    check(usize::MAX, &[4 * TASKS; 2], &all(|at| vec![1 + at, TASKS - at]), 80);
}

#[test]
fn room_of_one_resource_does_not_wake_who_lacks_another() {
    // Who comes first lacks the second resource most of the time, whatever of the first is free.
    let amounts = all(|at| vec![1 + mixed(at), if at < TASKS / 2 { 7 } else { 1 }]);
    check(usize::MAX, &[4 * TASKS, 10], &amounts, 150);
}
