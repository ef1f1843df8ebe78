//! Who shares the slots, and what each has had of them.

use super::*;

const FIRST: ClassId = ClassId(1);
const OTHER: ClassId = ClassId(2);

/// One slot, and a class of tasks for each tenant.
fn sharing(weights: &[f64]) -> Bench {
    let mut bench = Bench::new(1, &[9]);
    for weight in weights {
        let tenant = bench.machine.add_tenant(*weight);
        bench.machine.add_class(tenant, AgentId(0), Box::default());
    }
    bench
}

#[test]
fn tenants_share_slot_time_by_weight() {
    let mut bench = sharing(&[1.0, 3.0]);
    bench.submit_as(RunId(0), vec![spec(FIRST, &[]); 200], None);
    bench.submit_as(RunId(1), vec![spec(OTHER, &[]); 200], None);
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
    let mut bench = sharing(&[1.0, 1.0]);
    bench.submit_as(RunId(0), vec![spec(FIRST, &[]); 40], None);
    for node in 0..20 {
        bench.ok_of(0, node);
    }
    // It was there before, and what it wanted was cancelled.
    bench.submit_as(RunId(2), vec![spec(OTHER, &[])], None);
    bench.machine.cancel_run(RunId(2), &mut bench.out);
    for node in 20..30 {
        bench.ok_of(0, node);
    }
    bench.submit_as(RunId(1), vec![spec(OTHER, &[]); 10], None);
    bench.out.clear();
    let mut of_new = 0;
    let mut running = task_of(0, 30);
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
    let mut bench = sharing(&[1.0, 1.0]);
    bench.submit_as(RunId(0), vec![spec(FIRST, &[]); 5], None);
    for node in 0..5 {
        bench.ok_of(0, node);
    }
    bench.submit_as(RunId(1), vec![spec(OTHER, &[]); 5], None);
    bench.submit_as(RunId(2), vec![spec(FIRST, &[]); 5], None);
    for node in 0..4 {
        bench.out.clear();
        bench.ok_of(1, node);
        let task = task_of(1, node + 1);
        assert!(bench.out.contains(&Action::Start { task, attempt: 1 }), "{:?}", bench.out);
    }
}

#[test]
fn who_gets_the_number_of_a_forgotten_tenant_has_had_nothing() {
    let mut bench = Bench::new(1, &[9]);
    let old = bench.machine.add_tenant(0.001);
    let of_old = bench.machine.add_class(old, AgentId(0), Box::default());
    bench.submit_as(RunId(0), vec![spec(of_old, &[])], None);
    bench.ok_of(0, 0);
    bench.machine.forget_class(of_old);
    bench.machine.forget_tenant(old);
    let new = bench.machine.add_tenant(1.0);
    assert_eq!(new, old);
    let of_new = bench.machine.add_class(new, AgentId(0), Box::default());
    bench.submit(vec![spec(A, &[]); 3]);
    bench.submit_as(RunId(1), vec![spec(of_new, &[])], None);
    bench.ok(0);
    bench.out.clear();
    bench.ok(1);
    let task = task_of(1, 0);
    assert!(bench.out.contains(&Action::Start { task, attempt: 1 }));
}
