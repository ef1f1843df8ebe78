//! What all handles and tasks of one group share, and every effect of it: cancelling, forcing, starting, waking.
//!
//! ```text
//!              failure, cancel(), deadline,          grace passed,
//!              parent, drop                          or there is none, or drop
//!     open ───────────────────────────────► cancelled ───────────────► forced
//!       │  token fires; queue emptied;          │   every parked task is woken;
//!       │  nobody is admitted                   │   each is dropped at its next poll
//!       └──────────────► closed ◄───────────────┘
//!            wait finds nobody alive
//! ```
//!
//! A task ends in this order, which the waiters rely on: its future is dropped, its outcome is in the ledger, its place goes
//! to the next in the queue, and only then it leaves the tally.
//!
//! LOCK ORDER: no lock is taken while another is held.

use std::any::{Any, TypeId};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::admission::Entry;
use crate::child::{Inside, drop_quietly};
use crate::family::{Children, Link as _, Parent};
use crate::ledger::Ledger;
use crate::newcomers::Newcomers;
use crate::places::Places;
use crate::slots::{Slot, Slots};
use crate::starter::Boxed;
use crate::sync::{AtomicUsize, Mutex, Ordering};
use crate::tally::{Seen, Tally, Who};
use crate::timers::Timers;
use crate::waiters::Waiters;
use crate::{Cause, GroupError, Label, Outcome, Policy, Refused};

mod cancel;

/// What stands in the queue of a limited group: a task that starts when it is called, and ends as cancelled when it is
/// dropped; or somebody who waits for a place.
pub(crate) type Queued = Box<dyn Waiting>;

pub(crate) trait Waiting: Send {
    /// A place was taken for it. Gives `false` when it no longer wants it.
    fn start(self: Box<Self>, runtime: &Handle) -> bool;
}

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) policy: Policy,
    pub(crate) limit: Option<usize>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) keep_failures: usize,
    pub(crate) resume_panics: bool,
    pub(crate) token: Option<CancellationToken>,
    pub(crate) streaming: bool,
}

#[repr(C)]
pub(crate) struct Shared<T, E> {
    // Written at each spawn and each end, as is the count of the `Arc` right before it: one cache line for the two, and
    // none of what each poll only reads.
    pub(crate) tally: Tally,
    /// Written by each task that is cancelled, and hence here.
    cancelled: AtomicUsize,
    _apart: [u64; 13],
    pub(crate) slots: Slots,
    pub(crate) waiters: Waiters,
    pub(crate) ledger: Mutex<Ledger<T, E>>,
    pub(crate) places: Option<Places<Queued>>,
    pub(crate) token: CancellationToken,
    pub(crate) settings: Settings,
    parent: Option<Parent>,
    children: Children,
    runtime: OnceLock<Handle>,
    timers: Timers,
    pub(crate) newcomers: Newcomers<Boxed>,
}

