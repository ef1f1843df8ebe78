use super::*;

fn added(task: u32, id: &str, needs: &[u32], version: u64) -> Record {
    Record::TaskAdded { task, id: id.into(), needs: needs.to_vec(), version, live: false }
}

fn started(task: u32, attempt: u32, at_ms: u64) -> Record {
    Record::AttemptStarted { task, attempt, once: false, at_ms }
}

fn failed(task: u32, attempt: u32, at_ms: u64) -> Record {
    let error = format!("no {attempt}");
    Record::AttemptFailed { task, attempt, error, took_us: 1_000, at_ms }
}

fn settled(task: u32, attempt: u32, outcome: Outcome, at_ms: u64) -> Record {
    let output = if outcome == Outcome::Done { vec![7] } else { Vec::new() };
    Record::Settled { task, attempt, outcome, output, took_us: 2_000, at_ms }
}

fn item(task: u32) -> Record {
    let (item, nth, version, cost, output, at_ms) = ("item".into(), 0, 0, 3, vec![1], 1);
    Record::ItemDone { task, item, nth, version, cost, output, at_ms }
}

/// A task, and what comes of it.
fn task(records: impl IntoIterator<Item = Record>) -> Entry {
    let ledger = Ledger::of([added(0, "task", &[], 0)].into_iter().chain(records));
    ledger.tasks.into_iter().next().expect("it was added")
}

#[test]
fn a_run_that_somebody_goes_on_with_has_no_end() {
    let ended = Record::RunEnded { end: End::Cancelled, at_ms: 3 };
    let mut ledger = Ledger::of([ended]);
    assert_eq!((ledger.end, ledger.resumed), (Some(End::Cancelled), 0));
    ledger.add(Record::RunResumed { at_ms: 9 });
    assert_eq!((ledger.end, ledger.resumed), (None, 1));
    assert_eq!(ledger.last, Duration::from_millis(9));
}

#[test]
fn a_task_of_a_number_that_is_taken_is_another_in_its_place() {
    let first = [added(0, "a", &[], 1), added(1, "b", &[0], 1), started(1, 1, 5)];
    let mut ledger = Ledger::of(first);
    ledger.add(added(1, "b", &[], 2));
    let ids: Vec<&str> = ledger.tasks.iter().map(|task| &*task.id).collect();
    assert_eq!(ids, ["a", "b"]);
    let b = &ledger.tasks[1];
    assert_eq!((&*b.needs, b.version, b.attempt), (&[][..], 2, 1), "what is known of it stays");
    let before = ledger.clone();
    ledger.add(added(9, "far", &[], 0));
    assert_eq!(ledger, before, "a number that leaves others out says nothing");
}

#[test]
fn the_starts_of_the_last_minute_are_known_and_no_others() {
    let mut ledger = Ledger::of([added(0, "a", &[], 0), started(0, 1, 0), started(0, 2, 10)]);
    ledger.add(started(0, 3, 60_000));
    assert_eq!(ledger.starts, [(0, 0), (0, 10), (0, 60_000)]);
    ledger.add(started(0, 4, 60_001));
    assert_eq!(ledger.starts, [(0, 10), (0, 60_000), (0, 60_001)]);
}

#[test]
fn every_end_of_an_attempt_is_known_with_whether_it_went_well() {
    let ledger = Ledger::of([
        added(0, "a", &[], 0),
        failed(0, 1, 1),
        settled(0, 2, Outcome::Done, 2),
        settled(1, 1, Outcome::Failed("no".into()), 3),
        settled(1, 1, Outcome::TimedOut, 4),
        settled(1, 1, Outcome::Declined, 5),
        settled(1, 1, Outcome::Cancelled, 6),
        settled(1, 0, Outcome::Skipped("why".into()), 7),
    ]);
    assert_eq!(ledger.ends, [(0, false, 1), (0, true, 2), (1, false, 3), (1, false, 4)]);
}

#[test]
fn an_attempt_runs_until_its_end_is_told_whatever_that_is() {
    let once = Record::AttemptStarted { task: 0, attempt: 1, once: true, at_ms: 5 };
    let running = task([once.clone()]);
    assert_eq!(running.running_since, Some(Duration::from_millis(5)));
    assert!(running.is_running() && running.is_doubtful() && !running.is_final());
    for end in [failed(0, 1, 8), settled(0, 1, Outcome::Done, 8)] {
        let over = task([once.clone(), end]);
        assert!(!over.is_running() && !over.is_doubtful());
        assert_eq!((over.attempt, over.ended_attempt), (1, 1));
        assert_eq!(over.ended, Some(Duration::from_millis(8)));
        assert!(over.took >= Duration::from_millis(1));
    }
    assert!(!task([started(0, 1, 5)]).is_doubtful());
}

#[test]
fn failures_add_up_and_what_the_last_one_said_stays() {
    let of = task([started(0, 1, 0), failed(0, 1, 1), started(0, 2, 2), failed(0, 2, 3)]);
    assert_eq!((of.failed, of.error.as_deref(), &of.outcome), (2, Some("no 2"), &None));
}

