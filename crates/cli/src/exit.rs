//! Exit codes, for scripts.

/// All went well.
pub(crate) const OK: u8 = 0;
/// A task failed.
pub(crate) const FAILED: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// The workflow file is wrong; nothing was started.
pub(crate) const INVALID: u8 = 3;
/// The run took longer than `limits.timeout`.
pub(crate) const TIMED_OUT: u8 = 4;
/// A broken invariant of ours.
pub(crate) const INTERNAL: u8 = 70;
/// The run's files cannot be written.
pub(crate) const IO: u8 = 74;
/// Ended by SIGHUP.
pub(crate) const HUNG_UP: u8 = 129;
/// Interrupted by Ctrl-C; 128 plus the number of the signal, as shells do.
pub(crate) const INTERRUPTED: u8 = 130;
/// Ended by SIGTERM.
pub(crate) const TERMINATED: u8 = 143;
