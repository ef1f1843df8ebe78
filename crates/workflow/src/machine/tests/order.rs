//! Which of the ready tasks starts first.

use super::*;

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
fn newcomers_for_whom_there_is_no_room_stand_in_line_in_the_order_in_which_they_came() {
    let mut bench = Bench::new(1, &[9]);
    let of = |priority| NodeSpec { priority, ..spec(A, &[]) };
    bench.submit(vec![of(9), of(3), of(0)]);
    bench.machine.admission.make_it_the_turn_of_the_oldest();
    bench.ok(0);
    assert_eq!(bench.started(), [0, 1]);
}

#[test]
fn a_line_that_is_divided_among_classes_keeps_both_of_its_orders() {
    let mut bench = Bench::new(9, &[1, 9]);
    let of = |class, priority| NodeSpec { priority, ..spec(class, &[]) };
    bench.submit(vec![of(A, 5), of(A, 1), of(A, 3), of(A, 4), of(B, 0)]);
    assert_eq!(bench.started(), [0, 4]);
    bench.ok(0);
    assert_eq!(bench.started(), [3]);
    bench.machine.admission.make_it_the_turn_of_the_oldest();
    bench.ok(3);
    assert_eq!(bench.started(), [1]);
}

#[test]
fn who_comes_after_others_were_passed_over_stands_behind_them() {
    let mut bench = Bench::new(2, &[1, 9]);
    let of = |class, priority| NodeSpec { priority, ..spec(class, &[]) };
    bench.submit(vec![of(A, 9), of(A, 5), of(B, 0)]);
    assert_eq!(bench.started(), [0, 2]);
    bench.insert(of(B, 1), &[]);
    bench.ok(0);
    assert_eq!(bench.started(), [1]);
}

#[test]
fn a_line_that_is_divided_loses_nobody_whenever_he_came() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit(vec![spec(A, &[]); 4]);
    // One that starts at once, while another waits behind those who were there before.
    bench.insert(NodeSpec { priority: 1, ..spec(A, &[]) }, &[]);
    bench.insert(spec(A, &[]), &[]);
    bench.ok(0);
    assert_eq!(bench.started(), [0, 4]);
    bench.machine.set_agent_limit(AgentId(0), 0);
    bench.ok(4);
    assert!(bench.started().is_empty());
    bench.machine.set_agent_limit(AgentId(0), 9);
    bench.machine.set_limit(9);
    bench.admit();
    assert_eq!(bench.started(), [1, 2, 3, 5]);
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
fn a_class_is_not_forgotten_while_another_is_announced_again_and_again() {
    let mut bench = Bench::new(0, &[999, 9]);
    bench.submit(vec![spec(B, &[])]);
    (0..500).for_each(|priority| bench.insert(NodeSpec { priority, ..spec(A, &[]) }, &[]));
    bench.machine.set_limit(999);
    bench.admit();
    assert_eq!(bench.started().len(), 501);
}

#[test]
fn a_priority_that_changes_puts_a_ready_task_in_line_anew() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit(vec![spec(A, &[]); 3]);
    bench.machine.set_priority(task(2), 1, &mut bench.out);
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
