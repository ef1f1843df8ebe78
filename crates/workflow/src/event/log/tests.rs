use std::ops::Range;
use std::time::Duration;

use super::*;
use crate::event::EventKind;

/// Tells these numbers at once.
fn tell(log: &Log, numbers: Range<u64>) {
    let event = |run| Event { at: Duration::ZERO, kind: EventKind::RunEnded { run } };
    log.tell(&mut numbers.map(event).collect());
}

/// The numbers that a reader finds; what was lost is a `None` with its count.
fn read(reader: &mut Reader) -> Vec<Result<u64, u64>> {
    let found = std::iter::from_fn(|| reader.try_next());
    let number = |next| match next {
        Next::Event(Event { kind: EventKind::RunEnded { run }, .. }) => Ok(run),
        Next::Event(other) => panic!("nobody told {other:?}"),
        Next::Lost(lost) => Err(lost),
    };
    found.map(number).collect()
}

fn all(numbers: Range<u64>) -> Vec<Result<u64, u64>> {
    numbers.map(Ok).collect()
}

#[test]
fn the_only_reader_gets_every_event_in_order_however_they_came() {
    let log = Log::new(4096);
    let mut reader = log.subscribe();
    let mut told = 0;
    for (at, len) in [1, 3, 200, 1, 1, 63, 64, 2].into_iter().enumerate() {
        tell(&log, told..told + len);
        told += len;
        if at == 3 {
            assert_eq!(read(&mut reader), all(0..told));
        }
    }
    assert_eq!(read(&mut reader), all(205..told));
}

#[test]
fn two_readers_get_the_same_events() {
    let log = Log::new(4096);
    let (mut one, mut other) = (log.subscribe(), log.subscribe());
    tell(&log, 0..3);
    assert_eq!(read(&mut one), all(0..3));
    tell(&log, 3..5);
    assert_eq!(read(&mut one), all(3..5));
    assert_eq!(read(&mut other), all(0..5));
}

#[test]
fn who_comes_later_gets_what_is_told_from_then_on_and_takes_nothing_from_others() {
    let log = Log::new(4096);
    let mut first = log.subscribe();
    tell(&log, 0..2);
    // In the midst of what will be one piece.
    let mut second = log.subscribe();
    tell(&log, 2..4);
    assert_eq!(first.try_next().map(|_| ()), Some(()));
    assert_eq!(read(&mut second), all(2..4));
    assert_eq!(read(&mut first), all(1..4));
    drop(first);
    tell(&log, 4..6);
    assert_eq!(read(&mut second), all(4..6), "alone from here on");
}

#[test]
fn who_is_alone_with_the_rest_of_a_piece_reads_it_from_its_place() {
    let log = Log::new(4096);
    let first = log.subscribe();
    tell(&log, 0..2);
    let mut second = log.subscribe();
    tell(&log, 2..4);
    drop(first);
    assert_eq!(read(&mut second), all(2..4));
}

#[test]
fn a_slow_reader_is_told_how_many_it_lost_and_goes_on_in_the_midst_of_a_piece() {
    let log = Log::new(3);
    let mut reader = log.subscribe();
    tell(&log, 0..5);
    tell(&log, 5..7);
    assert_eq!(read(&mut reader), [Err(4), Ok(4), Ok(5), Ok(6)]);
}

#[test]
fn what_nobody_can_ask_for_any_more_is_not_kept() {
    let log = Log::new(100);
    let _reader = log.subscribe();
    (0..10_000).for_each(|at| tell(&log, at..at + 1));
    let kept = log.0.lock();
    let events: u64 = kept.pieces.iter().map(|piece| piece.end() - piece.first).sum();
    assert!(events <= 100 + SMALL as u64, "{events}");
}

#[test]
fn the_memory_of_what_was_read_serves_what_comes_and_no_more_of_it_is_kept() {
    let log = Log::new(4096);
    let mut reader = log.subscribe();
    tell(&log, 0..3);
    assert_eq!(read(&mut reader), all(0..3));
    assert_eq!(log.0.lock().spare.len(), 1);
    tell(&log, 3..5);
    assert_eq!(log.0.lock().spare.len(), 0);
    (0..20).for_each(|at| tell(&log, 5 + 63 * at..5 + 63 * (at + 1)));
    assert_eq!(read(&mut reader), all(3..5 + 63 * 20));
    assert_eq!(log.0.lock().spare.len(), SPARE);
}

#[test]
fn what_was_told_before_the_log_went_is_read() {
    let log = Log::new(100);
    let mut reader = log.subscribe();
    tell(&log, 0..3);
    drop(log);
    assert_eq!(read(&mut reader), all(0..3));
}
