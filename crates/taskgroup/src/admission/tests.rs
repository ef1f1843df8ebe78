use super::*;

fn ask(admission: &mut Admission<u32>, who: u32) -> bool {
    matches!(admission.enter(who, false), Entry::Now(_))
}

#[test]
fn places_go_to_those_who_wait_in_the_order_in_which_they_came() {
    let mut admission = Admission::new(1);
    assert!(ask(&mut admission, 0));
    assert!(!ask(&mut admission, 1));
    assert!(!ask(&mut admission, 2));
    assert_eq!((admission.leave(), admission.leave(), admission.leave()), (Some(1), Some(2), None));
    assert_eq!(admission.running(), 0);
}

#[test]
fn nobody_slips_past_one_who_waits() {
    let mut admission = Admission::new(1);
    assert!(ask(&mut admission, 0));
    assert!(!ask(&mut admission, 1));
    assert_eq!(admission.resize(0), []);
    assert_eq!(admission.leave(), None);
    assert!(!admission.try_enter());
    assert_eq!(admission.resize(3), [1]);
    assert!(admission.try_enter());
}

#[test]
fn lowering_the_limit_takes_nothing_back_and_lets_nobody_in_until_use_is_below_it() {
    let mut admission = Admission::new(3);
    (0..3).for_each(|who| assert!(ask(&mut admission, who)));
    assert!(!ask(&mut admission, 3));
    assert_eq!(admission.resize(1), []);
    assert_eq!((admission.leave(), admission.leave(), admission.running()), (None, None, 1));
    assert_eq!(admission.leave(), Some(3));
}

#[test]
fn closed_it_empties_and_takes_nobody() {
    let mut admission = Admission::new(1);
    assert!(ask(&mut admission, 0));
    assert!(!ask(&mut admission, 1));
    assert_eq!(admission.close(), [1]);
    assert!(matches!(admission.enter(2, false), Entry::Closed(2)));
    assert_eq!(admission.leave(), None);
    assert!(!admission.try_enter());
}

#[test]
fn one_who_gives_up_loses_nobody_elses_turn() {
    let mut admission = Admission::new(1);
    assert!(ask(&mut admission, 0));
    for who in 1..=4 {
        assert_eq!(admission.enter(who, false), Entry::Later(u64::from(who) - 1));
    }
    assert_eq!((admission.give_up(0), admission.give_up(2)), (Some(1), Some(3)));
    assert_eq!((admission.give_up(0), admission.waiting()), (None, 2));
    assert_eq!((admission.leave(), admission.leave(), admission.leave()), (Some(2), Some(4), None));
}

#[test]
fn a_queue_of_those_who_gave_up_is_no_queue_and_keeps_no_memory() {
    let mut admission = Admission::new(1);
    assert!(ask(&mut admission, 0));
    for who in 0..1000 {
        let Entry::Later(ticket) = admission.enter(who, false) else { panic!("it is full") };
        admission.give_up(ticket);
    }
    assert!(admission.queue.len() <= 1);
    assert_eq!(admission.leave(), None);
    assert!(admission.try_enter());
}

#[test]
fn the_last_who_could_go_on_is_not_let_into_the_queue_with_its_place() {
    let mut admission = Admission::new(2);
    assert!(ask(&mut admission, 0) && ask(&mut admission, 1));
    assert_eq!(admission.enter(10, true), Entry::Later(0));
    assert_eq!(admission.enter(11, true), Entry::Deadlock(11));
    assert_eq!(admission.give_up(0), Some(10));
    assert_eq!(admission.enter(11, true), Entry::Later(1));
}

#[test]
fn one_who_was_let_in_is_not_counted_among_those_who_hold_a_place_and_wait() {
    let mut admission = Admission::new(2);
    assert!(ask(&mut admission, 0) && ask(&mut admission, 1));
    assert_eq!(admission.enter(10, true), Entry::Later(0));
    assert_eq!(admission.leave(), Some(10));
    assert_eq!(admission.enter(11, true), Entry::Later(1), "another can go on");
}

#[test]
fn a_closed_queue_counts_nobody_who_waited_in_it_or_gave_up() {
    let mut admission = Admission::new(1);
    assert!(ask(&mut admission, 0));
    (1..4).for_each(|who| assert!(!ask(&mut admission, who)));
    assert_eq!(admission.give_up(0), Some(1));
    assert_eq!(admission.close(), [2, 3]);
    assert_eq!(admission.waiting(), 0);
}
