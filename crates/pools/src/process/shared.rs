//! What callers and slots share: the state behind one lock, and who is woken when it changes.
//!
//! Wake-ups, answers and drops of jobs happen after the lock.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::{read, write};
use tokio::sync::{Semaphore, watch};

use super::buffers::Buffers;
use super::error::{StartError, SubmitError};
use super::frame;
use super::pulse::Pulse;
use super::quarantine::Quarantine;
use super::spec::Spec;
use super::state::{Next, Phase, State};
use super::stats::ProcessStats;
use super::ticket::{Outcome, Ticket};

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) in_flight: usize,
    pub(super) start_timeout: Duration,
    pub(super) max_jobs: Option<u64>,
    pub(super) max_age: Option<Duration>,
    pub(super) max_resident: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) spec: Spec,
    pub(super) settings: Settings,
    pub(super) buffers: Buffers,
    pub(super) places: Arc<Semaphore>,
    pub(super) pulse: watch::Sender<Pulse>,
    wakes: Vec<OwnedFd>,
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(
        spec: Spec,
        settings: Settings,
        places: usize,
        quarantine: Quarantine,
        wakes: Vec<OwnedFd>,
    ) -> Self {
        let state = State::new(wakes.len(), quarantine);
        Self {
            spec,
            settings,
            buffers: Buffers::default(),
            places: Arc::new(Semaphore::new(places)),
            pulse: watch::Sender::new(Pulse { slots: wakes.len(), ..Pulse::default() }),
            wakes,
            state: Mutex::new(state),
        }
    }

    /// Runs `change` under the lock; it must neither wake nor drop foreign values.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock())
    }

    pub(super) fn wake_of(&self, slot: usize) -> &OwnedFd {
        &self.wakes[slot]
    }

    fn wake(&self, slot: usize) {
        // It fails only when the counter is full, and then the slot wakes anyway.
        let _ = write(&self.wakes[slot], &1_u64.to_ne_bytes());
    }

    fn wake_all(&self) {
        (0..self.wakes.len()).for_each(|slot| self.wake(slot));
    }

    /// Takes back a wake-up that was seen.
    pub(super) fn clear_wake(&self, slot: usize) {
        let _ = read(&self.wakes[slot], &mut [0_u8; 8][..]);
    }

    /// Whether a call would be turned away at once.
    pub(super) fn check(&self, payload: &[u8]) -> Result<(), SubmitError> {
        self.with(|state| {
            if let Some(error) = state.broken() {
                return Err(SubmitError::NoWorker(error.clone()));
            }
            if let Some(deaths) = state.quarantine.keeps_out(payload, Instant::now()) {
                state.stats.poisoned += 1;
                return Err(SubmitError::Poisoned(deaths));
            }
            Ok(())
        })
    }

    /// Queues a job whose number is not known yet; gives the number.
    pub(super) fn submit(&self, mut call: Vec<u8>, ticket: Ticket) -> Result<u64, SubmitError> {
        let mut slot = None;
        let id = self.with(|state| {
            if state.phase != Phase::Open {
                return Err(SubmitError::Closed);
            }
            let id = state.next_id;
            state.next_id += 1;
            frame::address(&mut call, id);
            state.queue.insert(id, Ticket { id, call: Arc::new(call), ..ticket });
            state.stats.submitted += 1;
            slot = state.idle.pop();
            Ok(id)
        })?;
        if let Some(slot) = slot {
            self.wake(slot);
        }
        Ok(id)
    }

    /// Nobody waits for that job any more.
    pub(super) fn cancel(&self, id: u64) {
        let (ticket, slot) = self.with(|state| {
            let ticket = state.queue.remove(&id);
            state.stats.cancelled += u64::from(ticket.is_some());
            let slot = state.running.iter().position(|ids| ids.contains(&id));
            (ticket, slot)
        });
        drop(ticket);
        if let Some(slot) = slot {
            self.wake(slot);
        }
    }

    /// What that slot is to do next. One lock decides it: a slot is told to sleep only if whoever changes anything
    /// later wakes it.
    pub(super) fn take(&self, slot: usize) -> Next {
        let mut next = self.with(|state| {
            state.idle.retain(|&idle| idle != slot);
            match state.queue.pop_first() {
                Some((_, ticket)) => Next::Job(state.hand_over(slot, ticket)),
                None if state.phase != Phase::Open => Next::Over,
                None => {
                    state.idle.push(slot);
                    Next::Sleep
                }
            }
        });
        if let Next::Job(ticket) = &mut next {
            ticket.place = None;
        }
        next
    }

    /// One more job for a slot that has some, if the next one may share a worker and the slot has not its share.
    pub(super) fn take_more(&self, slot: usize) -> Option<Ticket> {
        let mut ticket = self.with(|state| {
            if state.running[slot].len() >= state.share(slot) {
                return None;
            }
            let first = state.queue.first_entry().filter(|first| first.get().shares())?;
            let ticket = first.remove();
            Some(state.hand_over(slot, ticket))
        })?;
        ticket.place = None;
        Some(ticket)
    }

    /// Puts jobs that a slot had back to where they came from, for other workers; nobody takes them out of a pool that is killed.
    pub(super) fn put_back(&self, slot: usize, tickets: Vec<Ticket>) {
        let given_up = self.with(|state| {
            state.running[slot].retain(|id| tickets.iter().all(|ticket| ticket.id != *id));
            if state.phase == Phase::Killing {
                state.stats.given_up += tickets.len() as u64;
                return tickets;
            }
            state.stats.requeued += tickets.len() as u64;
            state.queue.extend(tickets.into_iter().map(|ticket| (ticket.id, ticket)));
            Vec::new()
        });
        drop(given_up);
        self.wake_all();
    }

    /// A job killed its worker.
    pub(super) fn blame(&self, ticket: &Ticket) {
        self.with(|state| state.quarantine.record(ticket.payload(), Instant::now()));
    }

    pub(super) fn phase(&self) -> Phase {
        self.with(|state| state.phase)
    }

    /// Whether a slot has nothing more to do, ever.
    pub(super) fn is_over(&self) -> bool {
        self.with(|state| match state.phase {
            Phase::Open => false,
            Phase::Draining => state.queue.is_empty(),
            Phase::Killing => true,
        })
    }

    /// A worker said hello (+1) or is gone (-1).
    pub(super) fn alive(&self, change: isize) {
        self.with(|state| {
            state.alive = state.alive.saturating_add_signed(change);
            if 0 < change {
                state.starts.succeeded();
                state.stats.started += 1;
            }
        });
        self.tell();
    }

    /// A worker did not start. Once that happened too often and no worker lives, no job waits for one.
    pub(super) fn start_failed(&self, error: StartError, jitter: f64) {
        let turned_away = self.with(|state| {
            state.starts.failed(Instant::now(), jitter, error);
            state.stats.start_failures += 1;
            let broken = state.broken()?.clone();
            state.stats.given_up += state.queue.len() as u64;
            Some((std::mem::take(&mut state.queue), broken))
        });
        self.tell();
        let Some((turned_away, broken)) = turned_away else { return };
        for mut ticket in turned_away.into_values() {
            if let Some(reply) = ticket.reply.take() {
                let _ = reply.send(Outcome::Rejected(SubmitError::NoWorker(broken.clone())));
            }
        }
    }

    /// Tells how the workers are. The state is looked at while others who tell have to wait: of several that change it at
    /// once, the last to tell has seen what all of them did.
    fn tell(&self) {
        self.pulse.send_modify(|pulse| {
            (pulse.alive, pulse.broken) =
                self.with(|state| (state.alive, state.starts.broken().cloned()));
        });
    }

    /// Takes nothing more in.
    pub(super) fn close(&self, phase: Phase) {
        let dropped = self.with(|state| {
            if state.phase != Phase::Killing {
                state.phase = phase;
            }
            match phase {
                Phase::Killing => {
                    state.stats.given_up += state.queue.len() as u64;
                    std::mem::take(&mut state.queue)
                }
                _ => BTreeMap::new(),
            }
        });
        drop(dropped);
        self.places.close();
        self.wake_all();
    }

    pub(super) fn stats(&self) -> ProcessStats {
        self.with(|state| ProcessStats {
            workers: state.alive,
            idle: state.idle.len(),
            queued: state.queue.len(),
            running: state.running.iter().map(Vec::len).sum(),
            ..state.stats.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::hello::Hello;
    use super::*;

    /// Of a pool without slots.
    fn shared() -> Shared {
        let spec = Spec {
            executable: None,
            env: Vec::new(),
            clear_env: false,
            stdout: Default::default(),
            limits: Default::default(),
            max_frame: 0,
            hello: Hello { build: String::new(), functions: Vec::new() },
        };
        let settings = Settings {
            in_flight: 1,
            start_timeout: Duration::MAX,
            max_jobs: None,
            max_age: None,
            max_resident: None,
        };
        Shared::new(spec, settings, 1, Quarantine::new(0, Duration::ZERO), Vec::new())
    }

    #[test]
    fn workers_that_say_hello_at_once_are_all_told_of() {
        for _ in 0..32 {
            let shared = shared();
            let pulse = shared.pulse.subscribe();
            std::thread::scope(|scope| {
                // Nobody can tell anything while somebody reads.
                let reads = pulse.borrow();
                for _ in 0..4 {
                    scope.spawn(|| shared.alive(1));
                }
                while shared.stats().workers < 4 {
                    std::thread::yield_now();
                }
                drop(reads);
            });
            assert_eq!(pulse.borrow().alive, 4);
        }
    }
}
