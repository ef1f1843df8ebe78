use super::*;

fn admit(tally: &Tally) -> Result<u32, Refused> {
    tally.enter(Who::Task).map(Seen::admitted)
}

#[test]
fn index_counts_admissions_and_live_counts_those_who_have_not_left() {
    let tally = Tally::new();
    assert_eq!((admit(&tally), admit(&tally)), (Ok(0), Ok(1)));
    assert_eq!(tally.leave(1).live(), 1);
    assert_eq!(admit(&tally), Ok(2));
    assert_eq!((tally.seen().live(), tally.seen().admitted()), (2, 3));
    assert_eq!((tally.leave(2).live(), tally.seen().admitted()), (0, 3));
}

#[test]
fn held_places_count_as_alive_but_take_no_index() {
    let tally = Tally::new();
    tally.enter(Who::ChildGroup).expect("open");
    assert_eq!(admit(&tally), Ok(0));
    assert_eq!(tally.seen().live(), 2);
}

#[test]
fn only_the_first_of_a_busy_period_holds_a_place_above() {
    let (tally, above) = (Tally::new(), Tally::new());
    let enter = || {
        let hold = || above.enter(Who::ChildGroup).map(drop);
        let release = || assert_eq!(above.leave(1).live(), 0);
        tally.enter_below(Who::Task, hold, release).map(Seen::admitted)
    };
    assert_eq!((enter(), above.seen().live()), (Ok(0), 1));
    assert_eq!((enter(), above.seen().live()), (Ok(1), 1));
    tally.cancel();
    assert_eq!((enter(), above.seen().live()), (Err(Refused::Cancelled), 1));
}

#[test]
fn who_is_refused_holds_no_place_above_and_who_gets_none_above_does_not_enter() {
    let (tally, above) = (Tally::new(), Tally::new());
    // Cancelled between the look and the entry.
    let hold = || {
        tally.cancel();
        above.enter(Who::ChildGroup).map(drop)
    };
    let release = || assert_eq!(above.leave(1).live(), 0);
    let entered = tally.enter_below(Who::Task, hold, release);
    assert_eq!((entered, above.seen().live()), (Err(Refused::Cancelled), 0));
    let tally = Tally::new();
    let entered =
        tally.enter_below(Who::Task, || Err(Refused::Closed), || panic!("it held nothing"));
    assert_eq!((entered, tally.seen().live()), (Err(Refused::Closed), 0));
}

#[test]
fn closes_only_when_empty_and_admits_nobody_after() {
    let tally = Tally::new();
    admit(&tally).expect("open");
    assert_eq!(tally.close_if_empty(), None);
    tally.leave(1);
    assert!(tally.close_if_empty().is_some());
    assert_eq!(admit(&tally), Err(Refused::Closed));
    assert_eq!(tally.enter(Who::ChildGroup).map(Seen::admitted), Err(Refused::Closed));
}

#[test]
fn cancelled_admits_nobody() {
    let tally = Tally::new();
    assert!(!tally.cancel().is_cancelled());
    assert!(tally.cancel().is_cancelled());
    assert_eq!(admit(&tally), Err(Refused::Cancelled));
}

#[test]
fn index_wraps_without_touching_the_live_count() {
    let tally = Tally(AtomicU64::new(u64::from(u32::MAX) * ADMITTED));
    assert_eq!(admit(&tally), Ok(u32::MAX));
    assert_eq!((tally.seen().admitted(), tally.seen().live()), (0, 1));
}
