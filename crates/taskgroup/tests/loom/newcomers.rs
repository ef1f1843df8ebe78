//! Children in line, and those who are sent for them.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use tidegate_taskgroup::core::{Newcomers, Sent};

use super::bounded;

/// Puts one in, and does as `Starter` does for whoever that sends: polls a child, rests, and comes again.
fn put(line: &Newcomers<usize>, child: usize, polled: &[AtomicUsize]) {
    let mut sent = vec![line.put(child).expect("open")];
    while let Some(starter) = sent.pop() {
        if starter == Sent::Nobody {
            continue;
        }
        line.begin(starter);
        if let Some((child, more)) = line.take() {
            polled[child].fetch_add(1, Ordering::Relaxed);
            line.rest();
            sent.extend([Sent::Spare, more]);
        }
    }
}

#[test]
fn every_child_is_polled_once_by_somebody_who_was_sent() {
    bounded(|| {
        let polled: Arc<Vec<_>> = Arc::new((0..3).map(|_| AtomicUsize::new(0)).collect());
        let line = Arc::new(Newcomers::new());
        let others: Vec<_> = (1..3)
            .map(|child| {
                let (line, polled) = (Arc::clone(&line), Arc::clone(&polled));
                thread::spawn(move || put(&line, child, &polled))
            })
            .collect();
        put(&line, 0, &polled);
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        let polls: Vec<_> = polled.iter().map(|polls| polls.load(Ordering::Relaxed)).collect();
        assert_eq!(polls, [1, 1, 1]);
    });
}
