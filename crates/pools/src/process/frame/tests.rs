use proptest::prelude::{any, proptest};
use proptest::{collection, prop_assert, prop_assert_eq};

use super::{CHUNK, FrameError, Inbox, Kind, frame};

fn read_all(inbox: &mut Inbox, bytes: &[u8], chunk: usize) -> Vec<(Kind, u64, Vec<u8>)> {
    let mut frames = Vec::new();
    for piece in bytes.chunks(chunk.max(1)) {
        inbox.room().extend_from_slice(piece);
        while let Some(frame) = inbox.next().expect("well-formed frames") {
            frames.push((frame.kind, frame.job, frame.payload().to_vec()));
        }
    }
    frames
}

proptest! {
    #[test]
    fn frames_survive_any_cut(
        payloads in collection::vec(collection::vec(any::<u8>(), 0..300), 0..12),
        chunk in 1_usize..400,
    ) {
        let sent: Vec<_> = (0..).zip(&payloads).map(|(id, p)| (Kind::Done, id, p.clone())).collect();
        let bytes: Vec<u8> = sent.iter().flat_map(|(kind, id, p)| frame(*kind, *id, p)).collect();
        let mut inbox = Inbox::new(300);
        prop_assert_eq!(read_all(&mut inbox, &bytes, chunk), sent);
        prop_assert_eq!(inbox.partial(), 0);
    }

    #[test]
    fn arbitrary_bytes_never_panic_nor_make_room_beyond_the_limit(bytes in collection::vec(any::<u8>(), 0..200)) {
        let mut inbox = Inbox::new(1_000);
        inbox.room().extend_from_slice(&bytes);
        while let Ok(Some(_)) = inbox.next() {}
        prop_assert!(inbox.room().capacity() <= 4 * CHUNK);
    }
}

#[test]
fn a_large_frame_is_handed_on_without_a_copy() {
    let bytes = frame(Kind::Job, 7, &vec![3; 4 * CHUNK]);
    let mut inbox = Inbox::new(8 * CHUNK);
    inbox.room().extend_from_slice(&bytes);
    let at = inbox.bytes.as_ptr();
    let frame = inbox.next().expect("well-formed").expect("whole");
    assert_eq!(frame.bytes.as_ptr(), at);
    assert_eq!(frame.payload().len(), 4 * CHUNK);
}

#[test]
fn a_frame_above_the_limit_is_refused_from_its_header_alone() {
    let mut inbox = Inbox::new(10);
    inbox.room().extend_from_slice(&frame(Kind::Done, 1, &[0; 11])[..13]);
    assert_eq!(inbox.next(), Err(FrameError::TooLarge { len: 11, max: 10 }));
}

#[test]
fn an_unknown_kind_is_an_error() {
    let mut bytes = frame(Kind::Done, 1, &[]);
    bytes[4] = 99;
    let mut inbox = Inbox::new(10);
    inbox.room().extend_from_slice(&bytes);
    assert_eq!(inbox.next(), Err(FrameError::UnknownKind(99)));
}

#[test]
fn cancellations_are_counted_among_other_frames_and_in_one_that_is_cut() {
    let frames = [
        frame(Kind::Job, 1, &[Kind::Cancel as u8; 40]),
        frame(Kind::Cancel, 0, &[]),
        frame(Kind::Job, 2, &[]),
        frame(Kind::Cancel, 0, &[]),
        frame(Kind::Job, 3, &[7; 9]),
    ];
    let bytes = frames.concat();
    let mut inbox = Inbox::new(100);
    inbox.room().extend_from_slice(&bytes[..bytes.len() - 4]);
    let left: Vec<usize> = std::iter::from_fn(|| {
        let frame = inbox.next().expect("well-formed frames")?;
        Some(inbox.cancellations() + usize::from(frame.kind == Kind::Cancel))
    })
    .collect();
    assert_eq!(left, [2, 2, 1, 1]);
}
