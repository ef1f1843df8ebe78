use std::collections::BTreeSet;

use super::*;
use crate::journal::{Durability, Journal, Record, scan};

struct Place(std::path::PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let file = format!("tidegate-file-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(file);
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.0).expect("it is there")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn fact(number: u8) -> Record {
    Record::Fact { name: number.to_string(), value: vec![number; 100] }
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_what_tasks_returned() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new("private");
    drop(FileStore::open(&place.0).expect("it opens"));
    let mode = std::fs::metadata(&place.0).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_store_that_is_synced_again_and_again_has_room_and_leaves_none() {
    let place = Place::new("room");
    let mut store = FileStore::open(&place.0).expect("it opens");
    let (mut expected, mut lengths) = (Vec::new(), BTreeSet::new());
    for round in 1..=100_u32 {
        let bytes = round.to_le_bytes().repeat(1025);
        store.append(&bytes).expect("it is written");
        expected.extend(bytes);
        store.sync().expect("it is synced");
        let there = place.bytes();
        assert!(there.starts_with(&expected));
        assert!(there[expected.len()..].iter().all(|byte| *byte == 0));
        if round <= SYNCS {
            assert_eq!(there.len(), expected.len(), "round {round}");
        } else {
            lengths.insert(there.len());
        }
    }
    assert!(lengths.len() < 6, "it seldom changes: {lengths:?}");
    assert_eq!(store.read().expect("it is read"), expected);
    store.append(b"behind").expect("it is written");
    expected.extend(b"behind");
    drop(store);
    assert_eq!(place.bytes(), expected);
}

#[test]
fn a_cut_takes_the_room_with_it() {
    let place = Place::new("cut");
    let mut store = FileStore::open(&place.0).expect("it opens");
    for _ in 0..4 {
        store.append(b"abcd").expect("it is written");
        store.sync().expect("it is synced");
    }
    store.truncate(3).expect("it is cut");
    assert_eq!(place.bytes(), b"abc");
    store.append(b"!").expect("it is written");
    assert!(place.bytes().starts_with(b"abc!"));
    assert_eq!(store.read().expect("it is read"), b"abc!");
}

#[test]
fn a_store_that_is_only_written_has_no_room() {
    let place = Place::new("written");
    let mut store = FileStore::open(&place.0).expect("it opens");
    store.sync().expect("it is synced");
    store.append(&[7; 1000]).expect("it is written");
    assert_eq!(place.bytes().len(), 1000);
}

#[test]
fn the_room_that_a_killed_process_leaves_is_no_record_and_goes() {
    let place = Place::new("left");
    let mut journal =
        Journal::open(FileStore::open(&place.0).expect("it opens")).expect("it is new").journal;
    for number in 0..5 {
        journal.append(&fact(number)).expect("small");
        journal.commit(Durability::PowerLoss).expect("it is synced");
    }
    let left = place.bytes();
    drop(journal);
    let whole = place.bytes();
    assert!(whole.len() + 1_000 < left.len());
    // Written by another kind of process: it never learned where the records end.
    std::fs::write(&place.0, &left).expect("it is written");
    assert_eq!(scan(&left).expect("a journal").records.len(), 5);
    let opened = Journal::open(FileStore::open(&place.0).expect("it opens")).expect("a journal");
    assert_eq!((opened.records.len(), opened.cut), (5, None));
    assert_eq!(place.bytes(), whole);
}

#[cfg(target_os = "linux")]
#[test]
fn a_sync_is_one_of_the_system_and_so_is_that_of_the_folder() {
    // Which takes every byte, and cannot be synced.
    let mut nothing = FileStore::open("/dev/null").expect("it opens");
    nothing.append(b"bytes").expect("they are taken");
    assert_eq!(nothing.sync().expect_err("it is asked").kind(), io::ErrorKind::InvalidInput);
    // A file in a folder that cannot be synced.
    let place = Place::new("folder");
    let file = File::create(&place.0).expect("it is new");
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let refused = FileStore::open(path).expect_err("its name cannot be made to last");
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
}

/// Runs a test of this binary again, in a process whose files cannot grow beyond so many half kilobytes: a disk that is full.
#[cfg(unix)]
fn on_a_full_disk(test: &str, blocks: u32) {
    let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let binary = std::env::current_exe().expect("it runs");
    let mut again = std::process::Command::new("sh");
    again.arg("-c").arg(limited).arg(binary).arg("--exact").arg(test).env(FULL, "");
    let ended = again.output().expect("sh is there");
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && told.contains("1 passed"), "{told}");
}

/// Says that the disk is full already.
#[cfg(unix)]
const FULL: &str = "TIDEGATE_FULL_DISK";

#[cfg(unix)]
#[test]
fn a_disk_that_is_too_full_for_room_takes_records_until_it_is_full_of_them() {
    if std::env::var_os(FULL).is_none() {
        let test = "journal::file::tests::\
            a_disk_that_is_too_full_for_room_takes_records_until_it_is_full_of_them";
        return on_a_full_disk(test, 24);
    }
    let place = Place::new("full");
    let store = FileStore::open(&place.0).expect("it opens");
    let mut journal = Journal::open(store).expect("it is new").journal;
    let mut kept = 0;
    let why = loop {
        journal.append(&fact(kept)).expect("small");
        match journal.commit(Durability::PowerLoss) {
            Ok(()) => kept += 1,
            Err(why) => break why,
        }
        let there = scan(&place.bytes()).expect("a journal");
        assert_eq!((there.records.len(), there.tail.map(|_| ())), (usize::from(kept), None));
    };
    assert!(kept > 90, "only {kept} were taken");
    assert!(why.to_string().starts_with("the journal's store failed"), "{why}");
    journal.append(&fact(0)).expect("small");
    assert_eq!(journal.commit(Durability::PowerLoss), Err(why), "nothing follows what is not kept");
    drop(journal);
    let opened = Journal::open(FileStore::open(&place.0).expect("it opens")).expect("a journal");
    let records: Vec<Record> = (0..kept).map(fact).collect();
    assert_eq!(opened.records, records);
}
