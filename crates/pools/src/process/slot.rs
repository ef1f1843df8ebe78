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

use super::child::{Child, sleep};
use super::error::StartError;
use super::frame::{Frame, Kind, frame};
use super::refusal::Refusal;
use super::shared::{Next, Outcome, Phase, Pulse, Shared, Ticket};
use super::stats::ProcessStats;

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

/// How a conversation with the worker ended.
enum End {
    /// Every job is answered; the worker waits for the next.
    Answered,
    /// The worker is gone or unusable; why, if it is our verdict and not its death.
    Lost(Option<String>),
    /// We want it gone.
    Kill,
}

impl Slot {
    pub(super) fn new(pool: Arc<Shared>, index: usize) -> Self {
        let flight = VecDeque::new();
        Self { pool, index, child: None, spare: None, no_spare_before: None, flight }
    }

    /// The thread. When it is over, even by a panic, the pool is told, after all that it held is gone.
    pub(super) fn run(self) {
        let _ending = Ending(self.pool.pulse.clone());
        let slot = self;
        slot.work();
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
            Ok(None) => {
                self.pool.with(|state| state.starts.abandoned());
                false
            }
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
            if (ready.socket || ready.gone) && child.greet(&self.pool.spec.hello)? {
                return Ok(Some(child));
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

    /// Gives the worker a job, and more if they may share it, and sees them through.
    fn serve(&mut self, ticket: Ticket) {
        let Some(mut child) = self.child.take() else {
            self.pool.put_back(vec![ticket]);
            return;
        };
        child.tail.clear();
        let end = self.converse(&mut child, ticket);
        match end {
            Ok(End::Answered) => self.child = Some(child),
            Ok(End::Lost(verdict)) => self.bury(child, verdict),
            Ok(End::Kill) => {
                child.kill();
                self.put_back_flight();
                drop(child);
                self.pool.alive(-1);
            }
            Err(why) => self.bury(child, Some(format!("poll: {why}"))),
        }
    }

    fn converse(&mut self, child: &mut Child, first: Ticket) -> std::io::Result<End> {
        let mut head_since = first.taken;
        let mut told: Option<Instant> = None;
        let share = first.shares();
        self.launch(child, first);
        loop {
            while share && told.is_none() && self.flight.len() < self.pool.settings.in_flight {
                let Some(more) = self.pool.take_more(self.index) else { break };
                self.launch(child, more);
            }
            child.flush();
            let Some(head) = self.flight.front() else { return Ok(End::Answered) };
            let deadline = told.or_else(|| Some(head_since + head.timeout?));
            let ready = child.wait(self.pool.wake_of(self.index), None, deadline)?;
            if ready.stderr {
                child.read_stderr();
            }
            if ready.socket {
                let open = child.receive();
                loop {
                    match child.next() {
                        Ok(Some(frame)) => {
                            if let Err(why) = self.answer(frame) {
                                return Ok(End::Lost(Some(why)));
                            }
                            child.provide(|| self.pool.buffers.take());
                            child.jobs += 1;
                            head_since = Instant::now();
                        }
                        Ok(None) => break,
                        Err(why) => return Ok(End::Lost(Some(why.to_string()))),
                    }
                }
                if !open {
                    return Ok(End::Lost(child.cut_short()));
                }
            } else if ready.gone {
                return Ok(End::Lost(child.cut_short()));
            }
            if ready.wake {
                self.pool.clear_wake(self.index);
                if self.pool.phase() == Phase::Killing {
                    return Ok(End::Kill);
                }
                if told.is_none()
                    && self.flight.iter().all(Ticket::is_dropped)
                    && let Some(head) = self.flight.front()
                {
                    told = Some(Instant::now() + head.grace);
                    let (id, count) = (head.id, self.flight.len());
                    self.pool.with(|state| state.stats.cancelled += count as u64);
                    child.push(&Arc::new(frame(Kind::Cancel, id, &[])));
                }
            }
            let alone = self.flight.len() == 1;
            let Some(head) = self.flight.front_mut() else { continue };
            let deadline = told.or_else(|| Some(head_since + head.timeout?));
            if deadline.is_none_or(|at| Instant::now() < at) {
                continue;
            }
            match head.timeout {
                Some(after) if alone && told.is_none() => {
                    let polite = !head.grace.is_zero();
                    if polite {
                        told = Some(Instant::now() + head.grace);
                        child.push(&Arc::new(frame(Kind::Cancel, head.id, &[])));
                    } else {
                        child.kill();
                    }
                    child.read_stderr();
                    self.pool.with(|state| state.stats.timed_out += 1);
                    let stderr = child.tail.text();
                    send(head.reply.take(), Outcome::TimedOut { after, stderr });
                    if !polite {
                        return Ok(End::Kill);
                    }
                }
                // Several jobs are with the worker: each gets its own time, alone, with another.
                _ => return Ok(End::Kill),
            }
        }
    }

    fn launch(&mut self, child: &mut Child, ticket: Ticket) {
        child.push(&ticket.call);
        self.flight.push_back(ticket);
    }

    /// Hands a frame to whoever waits for it.
    fn answer(&mut self, frame: Frame) -> Result<(), String> {
        let expected = self.flight.front().map(|head| head.id);
        if expected != Some(frame.job) {
            return Err(format!("it answered job {}, which it does not have", frame.job));
        }
        let text = |frame: &Frame| String::from_utf8_lossy(frame.payload()).into_owned();
        type Count = fn(&mut ProcessStats) -> &mut u64;
        let (outcome, count): (_, Count) = match frame.kind {
            Kind::Done => (Outcome::Done(frame), |stats| &mut stats.done),
            Kind::Failed => (Outcome::Failed(frame), |stats| &mut stats.failed),
            Kind::Panicked => (Outcome::Panicked(text(&frame)), |stats| &mut stats.panicked),
            Kind::Refused => {
                let refusal = super::codec::decode(frame.payload())
                    .unwrap_or_else(|why| Refusal::Output(format!("its refusal: {why}")));
                (Outcome::Refused(refusal), |stats| &mut stats.refused)
            }
            kind => return Err(format!("it sent a frame of kind {kind:?} for an answer")),
        };
        let Some(mut ticket) = self.flight.pop_front() else { return Ok(()) };
        let reply = ticket.reply.take();
        let wanted = reply.as_ref().is_some_and(|reply| !reply.is_closed());
        self.pool.with(|state| {
            state.answered(self.index, &ticket);
            if wanted {
                *count(&mut state.stats) += 1;
            }
        });
        send(reply, outcome);
        if let Some(call) = Arc::into_inner(ticket.call) {
            self.pool.buffers.give(call);
        }
        Ok(())
    }

    /// The worker died, or must, with jobs: tells them how.
    fn bury(&mut self, mut child: Child, verdict: Option<String>) {
        if verdict.is_some() {
            child.kill();
        }
        // Its last descriptor is closed a little before the process is gone.
        let death = child.wait_gone(Duration::from_millis(500));
        let death = match (verdict, death) {
            (Some(what), _) => super::death::Death::BrokeProtocol(what),
            (None, Some(death)) => death,
            (None, None) => {
                super::death::Death::BrokeProtocol("it closed the pool's socket".to_owned())
            }
        };
        child.end();
        let stderr = child.tail.text();
        if self.flight.len() == 1 {
            if let Some(mut ticket) = self.flight.pop_front() {
                self.pool.blame(&ticket);
                let reply = ticket.reply.take();
                self.pool.with(|state| {
                    state.answered(self.index, &ticket);
                    state.stats.died += u64::from(reply.is_some());
                });
                send(reply, Outcome::Died { death, stderr });
            }
        } else {
            self.put_back_flight();
        }
        drop(child);
        self.pool.alive(-1);
    }

    /// Idempotent jobs whose worker went are run again, each alone; others are forgotten, as nobody waits for them.
    fn put_back_flight(&mut self) {
        let flight: Vec<Ticket> = self.flight.drain(..).collect();
        let killing = self.pool.phase() == Phase::Killing;
        let (again, gone): (Vec<_>, Vec<_>) = flight.into_iter().partition(|ticket| {
            !killing && ticket.idempotent && ticket.reply.is_some() && !ticket.is_dropped()
        });
        self.pool.with(|state| gone.iter().for_each(|ticket| state.answered(self.index, ticket)));
        drop(gone);
        if !again.is_empty() {
            self.pool.put_back(
                again.into_iter().map(|ticket| Ticket { alone: true, ..ticket }).collect(),
            );
        }
    }
}

fn send(reply: Option<tokio::sync::oneshot::Sender<Outcome>>, outcome: Outcome) {
    if let Some(reply) = reply {
        // A caller who no longer waits has seen to it.
        let _ = reply.send(outcome);
    }
}

/// Between 0 and 1, anew each time.
fn jitter() -> f64 {
    (RandomState::new().hash_one(0) >> 11) as f64 / (1_u64 << 53) as f64
}
