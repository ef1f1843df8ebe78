//! Waiting until nothing is in use and nobody waits.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::sync::Ordering;
use crate::word::{QUEUED, WATCHED};

use super::wakes::Wakes;
use super::{Semaphore, Word};

/// Those who wait for idleness. An epoch ends each time the semaphore goes idle while someone watches, so that a watcher
/// that polls late still learns of it.
#[derive(Debug)]
pub(super) struct Watchers {
    epoch: u64,
    next_id: u64,
    waiting: Vec<(u64, Waker)>,
}

impl Watchers {
    pub(super) const fn new() -> Self {
        Self { epoch: 0, next_id: 0, waiting: Vec::new() }
    }

    pub(super) fn went_idle(&mut self, wakes: &mut Wakes) {
        self.epoch += 1;
        self.waiting.drain(..).for_each(|(_, waker)| wakes.push(waker));
    }
}

/// Completes once the semaphore is idle; made by [`Semaphore::idle`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Idle<'a> {
    semaphore: &'a Semaphore,
    /// Once registered: under which id, and in which epoch.
    watch: Option<(u64, u64)>,
}

impl<'a> Idle<'a> {
    pub(super) fn new(semaphore: &'a Semaphore) -> Self {
        Self { semaphore, watch: None }
    }
}

impl Future for Idle<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let semaphore = self.semaphore;
        let mut shared = semaphore.shared.lock();
        if self.watch.is_some_and(|(_, epoch)| epoch != shared.watchers.epoch) {
            self.watch = None;
            return Poll::Ready(());
        }
        // ORDERING: Acquire; pairs with the Release of `give`: who finds it idle sees what the holders wrote. On success of
        // the CAS that sets WATCHED, whoever gives back the last permit later sees the flag.
        let mut word = Word(semaphore.word.load(Ordering::Acquire));
        while word.in_use() != 0 || word.has(QUEUED) {
            match semaphore.word.compare_exchange_weak(
                word.0,
                word.with(WATCHED).0,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    let watchers = &mut shared.watchers;
                    let id = match self.watch {
                        Some((id, _)) => id,
                        None => {
                            watchers.next_id += 1;
                            watchers.next_id
                        }
                    };
                    self.watch = Some((id, watchers.epoch));
                    let replaced = watchers.waiting.iter().position(|(other, _)| *other == id);
                    let replaced = replaced.map(|at| watchers.waiting.swap_remove(at));
                    watchers.waiting.push((id, waker));
                    drop(shared);
                    drop(replaced);
                    return Poll::Pending;
                }
                Err(actual) => word = Word(actual),
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        let Some((id, _)) = self.watch else { return };
        let mut shared = self.semaphore.shared.lock();
        let waiting = &mut shared.watchers.waiting;
        let mine = waiting.iter().position(|(other, _)| *other == id);
        let mine = mine.map(|at| waiting.swap_remove(at));
        drop(shared);
        drop(mine);
    }
}
