//! Amounts of which there is so much, and the room that is kept for who wants a lot of it.

use super::*;

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
        bench.go_on(&mut running);
        next += 1;
        if running.is_empty() || running.contains(&2) {
            break;
        }
        assert!(starts <= admission::AGEING + 1, "after {starts} starts {next} tasks were first");
    }
    while !running.contains(&2) {
        bench.go_on(&mut running);
    }
}

#[test]
fn room_is_kept_no_longer_for_a_task_that_can_never_have_it() {
    let never: [fn(&mut Machine); 2] = [
        |machine| machine.set_agent_limit(AgentId(0), 0),
        |machine| machine.set_capacity(ResourceId(0), 9),
    ];
    for can_never_start in never {
        let mut bench = wanting(2, &[9, 9], &[(0, 10), (1, 1)]);
        let mut specs = vec![spec(ClassId(3), &[]); 100];
        specs[2] = spec(ClassId(2), &[]);
        bench.submit(specs);
        let mut running = bench.started();
        while running.len() == 2 {
            bench.go_on(&mut running);
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
fn what_was_kept_for_a_task_is_free_when_that_is_cancelled() {
    let mut bench = shared(3, &[1, 10]);
    let mut specs = vec![spec(ClassId(1), &[]); 100];
    specs[3] = spec(ClassId(2), &[]);
    bench.submit(specs);
    let mut running = bench.started();
    while running.len() > 1 {
        bench.go_on(&mut running);
    }
    bench.machine.cancel_task(task(3), &mut bench.out);
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
        bench.go_on(&mut running);
    }
    bench.ok(2);
    assert_eq!(bench.started().len(), 2, "urgent ones, although another large one waits");
}

#[test]
fn a_slot_of_its_agent_is_kept_for_a_task_that_lacks_a_resource_too() {
    let mut bench = wanting(9, &[1, 9], &[(0, 10), (1, 1)]);
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
