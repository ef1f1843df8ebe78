use super::*;

fn taken<C>(line: &Newcomers<C>) -> (C, Sent) {
    line.take().expect("somebody is in line")
}

#[test]
fn one_alone_in_line_gets_a_starter_and_the_second_a_spare() {
    let line = Newcomers::new();
    assert_eq!(line.put(1), Ok(Sent::Next));
    assert_eq!(line.put(2), Ok(Sent::Spare));
    assert_eq!(line.put(3), Ok(Sent::Nobody));
}

#[test]
fn one_who_is_polled_leaves_a_spare_to_those_behind() {
    let line = Newcomers::new();
    let _ = [1, 2, 3, 4].map(|child| line.put(child).expect("open"));
    line.begin(Sent::Spare);
    assert_eq!(taken(&line), (1, Sent::Spare));
    line.begin(Sent::Next);
    assert_eq!(taken(&line), (2, Sent::Nobody));
    line.begin(Sent::Spare);
    assert_eq!(taken(&line), (3, Sent::Spare));
    // Nobody is behind this one.
    line.begin(Sent::Spare);
    assert_eq!(taken(&line), (4, Sent::Nobody));
    assert!(line.take().is_none());
}

#[test]
fn one_who_comes_while_all_starters_poll_gets_another() {
    let line = Newcomers::new();
    assert_eq!(line.put(1), Ok(Sent::Next));
    line.begin(Sent::Next);
    assert_eq!(taken(&line), (1, Sent::Nobody));
    assert_eq!(line.put(2), Ok(Sent::Next));
    assert_eq!(line.put(3), Ok(Sent::Spare));
}

/// The one sent first may stand behind a task that does not end: it is not counted on.
#[test]
fn one_alone_in_line_gets_a_starter_whoever_was_sent_before() {
    let line = Newcomers::new();
    assert_eq!(line.put(1), Ok(Sent::Next));
    assert_eq!(line.put(2), Ok(Sent::Spare));
    line.begin(Sent::Spare);
    assert_eq!(taken(&line), (1, Sent::Spare));
    line.begin(Sent::Spare);
    assert_eq!(taken(&line), (2, Sent::Nobody));
    assert_eq!(line.put(3), Ok(Sent::Next));
}

#[test]
fn one_who_rests_is_a_spare() {
    let line = Newcomers::new();
    assert_eq!(line.put(1), Ok(Sent::Next));
    line.begin(Sent::Next);
    assert_eq!(taken(&line), (1, Sent::Nobody));
    line.rest();
    assert_eq!(line.put(2), Ok(Sent::Nobody));
    assert_eq!(line.put(3), Ok(Sent::Nobody));
    line.begin(Sent::Spare);
    assert_eq!(taken(&line), (2, Sent::Spare));
}

#[test]
fn a_long_line_is_given_back_when_it_is_empty_and_a_short_one_kept() {
    for (children, kept) in [(1000, false), (KEPT, true)] {
        let line = Newcomers::new();
        for child in 0..children {
            let _ = line.put(child);
        }
        while line.take().is_some() {}
        assert_eq!(line.line.lock().children.capacity() != 0, kept, "{children} children");
    }
}

#[test]
fn a_closed_line_gives_back_who_was_in_it_and_who_comes() {
    let line = Newcomers::new();
    let _ = line.put(1);
    assert_eq!(line.close(), [1]);
    assert_eq!(line.put(2), Err(2));
    assert!(line.take().is_none());
}
