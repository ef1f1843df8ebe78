//! Brings a run's records into its store.
//!
//! Records that are to survive this process are written by whoever takes the engine's turn: that is one call of the system
//! for all ends of a turn. Records that are to survive the machine are synced by a thread of the run's own, because a sync
//! takes as long as thousands of turns: the ends wait for it, the engine does not. What comes meanwhile forms the next batch.
//! Waking a thread takes about half as long as a good disk's sync: the thread looks for a short while whether there is more
//! before it sleeps, as long as that has been worth it. And ends that nothing runs beside, as in a chain, are synced by whoever
//! takes the turn, if the disk is quick and the runtime has other workers: nobody could do anything meanwhile, and both
//! wake-ups are saved.
//!
//! Whoever writes, the thread or a turn, has the store's end in hand, and there is one.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::runtime::Handle;

use super::{Command, Link, Waste};
use crate::journal::{Batch, CommitError, Durability, Journal, Record, Store, StoreEnd, TooLarge};
use crate::machine::RunId;

/// What is done when everything is stored and the store is closed.
pub(super) type Then = Box<dyn FnOnce(Result<(), CommitError>) -> Option<Waste> + Send>;

pub(super) enum Writer {
    Here(Journal<Box<dyn Store>>),
    Thread {
        batch: Batch,
        wanted: u64,
        shared: Arc<Shared>,
        thread: Option<thread::JoinHandle<()>>,
        /// Whether a turn may wait for a sync.
        may_wait: bool,
    },
}

/// How far a commit is.
pub(super) enum Commit {
    Done,
    /// [`Command::Committed`] will tell of this one.
    UnderWay(u64),
}

/// Whether anything else runs while ends wait for their commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    Others,
}

/// The longest sync that a turn waits for, as syncs have been of late. It holds up one worker of the runtime, and the two
/// wake-ups that it saves are worth less the longer it takes.
const QUICK: Duration = Duration::from_millis(1);

pub(super) struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    /// The store's end, unless somebody writes.
    end: Option<StoreEnd<Box<dyn Store>>>,
    bytes: Vec<u8>,
    /// The last commit that was asked for, and the last one that is stored.
    wanted: u64,
    done: u64,
    /// How many ends wait for it.
    ends: usize,
    then: Option<Then>,
    is_abandoned: bool,
    pace: Pace,
}

impl Writer {
    pub(super) fn new(
        journal: Journal<Box<dyn Store>>,
        durability: Durability,
        run: RunId,
        link: &Arc<Link>,
    ) -> io::Result<Self> {
        if durability < Durability::PowerLoss {
            return Ok(Self::Here(journal));
        }
        let (batch, end) = journal.split();
        let shared = Arc::new(Shared { state: Mutex::new(State::new(end)), wake: Condvar::new() });
        let (ours, link, runtime) = (Arc::clone(&shared), Arc::clone(link), Handle::try_current());
        let workers = runtime.as_ref().map_or(0, |runtime| runtime.metrics().num_workers());
        let name = "tidegate-journal".to_owned();
        let work = move || {
            // What starts because of a commit is spawned from here.
            let _inside = runtime.as_ref().map(Handle::enter);
            write(&ours, run, &link);
        };
        let thread = Some(thread::Builder::new().name(name).spawn(work)?);
        Ok(Self::Thread { batch, wanted: 0, shared, thread, may_wait: workers > 1 })
    }

    pub(super) fn append(&mut self, record: &Record) -> Result<(), TooLarge> {
        match self {
            Self::Here(journal) => journal.append(record),
            Self::Thread { batch, .. } => batch.push(record),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Here(journal) => journal.pending() == 0,
            Self::Thread { batch, .. } => batch.is_empty(),
        }
    }

    /// Makes what was appended as durable as the run asks for; `ends` attempts wait for it. Is nothing `beside` them, the
    /// turn may wait too.
    pub(super) fn commit(&mut self, ends: usize, beside: Beside) -> Result<Commit, CommitError> {
        match self {
            Self::Here(journal) => journal.commit(Durability::ProcessCrash).map(|()| Commit::Done),
            Self::Thread { batch, wanted, shared, may_wait, .. } => {
                let mut state = shared.state.lock();
                batch.hand_over(&mut state.bytes);
                if beside == Beside::Nothing
                    && *may_wait
                    && state.pace.is_quick()
                    && state.wanted == state.done
                    && let Some(end) = state.end.take()
                {
                    return shared.commit_here(state, end, ends);
                }
                *wanted += 1;
                state.wanted = *wanted;
                state.ends += ends;
                drop(state);
                shared.wake.notify_one();
                Ok(Commit::UnderWay(*wanted))
            }
        }
    }

    /// Writes what was appended, for whoever reads the journal of a live run.
    pub(super) fn flush(&mut self) -> Result<(), CommitError> {
        match self {
            Self::Here(journal) => journal.commit(Durability::ProcessCrash),
            Self::Thread { batch, shared, .. } => {
                batch.hand_over(&mut shared.state.lock().bytes);
                shared.wake.notify_one();
                Ok(())
            }
        }
    }

    /// Stores everything, closes the store, and goes on with `then`: here and now, or in the thread.
    pub(super) fn close(mut self, then: Then) -> Option<Waste> {
        match &mut self {
            Self::Here(journal) => {
                let stored = journal.commit(Durability::ProcessCrash);
                drop(self);
                then(stored)
            }
            Self::Thread { batch, shared, thread, .. } => {
                let mut state = shared.state.lock();
                batch.hand_over(&mut state.bytes);
                state.then = Some(then);
                drop(state);
                shared.wake.notify_one();
                // It ends by itself.
                drop(thread.take());
                None
            }
        }
    }
}

