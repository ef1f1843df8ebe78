//! How a worker died, told from its exit status, its last words and its limits.

use std::fmt;
#[cfg(target_os = "linux")]
use std::os::unix::process::ExitStatusExt as _;
#[cfg(target_os = "linux")]
use std::process::ExitStatus;
use std::time::Duration;

#[cfg(target_os = "linux")]
use super::limits::Limits;

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

/// How a worker process died.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Death {
    /// It called `exit` (or returned from another `main`) with this code.
    Exited(i32),
    /// A signal ended it: 11 is a segmentation fault, 6 an abort, 9 a kill from outside (the kernel's out-of-memory
    /// killer uses it, too).
    Signal(i32),
    /// An allocation failed at the memory limit, in bytes.
    OutOfMemory(u64),
    /// The job used up its processor time.
    CpuTime(Duration),
    /// The job's stack was too small for it.
    StackOverflow,
    /// It wrote something to the pool's socket that is no frame, or closed it, and was killed for that.
    BrokeProtocol(String),
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signal(number) => match signal_name(*number) {
                Some(name) => write!(f, "was ended by signal {number} ({name})"),
                None => write!(f, "was ended by signal {number}"),
            },
            Self::OutOfMemory(limit) => write!(f, "ran out of its {limit} bytes of memory"),
            Self::CpuTime(limit) => write!(f, "used up its {limit:?} of processor time"),
            Self::StackOverflow => write!(f, "overflowed its stack"),
            Self::BrokeProtocol(what) => write!(f, "broke the protocol: {what}"),
        }
    }
}

#[cfg(target_os = "linux")]
impl Death {
    pub(super) fn of(status: ExitStatus, last_words: &str, limits: &Limits) -> Self {
        if let Some(code) = status.code() {
            return Self::Exited(code);
        }
        let signal = status.signal().unwrap_or(0);
        match (signal, limits.memory_bytes, limits.cpu_time) {
            (SIGXCPU, _, Some(limit)) => Self::CpuTime(limit),
            // The standard library's words: it says them just before it aborts.
            (SIGABRT, _, _) if last_words.contains("has overflowed its stack") => {
                Self::StackOverflow
            }
            (SIGABRT, Some(limit), _) if last_words.contains("memory allocation of ") => {
                Self::OutOfMemory(limit)
            }
            _ => Self::Signal(signal),
        }
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        4 => "SIGILL",
        5 => "SIGTRAP",
        SIGABRT => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        SIGKILL => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        SIGXCPU => "SIGXCPU",
        31 => "SIGSYS",
        _ => return None,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{Death, Duration, ExitStatus, Limits};
    use std::os::unix::process::ExitStatusExt as _;

    #[test]
    fn a_death_is_named_by_status_limits_and_last_words() {
        let limits = Limits {
            memory_bytes: Some(100),
            cpu_time: Some(Duration::from_secs(1)),
            core_dumps: false,
        };
        let of = |raw, words, limits: &Limits| Death::of(ExitStatus::from_raw(raw), words, limits);
        let none = Limits::default();
        assert_eq!(of(7 << 8, "", &limits), Death::Exited(7));
        assert_eq!(of(11, "", &limits), Death::Signal(11));
        assert_eq!(of(24, "", &limits), Death::CpuTime(Duration::from_secs(1)));
        assert_eq!(of(24, "", &none), Death::Signal(24));
        let words = "memory allocation of 5 bytes failed";
        assert_eq!(of(6, words, &limits), Death::OutOfMemory(100));
        assert_eq!(of(6, words, &none), Death::Signal(6));
        assert_eq!(of(6, "thread 'main' has overflowed its stack", &none), Death::StackOverflow);
        assert_eq!(Death::Signal(11).to_string(), "was ended by signal 11 (SIGSEGV)");
    }
}
