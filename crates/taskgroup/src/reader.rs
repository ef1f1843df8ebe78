//! How the outcomes of a streaming group are read one by one.

use std::task::{Context, Poll};

use crate::Completed;
use crate::ledger::Ledger;
use crate::sync::Mutex;
use crate::tally::Tally;

/// The next outcome; `None` once all were handed out and nobody lives, or nobody is to be waited for.
///
/// The last task writes to the ledger, leaves the tally, and then wakes whoever it finds registered in the ledger.
pub fn poll_next<T, E>(
    tally: &Tally,
    ledger: &Mutex<Ledger<T, E>>,
    waits: bool,
    cx: &mut Context<'_>,
) -> Poll<Option<Completed<T, E>>> {
    // Read first: a task is in the ledger before it leaves the tally.
    let nobody = tally.seen().live() == 0 || !waits;
    let next = ledger.lock().next(cx.waker());
    match next {
        Some(completed) => Poll::Ready(Some(completed)),
        None if nobody => Poll::Ready(None),
        // The waker is kept. If the last task left since the look at the tally, it finds the waker or we find it gone.
        None if tally.seen().live() == 0 => Poll::Ready(ledger.lock().next(cx.waker())),
        None => Poll::Pending,
    }
}
