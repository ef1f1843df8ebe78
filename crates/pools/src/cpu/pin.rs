//! Threads tied to processors.

use std::io;

/// The processors that this process may use, by number.
#[cfg(target_os = "linux")]
pub(super) fn processors() -> io::Result<Vec<usize>> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&processor| set.is_set(processor)).collect())
}

/// Ties the calling thread to a processor.
#[cfg(target_os = "linux")]
pub(super) fn tie(processor: usize) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn processors() -> io::Result<Vec<usize>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "threads are tied to processors on Linux only"))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn tie(_: usize) -> io::Result<()> {
    Ok(())
}
