//! Where the jobs of a pool are, under its one lock.
//!
//! 1. A slot is in `idle` exactly while it sleeps for want of a job; whoever queues a job takes one out and wakes it.
//! 2. A job is in `queue`, or with exactly one slot, or answered. Its sender is its only copy: it is answered once.

use std::collections::BTreeMap;
use std::time::Instant;

use super::error::StartError;
use super::quarantine::Quarantine;
use super::starts::Starts;
use super::stats::ProcessStats;
use super::ticket::Ticket;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// What was taken in is still done.
    Draining,
    /// Nothing more is done.
    Killing,
}

/// What a slot is to do.
#[derive(Debug)]
pub(super) enum Next {
    Job(Ticket),
    Sleep,
    Over,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) queue: BTreeMap<u64, Ticket>,
    pub(super) next_id: u64,
    pub(super) idle: Vec<usize>,
    pub(super) running: Vec<Vec<u64>>,
    pub(super) alive: usize,
    pub(super) starts: Starts,
    pub(super) quarantine: Quarantine,
    pub(super) stats: ProcessStats,
}

impl State {
    pub(super) fn new(slots: usize, quarantine: Quarantine) -> Self {
        Self {
            phase: Phase::Open,
            queue: BTreeMap::new(),
            next_id: 1,
            idle: Vec::new(),
            running: vec![Vec::new(); slots],
            alive: 0,
            starts: Starts::default(),
            quarantine,
            stats: ProcessStats::default(),
        }
    }

    /// Why no worker lives, once starting one has failed too often.
    pub(super) fn broken(&self) -> Option<&StartError> {
        self.starts.broken().filter(|_| self.alive == 0)
    }

    /// How many jobs a slot may hold so that as many of those that wait are left for each of the others.
    pub(super) fn share(&self, slot: usize) -> usize {
        (self.queue.len() + self.running[slot].len()).div_ceil(self.running.len())
    }

    pub(super) fn hand_over(&mut self, slot: usize, mut ticket: Ticket) -> Ticket {
        self.running[slot].push(ticket.id);
        ticket.taken = Instant::now();
        self.stats.wait.add(ticket.taken.saturating_duration_since(ticket.queued));
        ticket
    }

    /// A job left its slot.
    pub(super) fn answered(&mut self, slot: usize, ticket: &Ticket) {
        self.running[slot].retain(|&id| id != ticket.id);
        self.stats.run.add(ticket.taken.elapsed());
    }
}
