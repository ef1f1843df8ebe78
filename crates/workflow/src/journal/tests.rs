use std::io;

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{
    Damage, Durability, End, Fault, FileStore, Journal, MemoryStore, OpenError, Outcome, Record,
    conformance, frame, scan,
};

fn added(task: u32) -> Record {
    Record::TaskAdded {
        task,
        id: format!("task-{task}").into(),
        needs: vec![],
        version: 0x1234_5678_9abc_def0,
        live: false,
    }
}

fn life(task: u32) -> [Record; 3] {
    let (attempt, at_ms, took_us) = (1, 3_600_000, 1000);
    let started = Record::AttemptStarted { task, attempt, once: false, at_ms };
    let (outcome, output) = (Outcome::Done, vec![]);
    [added(task), started, Record::Settled { task, attempt, outcome, output, took_us, at_ms }]
}

/// One of each kind that `life` has not.
fn others() -> Vec<Record> {
    let (at_ms, text, output) = (7, || "text".to_owned(), vec![1, 2, 3]);
    let settled = |task, outcome| Record::Settled {
        task,
        attempt: 2,
        outcome,
        output: vec![],
        took_us: 9,
        at_ms,
    };
    vec![
        Record::RunStarted { run: text(), description: output.clone(), since_1970_ms: 1 },
        Record::RunResumed { at_ms },
        Record::AttemptFailed { task: 0, attempt: 1, error: text(), took_us: 9, at_ms },
        settled(0, Outcome::Failed(text())),
        settled(1, Outcome::Skipped(text())),
        settled(2, Outcome::Cancelled),
        settled(3, Outcome::TimedOut),
        settled(4, Outcome::Declined),
        Record::Reset { task: 1 },
        Record::Fact { name: text(), value: output.clone() },
        Record::Submitted { task: 2, by: 1, before: vec![0] },
        Record::Planned { by: None, plan: output.clone() },
        Record::Planned { by: Some(1), plan: vec![] },
        Record::ItemDone { task: 1, item: text(), nth: 1, version: 2, cost: 3, output, at_ms },
        Record::RunEnded { end: End::Complete, at_ms },
        Record::RunEnded { end: End::Cancelled, at_ms },
    ]
}

fn written(records: &[Record]) -> MemoryStore {
    let store = MemoryStore::default();
    let mut journal = Journal::open(store.clone()).expect("memory opens").journal;
    for record in records {
        journal.append(record).expect("small");
    }
    journal.commit(Durability::PowerLoss).expect("memory keeps");
    store
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..8).prop_map(|chars| chars.into_iter().collect())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..40)
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Done),
        text().prop_map(Outcome::Failed),
        text().prop_map(Outcome::Skipped),
        Just(Outcome::Cancelled),
        Just(Outcome::TimedOut),
        Just(Outcome::Declined),
    ]
}

fn records() -> impl Strategy<Value = Record> {
    let task = any::<u32>;
    prop_oneof![
        (text(), bytes(), any::<u64>()).prop_map(|(run, description, since_1970_ms)| {
            Record::RunStarted { run, description, since_1970_ms }
        }),
        any::<u64>().prop_map(|at_ms| Record::RunResumed { at_ms }),
        (task(), text(), proptest::collection::vec(task(), 0..5), any::<u64>(), any::<bool>())
            .prop_map(|(task, id, needs, version, live)| Record::TaskAdded {
                task,
                id: id.into(),
                needs,
                version,
                live
            }),
        (task(), any::<u32>(), any::<bool>(), any::<u64>()).prop_map(
            |(task, attempt, once, at_ms)| Record::AttemptStarted { task, attempt, once, at_ms }
        ),
        (task(), any::<u32>(), text(), any::<u64>(), any::<u64>()).prop_map(
            |(task, attempt, error, took_us, at_ms)| {
                Record::AttemptFailed { task, attempt, error, took_us, at_ms }
            }
        ),
        (task(), any::<u32>(), outcomes(), bytes(), any::<u64>(), any::<u64>()).prop_map(
            |(task, attempt, outcome, output, took_us, at_ms)| {
                Record::Settled { task, attempt, outcome, output, took_us, at_ms }
            }
        ),
        task().prop_map(|task| Record::Reset { task }),
        (task(), task(), proptest::collection::vec(task(), 0..5))
            .prop_map(|(task, by, before)| Record::Submitted { task, by, before }),
        (text(), bytes()).prop_map(|(name, value)| Record::Fact { name, value }),
        (proptest::option::of(task()), bytes()).prop_map(|(by, plan)| Record::Planned { by, plan }),
        (task(), text(), any::<u32>(), any::<u64>(), any::<u32>(), bytes(), any::<u64>()).prop_map(
            |(task, item, nth, version, cost, output, at_ms)| {
                Record::ItemDone { task, item, nth, version, cost, output, at_ms }
            }
        ),
        (prop_oneof![Just(End::Complete), Just(End::Cancelled)], any::<u64>())
            .prop_map(|(end, at_ms)| Record::RunEnded { end, at_ms }),
    ]
}

