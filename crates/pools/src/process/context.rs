//! What a function can ask while it runs.

use std::cell::Cell;
use std::fmt;
use std::os::fd::OwnedFd;

use rustix::net::{RecvFlags, recv};

use super::frame;

/// How far a running job looks ahead for its cancellation; further jobs may have come before it.
const AHEAD: usize = 2048;

/// What a running function is given beside its input.
pub struct Context<'w> {
    socket: &'w OwnedFd,
    job: u64,
    cancelled: Cell<bool>,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("job", &self.job).finish_non_exhaustive()
    }
}

impl<'w> Context<'w> {
    pub(super) fn new(socket: &'w OwnedFd, job: u64, cancelled: bool) -> Self {
        Self { socket, job, cancelled: Cell::new(cancelled) }
    }

    /// The number of this job within its pool.
    pub fn job(&self) -> u64 {
        self.job
    }

    /// Whether nobody waits for the job any more: its timeout passed or its future was dropped. A job that returns now
    /// keeps its worker; one that runs on past its grace is killed. Costs one system call.
    pub fn is_cancelled(&self) -> bool {
        if !self.cancelled.get() {
            let mut ahead = [0; AHEAD];
            let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            let told = match recv(self.socket, &mut ahead[..], flags) {
                Ok((_, len)) => frame::cancellations(&ahead[..len]),
                Err(_) => 0,
            };
            self.cancelled.set(0 < told);
        }
        self.cancelled.get()
    }
}
