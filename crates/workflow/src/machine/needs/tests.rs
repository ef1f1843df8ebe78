use super::*;

fn on(tasks: &[u32]) -> Vec<Need> {
    tasks.iter().map(|task| Need { task: *task, on: On::Success }).collect()
}

/// Four tasks of which the second needs the first, and the third both.
fn four() -> Needs {
    let mut needs = Needs::default();
    (0..4).for_each(|_| needs.push());
    needs.set(1, &on(&[0]));
    needs.set(2, &on(&[0, 1]));
    needs
}

#[test]
fn each_task_has_its_own_needs() {
    let needs = four();
    let all = [0, 1, 2, 3].map(|at| needs.get(at).to_vec());
    assert_eq!(all, [vec![], on(&[0]), on(&[0, 1]), vec![]]);
}

#[test]
fn a_need_more_leaves_the_others_and_those_of_other_tasks() {
    let mut needs = four();
    needs.add(1, Need { task: 3, on: On::End });
    needs.add(1, Need { task: 2, on: On::Success });
    needs.add(0, Need { task: 3, on: On::Success });
    assert_eq!(needs.get(0), on(&[3]));
    assert_eq!(needs.get(1)[..1], on(&[0]));
    assert_eq!(needs.get(1)[1..], [Need { task: 3, on: On::End }, on(&[2])[0]]);
    assert_eq!(needs.get(2), on(&[0, 1]));
    assert_eq!(needs.get(3), []);
}

#[test]
fn needs_that_are_at_the_end_of_the_list_stay_there() {
    let mut needs = four();
    for task in 0..100 {
        needs.add(3, Need { task, on: On::Success });
    }
    assert_eq!(needs.get(3).len(), 100);
    assert_eq!(needs.all.len(), 3 + 100, "none was copied");
}

#[test]
fn needs_that_are_set_again_are_others() {
    let mut needs = four();
    needs.set(2, &on(&[3]));
    assert_eq!((needs.get(1), needs.get(2)), (&on(&[0])[..], &on(&[3])[..]));
}

#[test]
fn an_arrow_admits_the_ends_that_it_names() {
    let ends = [End::Succeeded, End::Failed, End::TimedOut, End::Cancelled, End::Declined];
    for (on, admits) in [
        (On::Success, [true, false, false, false, false]),
        (On::End, [true; 5]),
        (On::Failure, [false, true, true, false, false]),
    ] {
        assert_eq!(ends.map(|end| on.admits(end)), admits, "{on:?}");
    }
}