proptest! {
    #[test]
    fn what_was_written_is_read(batches in proptest::collection::vec(proptest::collection::vec(records(), 0..5), 0..5)) {
        let store = MemoryStore::default();
        for batch in &batches {
            let mut opened = Journal::open(store.clone()).expect("opens");
            prop_assert_eq!(opened.cut, None);
            batch.iter().try_for_each(|record| opened.journal.append(record)).expect("small");
            opened.journal.commit(Durability::ProcessCrash).expect("memory keeps");
        }
        let all = Journal::open(store).expect("opens").records;
        prop_assert_eq!(all, batches.concat());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(noise in bytes(), behind_a_header in any::<bool>()) {
        let header: &[u8] = if behind_a_header { &frame::HEADER } else { &[] };
        let all = [header, &noise].concat();
        if let Ok(found) = scan(&all) {
            prop_assert!(found.records.is_empty());
        }
    }
}

#[test]
fn the_header_carries_its_checksum() {
    let (said, sum) = frame::HEADER.split_at(12);
    assert_eq!(crc32fast::hash(said).to_le_bytes(), sum);
}

#[test]
fn the_life_of_a_task_that_does_nothing_takes_at_most_120_bytes() {
    let records: Vec<_> = (1_000_000..1_001_000).flat_map(life).collect();
    let per_task = (written(&records).bytes().len() - frame::HEADER.len()) / 1000;
    assert!(per_task <= 80, "{per_task} bytes a task");
}

#[test]
fn a_journal_cut_at_any_byte_tells_the_records_before_the_cut() {
    let records: Vec<_> = (0..120).flat_map(life).collect();
    let whole = written(&records).bytes();
    let ends: Vec<u64> =
        (0..=records.len()).map(|n| written(&records[..n]).bytes().len() as u64).collect();
    assert!(whole.len() > 4096);
    for cut in whole.len() - 4096..=whole.len() {
        let intact = ends.iter().rposition(|&end| end <= cut as u64).expect("the header is whole");
        let store = MemoryStore::default();
        store.replace(whole[..cut].to_vec());
        let mut opened = Journal::open(store.clone()).expect("a torn journal opens");
        assert_eq!(opened.records, records[..intact], "cut at {cut}");
        let dropped = cut as u64 - ends[intact];
        let told = opened.cut.map(|tail| (tail.at, tail.bytes, tail.damage));
        assert_eq!(
            told,
            (dropped > 0).then_some((ends[intact], dropped, Damage::Torn)),
            "cut at {cut}"
        );
        opened.journal.append(&added(999)).expect("small");
        opened.journal.commit(Durability::ProcessCrash).expect("memory keeps");
        let after = scan(&store.bytes()).expect("a journal");
        assert_eq!((after.records.len(), after.tail), (intact + 1, None), "cut at {cut}");
    }
}

#[test]
fn a_journal_cut_in_its_header_begins_anew() {
    for cut in 0..frame::HEADER.len() {
        let store = MemoryStore::default();
        store.replace(frame::HEADER[..cut].to_vec());
        Journal::open(store.clone()).expect("opens");
        assert_eq!(store.bytes(), frame::HEADER, "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_invents_no_record_and_is_told() {
    let records: Vec<_> = (0..3).flat_map(life).chain(others()).collect();
    let whole = written(&records).bytes();
    let ends: Vec<usize> =
        (0..=records.len()).map(|n| written(&records[..n]).bytes().len()).collect();
    for bit in frame::HEADER.len() * 8..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let intact = ends.iter().rposition(|&end| end <= bit / 8).expect("behind the header");
        let found = scan(&flipped).expect("its header is whole");
        assert_eq!(found.records, records[..intact], "bit {bit}");
        let tail = found.tail.expect("damage is told");
        assert_eq!(
            (tail.at as usize, tail.bytes as usize),
            (ends[intact], whole.len() - ends[intact]),
            "bit {bit}"
        );
    }
    for bit in 0..frame::HEADER.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let store = MemoryStore::default();
        store.replace(flipped.clone());
        assert!(
            matches!(Journal::open(store.clone()), Err(OpenError::NotAJournal(_))),
            "bit {bit}"
        );
        assert_eq!(store.bytes(), flipped, "what is not a journal is left alone");
    }
}

#[test]
fn a_frame_is_valid_only_in_its_place() {
    let one = written(&[added(1)]).bytes();
    let moved = [&one[..], &one[frame::HEADER.len()..]].concat();
    let found = scan(&moved).expect("a journal");
    assert_eq!(
        (found.records.len(), found.tail.map(|tail| tail.damage)),
        (1, Some(Damage::Corrupt))
    );
}

#[test]
fn zeros_behind_the_records_are_no_records() {
    let mut bytes = written(&[added(1)]).bytes();
    let len = bytes.len() as u64;
    for zeros in [1, 7, 8, 4096] {
        bytes.resize(bytes.len() + zeros, 0);
        let found = scan(&bytes).expect("a journal");
        assert_eq!((found.records, found.len, found.tail), (vec![added(1)], len, None));
    }
    let store = MemoryStore::default();
    store.replace(bytes.clone());
    let opened = Journal::open(store.clone()).expect("opens");
    assert_eq!((opened.records, opened.cut), (vec![added(1)], None));
    assert_eq!(store.bytes().len() as u64, len, "the next record comes right behind the last");
    *bytes.last_mut().expect("it is not empty") = 1;
    let tail = scan(&bytes).expect("a journal").tail.expect("something stands behind the zeros");
    assert_eq!(tail.at, len);
}

#[test]
fn an_intact_record_of_a_newer_version_is_not_cut() {
    let mut bytes = written(&[added(1)]).bytes();
    let (at, payload) = (bytes.len() as u64, [99_u8]);
    let length = 1_u32.to_le_bytes();
    let sum = crc32fast::hash(&[&at.to_le_bytes()[..], &length, &payload].concat());
    bytes.extend_from_slice(&[&length[..], &sum.to_le_bytes(), &payload].concat());
    let store = MemoryStore::default();
    store.replace(bytes.clone());
    assert!(matches!(Journal::open(store.clone()), Err(OpenError::Newer(tail)) if tail.at == at));
    assert_eq!(store.bytes(), bytes);
}

#[test]
fn an_intact_frame_with_more_in_it_than_a_record_is_not_read_as_one() {
    let record = postcard::to_stdvec(&added(1)).expect("a record");
    let payload = [&record[..], &[0]].concat();
    let length = u32::try_from(payload.len()).expect("small").to_le_bytes();
    let at = frame::HEADER.len() as u64;
    let sum = crc32fast::hash(&[&at.to_le_bytes()[..], &length, &payload].concat());
    let bytes = [&frame::HEADER[..], &length, &sum.to_le_bytes(), &payload].concat();
    let found = scan(&bytes).expect("a journal");
    assert_eq!(
        (found.records.len(), found.tail.map(|tail| tail.damage)),
        (0, Some(Damage::Unknown))
    );
}

#[test]
fn a_length_that_no_record_can_have_is_damage() {
    let bytes = [&frame::HEADER[..], &u32::MAX.to_le_bytes(), &[0; 4]].concat();
    assert_eq!(
        scan(&bytes).expect("a journal").tail.map(|tail| tail.damage),
        Some(Damage::Corrupt)
    );
}

#[test]
fn a_record_too_large_for_a_frame_leaves_the_batch_as_it_was() {
    let store = MemoryStore::default();
    let mut journal = Journal::open(store.clone()).expect("opens").journal;
    journal.append(&added(1)).expect("small");
    let large = Record::Fact { name: "x".repeat(64 << 20), value: vec![] };
    assert!(journal.append(&large).expect_err("above 64 MiB with its kind").len > 64 << 20);
    journal.append(&added(2)).expect("small");
    journal.commit(Durability::PowerLoss).expect("kept");
    assert_eq!(scan(&store.bytes()).expect("whole").records, [added(1), added(2)]);
}

#[test]
fn a_short_file_of_somebody_else_is_left_alone() {
    let store = MemoryStore::default();
    store.replace(b"notes".to_vec());
    assert!(
        matches!(Journal::open(store.clone()), Err(OpenError::NotAJournal(found)) if found.len == 5)
    );
    assert_eq!(store.bytes(), b"notes");
}

#[test]
fn a_store_that_failed_once_takes_nothing_more_and_keeps_what_was_acknowledged() {
    for fault in [Fault::Append, Fault::Full { after: 0 }, Fault::Full { after: 11 }, Fault::Sync] {
        let store = MemoryStore::default();
        let mut journal = Journal::open(store.clone()).expect("opens").journal;
        journal.append(&added(0)).expect("small");
        journal.commit(Durability::PowerLoss).expect("acknowledged");
        journal.append(&added(1)).expect("small");
        store.fail_next(fault);
        let first = journal.commit(Durability::PowerLoss).expect_err("the store fails");
        let left = store.bytes();
        for level in [Durability::PowerLoss, Durability::ProcessCrash, Durability::Memory] {
            let again = journal
                .commit(level)
                .expect_err("the store would work again, the journal must not");
            assert_eq!(again.first().kind(), first.first().kind());
        }
        assert_eq!(store.bytes(), left, "{fault:?}: nothing is written after an error");
        drop(journal);
        assert_eq!(scan(&store.synced()).expect("a journal").records, [added(0)]);
        assert_eq!(Journal::open(store).expect("opens").records, [added(0)], "{fault:?}");
    }
}

#[test]
fn a_commit_keeps_what_its_level_says() {
    let store = MemoryStore::default();
    let mut journal = Journal::open(store.clone()).expect("opens").journal;
    let kept = |store: &MemoryStore| {
        (
            scan(&store.bytes()).expect("whole").records.len(),
            scan(&store.synced()).expect("whole").records.len(),
        )
    };
    for (level, there) in [
        (Durability::Memory, (0, 0)),
        (Durability::ProcessCrash, (1, 0)),
        (Durability::PowerLoss, (2, 2)),
    ] {
        journal.append(&added(1)).expect("small");
        assert_ne!(journal.pending(), 0);
        journal.commit(level).expect("kept");
        assert_eq!((kept(&store), journal.pending()), (there, 0), "{level:?}");
    }
    journal.append(&added(1)).expect("small");
    journal.commit(Durability::ProcessCrash).expect("written");
    journal.commit(Durability::PowerLoss).expect("synced, though the batch is empty");
    assert_eq!(kept(&store), (3, 3));
}

#[test]
fn what_a_dead_process_wrote_is_synced_before_it_is_believed() {
    let store = written(&[added(1)]);
    let mut journal = Journal::open(store.clone()).expect("opens").journal;
    journal.append(&added(2)).expect("small");
    journal.commit(Durability::ProcessCrash).expect("written");
    drop(journal);
    let opened = Journal::open(store.clone()).expect("opens");
    assert_eq!(scan(&store.synced()).expect("whole").records, opened.records);
}

fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("tidegate-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for this test");
    folder
}

#[test]
fn both_stores_keep_the_contract() -> io::Result<()> {
    let memory = MemoryStore::default();
    conformance(|| Ok(memory.clone()))?;
    let folder = folder("conformance");
    conformance(|| FileStore::open(folder.join("journal")))?;
    std::fs::remove_dir_all(folder)
}

#[test]
fn two_cannot_write_one_file_and_anybody_may_read_it() -> Result<(), Box<dyn std::error::Error>> {
    let folder = folder("lock");
    let path = folder.join("journal");
    let mut journal = Journal::open(FileStore::open(&path)?)?.journal;
    let second = FileStore::open(&path).expect_err("it is locked");
    assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
    journal.append(&added(1))?;
    journal.commit(Durability::ProcessCrash)?;
    assert_eq!(scan(&std::fs::read(&path)?)?.records, [added(1)]);
    drop(journal);
    assert_eq!(Journal::open(FileStore::open(&path)?)?.records, [added(1)]);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
