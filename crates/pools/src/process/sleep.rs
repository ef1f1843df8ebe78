//! Waiting for descriptors, until a time.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Waits for any of `fds`; an interruption is a wake-up without events.
pub(super) fn sleep_until(fds: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<()> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let left = left.map(|left| Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    });
    match poll(fds, left.as_ref()) {
        Ok(_) => Ok(()),
        Err(Errno::INTR) => {
            fds.iter_mut().for_each(PollFd::clear_revents);
            Ok(())
        }
        Err(why) => Err(why.into()),
    }
}

/// Waits for a wake-up alone.
pub(super) fn sleep(wake: &OwnedFd, most: Duration) {
    let mut fds = [PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN)];
    let _ = sleep_until(&mut fds, Some(Instant::now() + most));
}
