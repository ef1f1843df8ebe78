use std::cell::OnceCell;
use std::sync::Barrier;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use super::*;
use crate::sync::SLOTS;

/// Whether the calling thread has cells of its own once it has counted.
fn has_cells(index: u32) -> bool {
    add(index, 1);
    MINE.get().is_some()
}

#[test]
fn cells_of_threads_that_ended_go_to_those_that_found_none() {
    let index = allocate(1).unwrap();
    for _ in 0..SLOTS * 4 {
        assert!(thread::spawn(move || has_cells(index)).join().unwrap(), "of an ended thread");
    }
    let [held, let_go, counted, again] = [(); 4].map(|()| Barrier::new(SLOTS + 1));
    thread::scope(|scope| {
        let hold_on = || {
            add(index, 1);
            held.wait();
            let_go.wait();
        };
        let holders: Vec<_> = (0..SLOTS).map(|_| scope.spawn(hold_on)).collect();
        held.wait();
        let count_twice = || {
            let before = has_cells(index);
            counted.wait();
            again.wait();
            (before, has_cells(index))
        };
        let late: Vec<_> = (0..SLOTS).map(|_| scope.spawn(count_twice)).collect();
        counted.wait();
        let_go.wait();
        holders.into_iter().for_each(|holder| holder.join().unwrap());
        again.wait();
        let late: Vec<_> = late.into_iter().map(|late| late.join().unwrap()).collect();
        assert!(late.contains(&(false, true)), "none looked again when cells had come back");
    });
}

/// Tells whether its thread still has cells when the locals are destroyed.
struct Last(Sender<bool>);

impl Drop for Last {
    fn drop(&mut self) {
        let _ = self.0.send(MINE.get().is_some());
    }
}

#[test]
fn a_thread_that_gave_its_cells_back_does_not_count_in_them() {
    thread_local!(static LAST: OnceCell<Last> = const { OnceCell::new() });
    let index = allocate(1).unwrap();
    let (tell, told) = channel();
    let count = move || {
        // Before the thread's cells, and so destroyed after them.
        LAST.with(|last| last.get_or_init(|| Last(tell)).0.send(false)).unwrap();
        has_cells(index)
    };
    assert!(thread::spawn(count).join().unwrap());
    assert_eq!(told.into_iter().collect::<Vec<_>>(), [false, false]);
}
