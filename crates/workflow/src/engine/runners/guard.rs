//! Has a worker look around while work is left behind an attempt.
//!
//! A worker goes to sleep without a last look if, when it found nothing, others were searching already (tokio lets half of them
//! do so). What one of those queues right afterwards, nobody is told of: mostly no harm, since it comes back to its queue soon,
//! but an attempt that computes comes back late. The clock rings all the same, and whichever worker it wakes looks for work.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};

use crate::engine::Link;

/// How long work is left behind at most before a worker that sleeps is woken.
const AFTER: Duration = Duration::from_millis(5);

pub(super) struct Guard {
    ring: Arc<Ring>,
    waker: Waker,
    /// Made when it is first needed.
    timer: Mutex<Option<Pin<Box<Sleep>>>>,
}

struct Ring {
    is_set: AtomicBool,
    link: Weak<Link>,
}

impl Guard {
    pub(super) fn new(link: Weak<Link>) -> Self {
        let ring = Arc::new(Ring { is_set: AtomicBool::new(false), link });
        Self { waker: Waker::from(Arc::clone(&ring)), ring, timer: Mutex::default() }
    }

    /// Work is left behind an attempt that begins.
    pub(super) fn set(&self) {
        // ORDERING: Relaxed; whoever sees it set too early or too late sets it with the next attempt.
        if self.ring.is_set.load(Ordering::Relaxed)
            || self.ring.is_set.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let mut timer = self.timer.lock();
        let timer = timer.get_or_insert_with(|| Box::pin(sleep(AFTER)));
        timer.as_mut().reset(Instant::now() + AFTER);
        // Only a poll tells it whom to wake.
        let _ = timer.as_mut().poll(&mut Context::from_waker(&self.waker));
    }
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        // ORDERING: Relaxed; as in `Guard::set`.
        self.is_set.store(false, Ordering::Relaxed);
        if let Some(link) = self.link.upgrade() {
            link.wake();
        }
    }
}
