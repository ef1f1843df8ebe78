use super::*;

fn ask(admission: &mut Admission<u32>, who: u32) -> bool {
    matches!(admission.enter(who), Entry::Now(_))
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
    assert!(matches!(admission.enter(2), Entry::Closed(2)));
    assert_eq!(admission.leave(), None);
    assert!(!admission.try_enter());
}
