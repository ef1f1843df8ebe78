//! The children that have not been polled, in their order, and how many starters are on the way to poll them.
//!
//! A child that ends when it is first polled never needs a task of tokio's, which is most of what it would cost. So children
//! line up here, and a few tasks, the starters, poll each once; see [`Starter`](crate::starter). One that comes while nobody
//! is in line, and after one that had to wait, will probably wait too, and is not put in.
//!
//! Any poll may block its thread, rightly (`block_in_place`) or not, and the next in line may be what it waits for. Therefore:
//!
//! 1. While somebody is in line, a spare starter is scheduled where any worker may take it, or an active one is between two
//!    children. Whoever breaks this, by putting in or by taking out, is told to send a spare.
//! 2. One that is alone in line is left to a starter that its own worker runs next, as tokio does with a task spawned alone.
//!
//! ```text
//!   sent ──► active ──► resting (a spare) ──► active ──► … ──► gone: nobody in line
//! ```

use std::collections::VecDeque;
use std::mem;

use crate::sync::{AtomicBool, Mutex, Ordering};

/// A line longer than this is given back when it is empty.
const KEPT: usize = 64;

/// The line, and the count of spares, behind one lock.
#[derive(Debug)]
pub struct Newcomers<C> {
    line: Mutex<Line<C>>,
    /// Whether a child had to wait, and none has ended at once since that was not in line.
    waits: AtomicBool,
}

#[derive(Debug)]
struct Line<C> {
    children: VecDeque<C>,
    spares: usize,
    closed: bool,
}

/// Who has to be sent to the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "nobody else sends it"]
pub enum Sent {
    /// Nobody.
    Nobody,
    /// A starter that may wait until its worker is free.
    Next,
    /// A starter that any worker may run.
    Spare,
}

impl<C> Default for Newcomers<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Newcomers<C> {
    /// Nobody in line.
    pub fn new() -> Self {
        let children = VecDeque::new();
        let line = Mutex::new(Line { children, spares: 0, closed: false });
        Self { line, waits: AtomicBool::new(false) }
    }

    /// Whether a child that comes now is better off without the line, of which it would be the only one.
    pub fn is_to_wait(&self) -> bool {
        // ORDERING: Relaxed; a guess, which guards nothing.
        self.waits.load(Ordering::Relaxed) && self.line.lock().children.is_empty()
    }

    /// What is to be expected of the next child.
    pub fn expect(&self, waits: bool) {
        // ORDERING: Relaxed; see `is_to_wait`.
        self.waits.store(waits, Ordering::Relaxed);
    }

    /// Puts one at the end of the line.
    ///
    /// # Errors
    /// The child itself, when the line was closed.
    pub fn put(&self, child: C) -> Result<Sent, C> {
        let mut line = self.line.lock();
        if line.closed {
            return Err(child);
        }
        line.children.push_back(child);
        if line.spares == 0 && line.children.len() == 1 {
            return Ok(Sent::Next);
        }
        Ok(line.spare(2))
    }

    /// A starter that was sent as this, or that rested, becomes active.
    pub fn begin(&self, sent: Sent) {
        if sent == Sent::Spare {
            self.line.lock().spares -= 1;
        }
    }

    /// An active starter takes the next in line, which it will poll; or ends, when there is none.
    pub fn take(&self) -> Option<(C, Sent)> {
        let mut line = self.line.lock();
        let Some(child) = line.children.pop_front() else {
            let unused = (line.children.capacity() > KEPT).then(|| mem::take(&mut line.children));
            drop(line);
            drop(unused);
            return None;
        };
        let send = line.spare(1);
        Some((child, send))
    }

    /// An active starter rests, and so is a spare.
    pub fn rest(&self) {
        self.line.lock().spares += 1;
    }

    /// Takes nobody any more; who was in line.
    pub fn close(&self) -> VecDeque<C> {
        let mut line = self.line.lock();
        line.closed = true;
        mem::take(&mut line.children)
    }
}

impl<C> Line<C> {
    /// Whether so many in line need a spare and have none.
    fn spare(&mut self, from: usize) -> Sent {
        if self.spares != 0 || self.children.len() < from {
            return Sent::Nobody;
        }
        self.spares = 1;
        Sent::Spare
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