#[test]
fn what_is_over_for_good_is_told_from_what_may_still_run() {
    let why = || "why".to_owned();
    for (outcome, is_final) in [
        (Outcome::Done, true),
        (Outcome::Failed(why()), true),
        (Outcome::TimedOut, true),
        (Outcome::Declined, true),
        (Outcome::Skipped(why()), false),
        (Outcome::Cancelled, false),
    ] {
        let of = task([item(0), settled(0, 1, outcome.clone(), 1)]);
        assert_eq!((of.outcome.as_ref(), of.is_final()), (Some(&outcome), is_final));
        assert_eq!(of.items.is_empty(), is_final, "what may still run goes on with its items");
        assert_eq!(of.output.is_empty(), outcome != Outcome::Done);
    }
}

#[test]
fn an_attempt_that_failed_has_no_items_and_has_paid_for_them() {
    let of = task([started(0, 1, 0), item(0), item(0), failed(0, 1, 1)]);
    assert_eq!((of.items.len(), of.items_cost), (0, 6));
}

#[test]
fn what_is_to_run_again_begins_afresh_with_its_attempts_numbered_on() {
    let done = settled(0, 2, Outcome::Done, 4);
    let past = [started(0, 1, 0), failed(0, 1, 1), started(0, 2, 2), item(0), done];
    let reset = Record::Reset { task: 0 };
    let of = task(past.into_iter().chain([reset.clone()]));
    assert_eq!((of.outcome.clone(), of.output.len(), of.items.len()), (None, 0, 0));
    assert_eq!((of.attempt, of.failed, of.lives, of.generation), (2, 0, 1, 1));
    let of = task([started(0, 1, 0), reset.clone(), started(0, 2, 1), started(0, 3, 2)]);
    assert_eq!((of.lives, of.generation), (2, 0), "it is paid for twice, and had not succeeded");
    let of = task([started(0, 1, 0), item(0), reset]);
    assert!(!of.is_running() && of.items.is_empty());
}

#[test]
fn a_plan_that_is_empty_is_none() {
    let planned = |plan: &[u8]| Record::Planned { by: Some(0), plan: plan.to_vec() };
    assert_eq!(task([planned(b"x")]).plan.as_deref(), Some(&b"x"[..]));
    assert_eq!(task([planned(b"x"), planned(b"")]).plan, None);
}

#[test]
fn nobody_brings_back_what_was_submitted_by_a_task_that_is_over() {
    let cases = [
        (true, Some(Outcome::Done), None, true),
        (true, Some(Outcome::Done), Some(Outcome::Cancelled), true),
        (true, Some(Outcome::Done), Some(Outcome::Skipped("why".into())), false),
        (true, Some(Outcome::Done), Some(Outcome::Done), false),
        (true, Some(Outcome::Cancelled), None, false),
        (true, None, None, false),
        (false, Some(Outcome::Done), None, false),
    ];
    for (live, parent, child, is_orphan) in cases {
        let submitted =
            Record::TaskAdded { task: 1, id: "new".into(), needs: vec![], version: 0, live };
        let records = [
            added(0, "by", &[], 0),
            submitted,
            Record::Submitted { task: 1, by: 0, before: vec![] },
        ];
        let ends = [(0, parent.clone()), (1, child.clone())];
        let ends = ends.into_iter().filter_map(|(task, end)| Some(settled(task, 1, end?, 1)));
        let ledger = Ledger::of(records.into_iter().chain(ends));
        assert_eq!(ledger.is_orphan(&ledger.tasks[1]), is_orphan, "{live} {parent:?} {child:?}");
    }
}

#[test]
fn what_is_over_is_missed_by_those_after_it_that_may_still_run() {
    let skipped = |because: &str| Some(Outcome::Skipped(because.into()));
    let cases = [
        (Some(Outcome::Done), None, true),
        (Some(Outcome::Done), Some(Outcome::Cancelled), true),
        (Some(Outcome::Done), Some(Outcome::Done), false),
        (Some(Outcome::Done), Some(Outcome::Failed("no".into())), false),
        (Some(Outcome::Done), skipped("broken"), false),
        (Some(Outcome::Done), skipped("new"), true),
        (Some(Outcome::Done), skipped("nobody"), true),
        (None, None, false),
    ];
    for (parent, follower, is_missed) in cases {
        let submitted =
            Record::TaskAdded { task: 3, id: "new".into(), needs: vec![], version: 0, live: true };
        let records = [
            added(0, "by", &[], 0),
            added(1, "follower", &[0], 0),
            added(2, "broken", &[], 0),
            submitted,
            Record::Submitted { task: 3, by: 0, before: vec![1] },
        ];
        let failed = || Outcome::Failed("no".into());
        let ends =
            [(0, parent.clone()), (1, follower.clone()), (2, Some(failed())), (3, Some(failed()))];
        let ends = ends.into_iter().filter_map(|(task, end)| Some(settled(task, 1, end?, 1)));
        let ledger = Ledger::of(records.into_iter().chain(ends));
        assert_eq!(ledger.is_missed(&ledger.tasks[3]), is_missed, "{parent:?} {follower:?}");
        assert!(!ledger.is_orphan(&ledger.tasks[3]), "it is over");
    }
}
