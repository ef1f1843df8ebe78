use super::*;

fn admit(tally: &Tally) -> Result<u32, Refused> {
    tally.enter(Who::Task).map(Seen::admitted)
}

fn admit_unless_first(tally: &Tally) -> Result<Option<u32>, Refused> {
    Ok(tally.enter_unless_first(Who::Task)?.map(Seen::admitted))
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
fn the_first_is_left_to_the_caller() {
    let tally = Tally::new();
    assert_eq!(admit_unless_first(&tally), Ok(None));
    assert_eq!(admit(&tally), Ok(0));
    assert_eq!(admit_unless_first(&tally), Ok(Some(1)));
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
    assert_eq!(admit_unless_first(&tally), Err(Refused::Cancelled));
}

#[test]
fn index_wraps_without_touching_the_live_count() {
    let tally = Tally(AtomicU64::new(u64::from(u32::MAX) * ADMITTED));
    assert_eq!(admit(&tally), Ok(u32::MAX));
    assert_eq!((tally.seen().admitted(), tally.seen().live()), (0, 1));
}
