//! What may be spent: by runs, by runs within them, and by tenants.

use super::*;

fn costing(cost: u32) -> NodeSpec {
    NodeSpec { cost, ..spec(A, &[]) }
}

#[test]
fn a_budget_is_spent_to_its_last_unit_and_not_beyond() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit_as(RUN, vec![costing(4), costing(6), costing(1), costing(0)], Some(10));
    let mut started = bench.out.clone();
    started.retain(|action| matches!(action, Action::Start { .. }));
    assert_eq!(started.len(), 3);
    assert_eq!(bench.ends(), [(2, End::OverBudget)]);
}

#[test]
fn what_cannot_be_paid_holds_up_nothing_behind_it() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit_as(RUN, vec![costing(9), costing(1)], Some(5));
    assert_eq!(bench.started(), [1]);
}

#[test]
fn what_runs_within_a_task_is_paid_by_every_run_that_it_is_within() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit_as(RUN, vec![spec(A, &[])], Some(5));
    for (run, parent) in [(8, RUN.0), (9, 8)] {
        let mut within = Run::new(false, (run == 9).then_some(100));
        within.within(Some(RunId(parent)));
        (0..3).for_each(|_| within.push(costing(2)));
        bench.machine.submit(RunId(run), within, None, bench.now, &mut bench.out);
        bench.out.clear();
        if run == 9 {
            bench.admit();
        }
    }
    let over = bench.ends().into_iter().filter(|(_, end)| *end == End::OverBudget).count();
    assert_eq!(over, 4, "five pay for two of them");
}

#[test]
fn a_run_whose_parent_is_over_pays_alone() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit_as(RUN, vec![spec(A, &[])], Some(0));
    bench.ok(0);
    let mut within = Run::new(false, None);
    within.within(Some(RUN));
    bench.out.clear();
    bench.submit_run(RunId(8), within, vec![costing(2)], None);
    assert_eq!(bench.started(), [0]);
}

#[test]
fn a_tenant_spends_what_it_has_and_without_a_budget_as_much_as_it_likes() {
    let mut bench = Bench::new(9, &[9]);
    let tenant = TenantId::DEFAULT;
    bench.machine.set_tenant_budget(tenant, Some(5));
    bench.submit(vec![costing(5), costing(1), spec(A, &[])]);
    assert_eq!(bench.machine.tenant_budget(tenant), Some(0));
    assert_eq!(bench.ends(), [(1, End::TenantOverBudget)]);
    bench.machine.set_tenant_budget(tenant, None);
    bench.insert(costing(99), &[]);
    assert_eq!(bench.started(), [3]);
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