impl Drop for Writer {
    /// The run was given up. What was appended is written all the same, and the store is closed when this returns.
    fn drop(&mut self) {
        match self {
            Self::Here(journal) => drop(journal.commit(Durability::ProcessCrash)),
            Self::Thread { batch, shared, thread, .. } => {
                let Some(thread) = thread.take() else { return };
                let mut state = shared.state.lock();
                batch.hand_over(&mut state.bytes);
                state.is_abandoned = true;
                drop(state);
                shared.wake.notify_one();
                // The engine may be dropped by the thread itself, after its last turn.
                if thread.thread().id() != thread::current().id() {
                    let _ = thread.join();
                }
            }
        }
    }
}

/// The thread.
fn write(shared: &Shared, run: RunId, link: &Arc<Link>) {
    let mut look = Look::new();
    let mut bytes = Vec::new();
    loop {
        look.for_work(|| shared.state.lock().has_work());
        let mut state = shared.state.lock();
        while !state.has_work() {
            shared.wake.wait(&mut state);
        }
        Pace::gather(&mut state, &shared.wake);
        // Only turns take it beside this thread, and none that brings work.
        let Some(mut end) = state.end.take() else { continue };
        bytes.clear();
        std::mem::swap(&mut bytes, &mut state.bytes);
        let (wanted, ends) = (state.wanted, std::mem::take(&mut state.ends));
        let (then, is_abandoned) = (state.then.take(), state.is_abandoned);
        let is_wanted = wanted > state.done;
        drop(state);
        let syncs = is_wanted || then.is_some();
        let began = Instant::now();
        let durability = if syncs { Durability::PowerLoss } else { Durability::ProcessCrash };
        let result = end.store(&bytes, durability);
        let took = began.elapsed();
        if then.is_some() || is_abandoned {
            // Whoever hears of the end finds the store free.
            drop(end);
        } else {
            let mut state = shared.state.lock();
            state.end = Some(end);
            state.done = wanted;
            if syncs {
                state.pace.synced(ends, took);
            }
        }
        if is_wanted || result.is_err() {
            let result = result.clone();
            let _ = link.send(Command::Committed { run, commit: wanted, result });
        }
        if let Some(then) = then {
            then(result).into_iter().for_each(Waste::discard);
            return;
        }
        if is_abandoned {
            return;
        }
    }
}

impl Shared {
    /// Syncs in the turn what there is.
    fn commit_here(
        &self,
        mut state: MutexGuard<'_, State>,
        mut end: StoreEnd<Box<dyn Store>>,
        ends: usize,
    ) -> Result<Commit, CommitError> {
        let mut bytes = std::mem::take(&mut state.bytes);
        drop(state);
        let began = Instant::now();
        let result = end.store(&bytes, Durability::PowerLoss);
        let took = began.elapsed();
        bytes.clear();
        let mut state = self.state.lock();
        state.pace.synced(ends, took);
        // Nobody adds any but the turn, which is here.
        state.bytes = bytes;
        state.end = Some(end);
        result.map(|()| Commit::Done)
    }
}

impl State {
    fn new(end: StoreEnd<Box<dyn Store>>) -> Self {
        Self {
            end: Some(end),
            bytes: Vec::new(),
            wanted: 0,
            done: 0,
            ends: 0,
            then: None,
            is_abandoned: false,
            pace: Pace::default(),
        }
    }

    fn has_work(&self) -> bool {
        let is_asked = self.wanted != self.done || self.then.is_some() || self.is_abandoned;
        self.end.is_some() && (is_asked || !self.bytes.is_empty())
    }
}

/// Looks for work instead of sleeping.
struct Look {
    /// How long; nothing on a machine with one core, where it would hold up what it looks for.
    time: Duration,
    /// How many times more it sleeps at once, because it has looked in vain.
    rest: u32,
}

impl Look {
    /// Longer than it takes to wake a worker and to run a short task.
    const TIME: Duration = Duration::from_micros(60);
    const REST: u32 = 15;

    fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self { time: if cores == 1 { Duration::ZERO } else { Self::TIME }, rest: 0 }
    }

    fn for_work(&mut self, has_work: impl Fn() -> bool) {
        if self.time.is_zero() {
            return;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        let since = Instant::now();
        while since.elapsed() < self.time {
            if has_work() {
                return;
            }
            // Each look takes the lock that whoever brings work needs.
            (0..64).for_each(|_| std::hint::spin_loop());
        }
        self.rest = Self::REST;
    }
}

/// How long the thread waits for more ends before it syncs: if it did not, the first of many ends to come would have a sync
/// of its own, and the others a second one.
#[derive(Default)]
struct Pace {
    /// How many ends the last sync was for.
    ends: usize,
    /// How long a sync takes, smoothed.
    sync: Duration,
}

impl Pace {
    /// Waits until there are as many ends as last time, but for a quarter of a sync at most. One end alone waits for nobody.
    fn gather(state: &mut MutexGuard<'_, State>, wake: &Condvar) {
        let until = Instant::now() + state.pace.sync / 4;
        while state.ends > 0
            && state.ends < state.pace.ends
            && state.then.is_none()
            && !state.is_abandoned
        {
            if wake.wait_until(state, until).timed_out() {
                return;
            }
        }
    }

    /// Whether a sync has taken so short a time of late that a turn may wait for one.
    fn is_quick(&self) -> bool {
        !self.sync.is_zero() && self.sync <= QUICK
    }

    fn synced(&mut self, ends: usize, took: Duration) {
        self.ends = ends;
        self.sync = if self.sync.is_zero() { took } else { (7 * self.sync + took) / 8 };
    }
}
