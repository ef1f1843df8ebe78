//! A slot at work: what is said to a worker that has jobs, and what becomes of them.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Slot;
use crate::process::child::Child;
use crate::process::codec;
use crate::process::death::Death;
use crate::process::frame::{Frame, Kind, frame};
use crate::process::refusal::Refusal;
use crate::process::state::Phase;
use crate::process::stats::ProcessStats;
use crate::process::ticket::{Outcome, Ticket};

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
    /// Gives the worker a job, and more if they may share it, and sees them through.
    pub(super) fn serve(&mut self, ticket: Ticket) {
        let Some(mut child) = self.child.take() else {
            self.pool.put_back(self.index, vec![ticket]);
            return;
        };
        child.tail.clear();
        let end = self.converse(&mut child, ticket);
        match end {
            Ok(End::Answered) => self.child = Some(child),
            Ok(End::Lost(verdict)) => self.bury(child, verdict),
            Ok(End::Kill) => {
                self.put_back_flight();
                drop(child);
                self.pool.alive(-1);
            }
            Err(why) => self.bury(child, Some(format!("poll: {why}"))),
        }
    }

    fn converse(&mut self, child: &mut Child, first: Ticket) -> io::Result<End> {
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
                if self.flight.iter().all(Ticket::is_dropped)
                    && let Some(head) = self.flight.front()
                {
                    told = Some(Instant::now() + head.grace);
                    let count = self.flight.len();
                    self.flight.iter_mut().for_each(|ticket| ticket.reply = None);
                    self.pool.with(|state| state.stats.cancelled += count as u64);
                    child.push(&Arc::new(frame(Kind::Cancel, 0, &[])));
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
                        child.push(&Arc::new(frame(Kind::Cancel, 0, &[])));
                    } else {
                        child.kill(); // Whoever is told finds it ended.
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
                let refusal = codec::decode(frame.payload())
                    .unwrap_or_else(|why| Refusal::Output(format!("its refusal: {why}")));
                (Outcome::Refused(refusal), |stats| &mut stats.refused)
            }
            kind => return Err(format!("it sent a frame of kind {kind:?} for an answer")),
        };
        let Some(mut ticket) = self.flight.pop_front() else { return Ok(()) };
        let reply = ticket.reply.take();
        self.pool.with(|state| {
            state.answered(self.index, &ticket);
            match &reply {
                Some(reply) if reply.is_closed() => state.stats.cancelled += 1,
                Some(_) => *count(&mut state.stats) += 1,
                None => {} // Its end was told and counted before.
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
        let death = match verdict {
            Some(what) => Some(Death::BrokeProtocol(what)),
            // Its last descriptor is closed a little before the process is gone.
            None => child.wait_gone(Duration::from_millis(500)),
        };
        let closed = || Death::BrokeProtocol("it closed the pool's socket".to_owned());
        let death = death.unwrap_or_else(closed);
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
        let (again, gone): (Vec<_>, Vec<_>) = self.flight.drain(..).partition(|ticket| {
            ticket.idempotent && ticket.reply.is_some() && !ticket.is_dropped()
        });
        self.pool.with(|state| {
            for ticket in &gone {
                state.answered(self.index, ticket);
                match &ticket.reply {
                    Some(reply) if reply.is_closed() => state.stats.cancelled += 1,
                    Some(_) => state.stats.given_up += 1,
                    None => {} // Its end was told and counted before.
                }
            }
        });
        drop(gone);
        if !again.is_empty() {
            let again = again.into_iter().map(|ticket| Ticket { alone: true, ..ticket });
            self.pool.put_back(self.index, again.collect());
        }
    }
}

fn send(reply: Option<oneshot::Sender<Outcome>>, outcome: Outcome) {
    if let Some(reply) = reply {
        // A caller who no longer waits has seen to it.
        let _ = reply.send(outcome);
    }
}
