//! The reader of a streaming group.

use std::future::poll_fn;

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use tidegate_taskgroup::core::{Ledger, Mutex, Tally, Who, poll_next};
use tidegate_taskgroup::{Label, Outcome, Policy};

use super::bounded;

type Group = (Tally, Mutex<Ledger<u32, ()>>);

/// As `Shared::end` and `Shared::leave` do it.
fn end(group: &Group, index: u32) {
    let after = group.1.lock().record(Label { index, name: None }, Outcome::Value(index));
    if let Some(reader) = after.wake {
        reader.wake();
    }
    if group.0.leave(1).live() == 0 {
        let reader = group.1.lock().reader();
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

#[test]
fn the_reader_gets_every_outcome_and_then_the_end() {
    bounded(|| {
        let ledger = Mutex::new(Ledger::new(Policy::Supervise, 0, true));
        let group: Arc<Group> = Arc::new((Tally::new(), ledger));
        let tasks = [0, 1].map(|index| {
            group.0.enter(Who::Task).expect("open");
            let group = Arc::clone(&group);
            thread::spawn(move || end(&group, index))
        });
        let reader = {
            let group = Arc::clone(&group);
            thread::spawn(move || {
                let mut sum = 0;
                let next = || block_on(poll_fn(|cx| poll_next(&group.0, &group.1, true, cx)));
                while let Some(done) = next() {
                    sum += 1 + done.outcome.value().expect("it gave one");
                }
                sum
            })
        };
        tasks.into_iter().for_each(|task| task.join().expect("no panic"));
        assert_eq!(reader.join().expect("no panic"), 3);
    });
}
