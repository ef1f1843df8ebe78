//! Ends what a `tidegate` that was killed leaves running.
//!
//! Nobody can clean up after SIGKILL. So each run has a second process that only waits for the first to go: its standard
//! input is a pipe whose other end the first alone holds. When that end closes it looks for processes that carry the run's
//! mark in their environment, asks them to end, and kills what is left after the grace period. It finds what made a session
//! of its own too, and misses what emptied its environment. It needs `/proc`: elsewhere it finds nothing.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::process::GRACE;

/// The variable that marks the commands of one process of ours.
pub(crate) const MARK: &str = "TIDEGATE_OWNER";

/// Time between two looks at what is left.
const LOOK: Duration = Duration::from_millis(20);

/// The second process of a run. Dropped, it is no longer needed.
#[derive(Debug)]
pub(crate) struct Watchman(Child);

impl Watchman {
    /// Watches over commands that carry this mark, from now on. The lock stays with it until all of them have ended, also if
    /// the caller is gone: nobody goes on with a run while a command of it is left.
    ///
    /// # Errors
    ///
    /// The process cannot be started.
    pub(crate) fn start(mark: &str, lock: &File) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        // In a group of its own it hears no Ctrl-C, and it keeps no folder from being removed.
        command.args(["watch", mark]).process_group(0).current_dir("/");
        // It writes nothing: the file is there for its lock.
        command.stdin(Stdio::piped()).stdout(lock.try_clone()?).stderr(Stdio::null());
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Watchman {
    fn drop(&mut self) {
        // It may have been taken for a stray and be gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the second process does.
pub(crate) fn watch(mark: &str) -> ExitCode {
    let mut nothing = [0];
    // Nobody writes: this returns when the other end is closed.
    while io::stdin().read(&mut nothing).is_ok_and(|read| read > 0) {}
    let mark = format!("{MARK}={mark}");
    let deadline = Instant::now() + GRACE;
    let mut asked = false;
    loop {
        let left = marked(mark.as_bytes());
        if left.is_empty() {
            return ExitCode::SUCCESS;
        }
        // A stopped process would only see TERM once it goes on.
        let signals: &[Signal] = match asked {
            false => &[Signal::TERM, Signal::CONT],
            true if Instant::now() < deadline => &[],
            true => &[Signal::KILL],
        };
        asked = true;
        for process in left {
            signals.iter().for_each(|signal| send(process, &mark, *signal));
        }
        std::thread::sleep(LOOK);
    }
}

/// The processes with the mark that have not ended.
fn marked(mark: &[u8]) -> Vec<Pid> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(Pid::from_raw).filter(|id| is_marked(*id, mark)).collect()
}

/// Whether it has the mark. A process that has ended has no environment, also while nobody has waited for it.
fn is_marked(process: Pid, mark: &[u8]) -> bool {
    std::fs::read(format!("/proc/{}/environ", process.as_raw_nonzero()))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|of| of == mark))
}

/// Sends the signal to that very process: the number may have gone to another meanwhile.
#[cfg(target_os = "linux")]
fn send(process: Pid, mark: &str, signal: Signal) {
    use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
    if let Ok(handle) = pidfd_open(process, PidfdFlags::empty())
        && is_marked(process, mark.as_bytes())
    {
        let _ = pidfd_send_signal(&handle, signal);
    }
}

/// Without `/proc` there is nobody to send to.
#[cfg(not(target_os = "linux"))]
fn send(_: Pid, _: &str, _: Signal) {}
