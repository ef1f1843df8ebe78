//! A slot: one thread that keeps one worker alive and gives it jobs.
//!
//! ```text
//!           start fails: back off            job             answer
//!          .--------------.            .-------------.  .--------------.
//!          v              |            |             v  |              |
//!   [no worker] --------> + ------> [idle] -------> [busy] <-----------'
//!       ^       hello               |  ^              |  timeout, cancelled:
//!       |                           |  `--------------+- told, grace, answer after all
//!       `---------------------------'-----------------'  or killed
//!                     the worker died
//! ```
//!
//! The thread lives as long as its worker, as the worker's parent-death signal wants it, and it never blocks but in
//! `poll`, on the socket both ways at once: whatever the sizes, neither side waits for the other to read.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::child::Child;
use super::error::StartError;
use super::pulse::Pulse;
use super::shared::Shared;
use super::sleep::sleep;
use super::state::{Next, Phase};
use super::ticket::Ticket;

mod service;

/// How long after a failed start of a replacement the next is tried.
const REPLACEMENT_PAUSE: Duration = Duration::from_secs(1);

/// One worker's place in the pool.
pub(super) struct Slot {
    pool: Arc<Shared>,
    index: usize,
    child: Option<Child>,
    /// The replacement of `child`, until it says hello.
    spare: Option<Child>,
    no_spare_before: Option<Instant>,
    /// What the worker has, in the order in which it answers.
    flight: VecDeque<Ticket>,
}

/// Counts a slot out when it is dropped.
struct Ending(watch::Sender<Pulse>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.send_modify(|pulse| pulse.slots -= 1);
    }
}

impl Slot {
    pub(super) fn new(pool: Arc<Shared>, index: usize) -> Self {
        let flight = VecDeque::new();
        Self { pool, index, child: None, spare: None, no_spare_before: None, flight }
    }

    /// The thread. When it is over, even by a panic, the pool is told, after all that it held is gone.
    pub(super) fn run(self) {
        let _ending = Ending(self.pool.pulse.clone());
        self.work();
    }

    fn work(mut self) {
        while !self.pool.is_over() {
            if self.child.is_none() && !self.start() {
                continue;
            }
            self.recycle();
            match self.pool.take(self.index) {
                Next::Job(ticket) => self.serve(ticket),
                Next::Sleep => self.idle(),
                Next::Over => break,
            }
        }
        if let Some(child) = self.child.take() {
            if self.pool.phase() == Phase::Draining {
                child.retire();
            } else {
                drop(child);
            }
            self.pool.alive(-1);
        }
    }

    /// Starts a worker and waits for its hello; `false` when there is none yet.
    fn start(&mut self) -> bool {
        if let Err(wait) = self.pool.with(|state| state.starts.may_start(Instant::now())) {
            self.sleep(wait);
            return false;
        }
        match self.start_and_greet() {
            Ok(Some(child)) => {
                self.child = Some(child);
                self.pool.alive(1);
                true
            }
            Ok(None) => false,
            Err(error) => {
                self.pool.start_failed(error, jitter());
                false
            }
        }
    }

    /// `None` when the pool was closed meanwhile.
    fn start_and_greet(&self) -> Result<Option<Child>, StartError> {
        let mut child = self.spawn()?;
        let until = Instant::now() + self.pool.settings.start_timeout;
        loop {
            let ready = child.wait(self.pool.wake_of(self.index), None, Some(until));
            let ready = ready.map_err(|why| StartError::System(why.to_string()))?;
            if ready.stderr {
                child.read_stderr();
            }
            if ready.socket && child.greet(&self.pool.spec.hello)? {
                return Ok(Some(child));
            }
            if ready.gone {
                return Err(child.ended_early());
            }
            if ready.wake {
                self.pool.clear_wake(self.index);
                if self.pool.phase() == Phase::Killing {
                    return Ok(None);
                }
            }
            if until <= Instant::now() {
                return Err(StartError::NoHello);
            }
        }
    }

    fn spawn(&self) -> Result<Child, StartError> {
        let start = Instant::now();
        let child = Child::spawn(&self.pool.spec);
        self.pool.with(|state| state.stats.spawn.add(start.elapsed()));
        child.map_err(|why| StartError::System(why.to_string()))
    }

    fn sleep(&self, most: Duration) {
        sleep(self.pool.wake_of(self.index), most);
        self.pool.clear_wake(self.index);
    }

    /// Waits for a job, and looks after the worker meanwhile.
    fn idle(&mut self) {
        let Some(child) = &mut self.child else { return };
        let settings = &self.pool.settings;
        let until = match (&self.spare, settings.max_age) {
            (Some(spare), _) => Some(spare.since + settings.start_timeout),
            (None, Some(age)) => {
                Some((child.since + age).max(self.no_spare_before.unwrap_or(child.since)))
            }
            (None, None) => None,
        };
        let wake = self.pool.wake_of(self.index);
        let Ok(ready) = child.wait(wake, self.spare.as_ref(), until) else { return };
        if ready.wake {
            self.pool.clear_wake(self.index);
        }
        if ready.stderr {
            child.read_stderr();
        }
        // An idle worker has nothing to say: bytes are as bad as an end.
        if ready.socket || ready.gone {
            let young = child.jobs == 0;
            let death = child.end();
            let stderr = child.tail.text();
            self.child = None;
            self.pool.alive(-1);
            if young {
                self.pool.start_failed(StartError::EndedEarly { death, stderr }, jitter());
            }
        }
    }

    /// Starts a replacement when the worker has done its share, and puts it in place once it is ready. Until then the
    /// old one goes on.
    fn recycle(&mut self) {
        let Some(child) = &self.child else { return };
        let now = Instant::now();
        let settings = &self.pool.settings;
        if let Some(spare) = &mut self.spare {
            let late = spare.since + settings.start_timeout <= now;
            match spare.greet(&self.pool.spec.hello) {
                Ok(true) => {
                    let spare = self.spare.take();
                    if let Some(old) = std::mem::replace(&mut self.child, spare) {
                        self.pool.alive(1);
                        old.retire();
                        self.pool.alive(-1);
                        self.pool.with(|state| state.stats.recycled += 1);
                    }
                }
                Ok(false) if !late => {}
                Ok(false) | Err(_) => self.give_up_spare(now),
            }
            return;
        }
        let due = settings.max_jobs.is_some_and(|most| most <= child.jobs)
            || settings.max_age.is_some_and(|most| most <= child.since.elapsed())
            || settings
                .max_resident
                .is_some_and(|most| child.resident_bytes().is_some_and(|bytes| most < bytes));
        if due && self.no_spare_before.is_none_or(|at| at <= now) {
            match self.spawn() {
                Ok(spare) => self.spare = Some(spare),
                Err(_) => self.give_up_spare(now),
            }
        }
    }

    fn give_up_spare(&mut self, now: Instant) {
        self.spare = None;
        self.no_spare_before = Some(now + REPLACEMENT_PAUSE);
        self.pool.with(|state| state.stats.start_failures += 1);
    }
}

/// Between 0 and 1, anew each time.
fn jitter() -> f64 {
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}