impl<T: Send + 'static, E: Send + 'static> Shared<T, E> {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        let token = CancellationToken::new();
        Arc::new(Self::build(settings, token, None))
    }

    /// A group below `parent`, cancelled already if the parent is.
    pub(crate) fn child_of<T2, E2>(settings: Settings, parent: &Arc<Shared<T2, E2>>) -> Arc<Self>
    where
        T2: Send + 'static,
        E2: Send + 'static,
    {
        let child = Arc::new_cyclic(|weak: &Weak<Self>| {
            let above = Parent::adopt(parent.clone(), weak.clone());
            Self::build(settings, parent.token.child_token(), Some(above))
        });
        // The flag is raised before the list of children is read: who is not found there finds the flag.
        if parent.tally.seen().is_cancelled() {
            Arc::clone(&child).cancel_from_above(false);
        }
        child
    }

    fn build(settings: Settings, token: CancellationToken, parent: Option<Parent>) -> Self {
        Self {
            tally: Tally::new(),
            _apart: [0; 13],
            cancelled: AtomicUsize::new(0),
            slots: Slots::new(),
            waiters: Waiters::new(),
            ledger: Mutex::new(Ledger::new(
                settings.policy,
                settings.keep_failures,
                settings.streaming,
            )),
            places: settings.limit.map(Places::new),
            token,
            settings,
            parent,
            children: Children::default(),
            runtime: OnceLock::new(),
            timers: Timers::default(),
            newcomers: Newcomers::new(),
        }
    }

    /// The runtime of the first spawn; that is when the deadline begins to run.
    pub(crate) fn runtime(self: &Arc<Self>) -> &Handle {
        self.runtime.get_or_init(|| {
            let runtime = Handle::current();
            self.watch(&runtime);
            runtime
        })
    }

    fn watch(self: &Arc<Self>, runtime: &Handle) {
        if let Some(deadline) = self.settings.deadline {
            let group = Arc::downgrade(self);
            self.timers.keep(runtime.spawn(async move {
                tokio::time::sleep(deadline).await;
                if let Some(group) = group.upgrade() {
                    group.cancel(Cause::Deadline);
                }
            }));
        }
        if let Some(token) = self.settings.token.clone() {
            let group = Arc::downgrade(self);
            self.timers.keep(runtime.spawn(async move {
                token.cancelled().await;
                if let Some(group) = group.upgrade() {
                    group.cancel(Cause::Cancelled);
                }
            }));
        }
    }

    /// Lets one in; what stood before.
    pub(crate) fn enter(&self, who: Who) -> Result<Seen, Refused> {
        match &self.parent {
            None => self.tally.enter(who),
            Some(Parent { link, .. }) => {
                self.tally.enter_below(who, || link.hold(), || link.release())
            }
        }
    }

    /// A task is over, its future dropped.
    pub(crate) fn end(
        self: &Arc<Self>,
        outcome: Outcome<T, E>,
        slot: Slot,
        label: impl FnOnce() -> Label,
    ) {
        let mut cancelled = false;
        match outcome {
            Outcome::Value(_) if self.counts_only() => {}
            Outcome::Cancelled if !self.settings.streaming => cancelled = true,
            outcome => self.record(label(), outcome),
        }
        if slot != Slot::QUEUED {
            self.give_place();
        }
        let leaving = self.slots.leave(slot, cancelled);
        if leaving.cancelled != 0 {
            // ORDERING: Relaxed; the Release in `leave`, below, publishes it to whoever finds the group empty.
            self.cancelled.fetch_add(leaving.cancelled as usize, Ordering::Relaxed);
        }
        if leaving.tasks != 0 {
            self.leave(leaving.tasks);
        }
    }

    /// Whether values are only counted: there is nothing in `()` to keep.
    pub(crate) fn counts_only(&self) -> bool {
        TypeId::of::<T>() == TypeId::of::<()>() && !self.settings.streaming
    }

    fn record(self: &Arc<Self>, task: Label, outcome: Outcome<T, E>) {
        let after = self.ledger.lock().record(task, outcome);
        if let Some(reader) = after.wake {
            reader.wake();
        }
        if after.cancel {
            self.spread();
        }
        drop_quietly(after.surplus);
    }

    #[inline]
    fn leave(&self, tasks: u32) {
        if self.tally.leave(tasks).live() == 0 {
            self.fell_silent();
        }
    }

    /// The last who lived is gone.
    #[inline(never)]
    fn fell_silent(&self) {
        self.waiters.wake_all();
        if self.settings.streaming {
            let reader = self.ledger.lock().reader();
            if let Some(reader) = reader {
                reader.wake();
            }
        }
        if let Some(parent) = &self.parent {
            parent.link.release();
        }
    }

    /// Asks for a place; `None` when it was given at once or the asker now waits, the asker itself when the group takes none.
    pub(crate) fn queue(self: &Arc<Self>, who: Queued) -> Option<Queued> {
        let Some(places) = &self.places else {
            who.start(self.runtime());
            return None;
        };
        match places.enter(who, false) {
            Entry::Now(who) => {
                let started = who.start(self.runtime());
                debug_assert!(started, "a task does not give up its turn");
                None
            }
            Entry::Later(_) => None,
            Entry::Closed(who) | Entry::Deadlock(who) => Some(who),
        }
    }

    /// Gives a place back and starts whoever is next.
    pub(crate) fn give_place(self: &Arc<Self>) {
        if let Some(places) = &self.places {
            places.give_back(&mut |who| who.start(self.runtime()));
        }
    }

    pub(crate) fn resize(self: &Arc<Self>, limit: usize) {
        if let Some(places) = &self.places {
            places.resize(limit, &mut |who| who.start(self.runtime()));
        }
    }

    /// Whether this thread is polling a task that the end of this group has to wait for.
    pub(crate) fn is_awaited_from_inside(&self) -> bool {
        Inside::group().is_some_and(|group| self.contains(group))
    }

    /// The verdict, once nobody lives and nobody can come.
    pub(crate) fn settle(&self, closed: Seen) -> Result<Vec<T>, GroupError<E>> {
        // ORDERING: Relaxed; `close_if_empty` has seen every task leave, and what each did before that.
        let cancelled = self.cancelled.load(Ordering::Relaxed);
        let (verdict, valued) = {
            let mut ledger = self.ledger.lock();
            (ledger.settle(cancelled), ledger.valued(closed.admitted(), cancelled))
        };
        let values = verdict?;
        if self.counts_only() {
            return Ok((0..valued).map(|_| unit()).collect());
        }
        Ok(values.into_iter().map(|(_, value)| value).collect())
    }
}

/// The one value of `()`, by the name of `T`. Only called where `T` is `()`.
fn unit<T: 'static>() -> T {
    let unit: Box<dyn Any> = Box::new(());
    *unit.downcast().expect("values are only counted where they are `()`")
}
