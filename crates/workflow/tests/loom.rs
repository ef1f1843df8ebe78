//! Interleavings of those who bring messages to the engine.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p tidegate-workflow --test loom --target-dir target/loom`
#![cfg(loom)]

#[path = "../src/engine/combine.rs"]
mod combine;
#[path = "../src/sync.rs"]
mod sync;

use combine::{After, Combine};
use loom::sync::Arc;
use loom::thread;

type Sums = Combine<Vec<u32>, u32>;

fn work(seen: &mut Vec<u32>, messages: &mut Vec<u32>) {
    seen.append(messages);
    // Others come while the state is held: loom itself switches before a lock is taken, not before it is given back.
    thread::yield_now();
}

/// As the engine's link does it; whether the message was taken.
fn send(sums: &Sums, message: u32) -> (bool, Option<Vec<u32>>) {
    if sums.put([message]).is_err() {
        return (false, None);
    }
    loop {
        match sums.try_turn(work) {
            After::Nothing => return (true, None),
            After::More => {}
            After::Closed(state) => return (true, Some(*state)),
            After::Broken(_) => unreachable!("the work does not panic"),
        }
    }
}

fn with_state() -> Arc<Sums> {
    let sums = Arc::new(Sums::default());
    sums.attach(Vec::new());
    sums
}

/// Fails when `after` does not look into the inbox, or `send` tries before it puts.
#[test]
fn no_message_is_left_lying_and_each_is_worked_once_in_its_senders_order() {
    loom::model(|| {
        let sums = with_state();
        let other = Arc::clone(&sums);
        let sender = thread::spawn(move || {
            send(&other, 1);
            send(&other, 2);
        });
        send(&sums, 10);
        sender.join().expect("it does not panic");
        let (left, state) = sums.close();
        let seen = state.expect("nobody has it any more");
        assert!(left.is_empty());
        assert_eq!(seen.iter().sum::<u32>(), 13);
        let of_sender: Vec<u32> = seen.into_iter().filter(|message| *message < 10).collect();
        assert_eq!(of_sender, [1, 2]);
    });
}

/// Fails when `after` does not take a closed state out, or `close` leaves what has come in the inbox.
#[test]
fn a_state_that_is_closed_goes_to_one_and_no_message_is_lost_or_worked_twice() {
    loom::model(|| {
        let sums = with_state();
        let other = Arc::clone(&sums);
        let sender = thread::spawn(move || send(&other, 1));
        let (left, closed) = sums.close();
        let (taken, found) = sender.join().expect("it does not panic");
        assert!(closed.is_some() != found.is_some(), "one of both has the state");
        let worked = closed.or(found).expect("one has it");
        let places = left.len() + worked.len() + usize::from(!taken);
        assert_eq!(places, 1, "worked, handed back or refused");
        assert!(sums.close().1.is_none());
    });
}

/// Fails when `close` waits for the state.
#[test]
fn closing_in_the_midst_of_a_turn_gives_the_state_to_its_holder() {
    loom::model(|| {
        let sums = with_state();
        sums.put([1]).expect("it is open");
        let after = sums.try_turn(|seen, messages| {
            work(seen, messages);
            assert!(sums.close().1.is_none(), "it is in use");
        });
        assert!(matches!(after, After::Closed(seen) if *seen == [1]));
        assert_eq!(sums.put([2]), Err([2]));
    });
}

/// Fails when `turn` does not look into the inbox again.
#[test]
fn who_waits_for_its_turn_and_who_does_not_leave_nothing_between_them() {
    loom::model(|| {
        let sums = with_state();
        let other = Arc::clone(&sums);
        let sender = thread::spawn(move || send(&other, 1));
        while let After::More = sums.turn(work) {}
        sender.join().expect("it does not panic");
        assert_eq!(sums.close().1, Some(vec![1]));
    });
}

/// Fails when a turn that panics does not close the inbox, or leaves what it had not worked through where it was.
#[test]
fn a_turn_that_panics_hands_back_the_state_and_every_message_and_no_more_are_taken() {
    loom::model(|| {
        let sums = with_state();
        let other = Arc::clone(&sums);
        let sender = thread::spawn(move || {
            if other.put([1]).is_err() {
                return None;
            }
            let rash = |_: &mut Vec<u32>, _: &mut Vec<u32>| std::panic::resume_unwind(Box::new(()));
            match other.try_turn(rash) {
                After::Broken(broken) => {
                    assert!(broken.state.is_empty() && broken.panic.is::<()>());
                    Some(broken.messages)
                }
                _ => None,
            }
        });
        let taken = sums.put([2]).is_ok();
        let left = sender.join().expect("its panic was contained").expect("nobody else has it");
        assert_eq!(left.len() + usize::from(!taken), 2, "handed back or refused: {left:?}");
        assert_eq!(sums.put([3]), Err([3]));
        assert!(sums.close().1.is_none());
    });
}
