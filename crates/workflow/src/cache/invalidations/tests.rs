use super::*;
use crate::cache::disk::tests::Folder;

fn header(list: &List, tags: &[&str]) -> Header {
    Header {
        key: [1; 32],
        of: String::new(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        epoch: list.epoch,
        seen: list.last,
        since_1970_ms: 0,
    }
}

#[test]
fn a_result_is_stale_if_something_later_is_about_it() {
    let mut list = List::fresh();
    let docs = header(&list, &["code", "docs"]);
    let plain = header(&list, &[]);
    list.add(&Target::Tag("docs".into()));
    assert!(!list.allows(&docs));
    assert!(list.allows(&plain));
    assert!(list.allows(&header(&list, &["docs"])), "it was computed afterwards");
    list.add(&Target::Key([2; 32]));
    assert!(list.allows(&plain));
    list.add(&Target::Key([1; 32]));
    assert!(!list.allows(&plain));
    let later = header(&list, &["docs"]);
    list.add(&Target::All);
    assert!(!list.allows(&later));
    assert!(!list.allows(&docs), "the whole says all that its parts did");
    assert!(list.allows(&header(&list, &[])));
}

#[test]
fn a_result_of_another_list_or_of_a_number_that_was_not_given_yet_is_stale() {
    let list = List::fresh();
    let header = header(&list, &[]);
    assert!(list.allows(&header));
    assert!(!list.allows(&Header { epoch: list.epoch ^ 1, ..header.clone() }));
    assert!(!list.allows(&Header { seen: 1, ..header }));
}

#[test]
fn a_list_that_grows_too_long_is_given_up_with_all_results() {
    let mut list = List::fresh();
    let first = list.clone();
    for number in 0..MOST {
        list.add(&Target::Tag(number.to_string()));
    }
    assert_eq!(list.epoch, first.epoch);
    // One of them once more makes it no longer.
    list.add(&Target::Tag("0".into()));
    assert_eq!(list.epoch, first.epoch);
    list.add(&Target::Tag("one more".into()));
    assert_ne!(list.epoch, first.epoch);
    assert!(!list.allows(&header(&first, &[])));
    assert_eq!(list.news(&first), [Target::All]);
}

#[test]
fn that_everything_is_stale_says_all_that_was_said_before() {
    let mut list = List::fresh();
    let first = list.clone();
    (0..10).for_each(|number| list.add(&Target::Tag(number.to_string())));
    list.add(&Target::All);
    assert_eq!((list.last, list.by_target.len()), (11, 1));
    assert!(!list.allows(&header(&first, &[])));
    assert_eq!(list.news(&first), [Target::All]);
}

#[test]
fn a_list_that_is_cut_anywhere_or_has_any_bit_wrong_is_none() {
    let mut list = List::fresh();
    list.add(&Target::Tag("docs".into()));
    let file = list.encode().expect("it is encoded");
    assert_eq!(List::decode(&file), Some(list));
    for len in 0..file.len() {
        assert_eq!(List::decode(&file[..len]), None, "cut at byte {len}");
    }
    for bit in 0..file.len() * 8 {
        let mut wrong = file.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(List::decode(&wrong), None, "bit {bit} is wrong");
    }
}

#[test]
fn each_process_hears_what_the_others_add_once() {
    let folder = Folder::new();
    let (mut one, _) = Invalidations::open(&folder.0).expect("it opens");
    let (mut other, was_damaged) = Invalidations::open(&folder.0).expect("it opens");
    assert!(!was_damaged);
    let docs = Target::Tag("docs".into());
    assert_eq!(one.add(&docs).expect("it is written"), Read::Same);
    assert_eq!(one.read().expect("it is read"), Read::Same);
    assert_eq!(other.read().expect("it is read"), Read::New(vec![docs.clone()]));
    assert_eq!(other.read().expect("it is read"), Read::Same);
    one.add(&Target::Key([3; 32])).expect("it is written");
    let heard = other.add(&docs).expect("it is written");
    assert_eq!(heard, Read::New(vec![Target::Key([3; 32])]), "who adds hears of the others");
    assert_eq!(one.read().expect("it is read"), Read::New(vec![docs]));
    assert_eq!(one.list, other.list);
    assert_eq!(one.list.last, 3);
}

#[test]
fn many_who_add_at_once_lose_nothing() {
    let folder = Folder::new();
    let together = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (folder, together) = (&folder.0, &together);
            scope.spawn(move || {
                let (mut list, _) = Invalidations::open(folder).expect("it opens");
                let mut written = true;
                for at in 0..8 {
                    together.wait();
                    written &= list.add(&Target::Tag(format!("{thread}-{at}"))).is_ok();
                }
                assert!(written, "each waits for the others, so it tells at the end");
            });
        }
    });
    let (all, _) = Invalidations::open(&folder.0).expect("it opens");
    assert_eq!((all.list.last, all.list.by_target.len()), (32, 32));
}
