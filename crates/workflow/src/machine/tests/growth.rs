//! Tasks that are added to a live run.

use super::*;

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
