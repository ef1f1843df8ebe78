//! A command as a process group: started, bounded in time, ended with all its children.
//!
//! Each attempt gets a process group of its own. It ends in one of three ways, and each leaves no process of the group
//! behind: its leader exits (what the leader left in the background gets TERM, a grace period, then KILL), its
//! time is up, or the run is stopped. On Linux we also adopt orphans (`PR_SET_CHILD_SUBREAPER`), so that we
//! see the last one go instead of guessing.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// What to run, where its streams go, and how long it may take.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: PathBuf,
    /// Nothing to read when absent.
    pub(crate) stdin: Option<File>,
    pub(crate) stdout: File,
    pub(crate) stderr: File,
    pub(crate) timeout: Option<Duration>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(ExitStatus),
    TimedOut,
    Stopped,
}

/// Asks running commands to end: politely, or at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    /// TERM now, KILL after the grace period; commands that have not started do not start.
    pub(crate) ask: CancellationToken,
    /// KILL now.
    pub(crate) kill: CancellationToken,
}

/// Time between TERM and KILL.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// Time between two looks at a group that is being ended.
const LOOK: Duration = Duration::from_millis(5);

/// Runs a command to its end and the end of its process group.
///
/// # Errors
///
/// The command cannot be started: no such program, no such folder, too many processes.
///
/// # Cancel safety
///
/// Dropping the future kills the process group.
pub(crate) async fn run(spec: Spec, stop: &Stop) -> io::Result<Ended> {
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .envs(spec.env)
        .current_dir(&spec.cwd)
        .stdin(spec.stdin.map_or_else(Stdio::null, Stdio::from))
        .stdout(spec.stdout)
        .stderr(spec.stderr)
        .process_group(0);
    let deadline = spec.timeout.map(|timeout| Instant::now() + timeout);
    let mut child = command.spawn()?;
    let mut group = Group::of(&child)?;
    let ended = tokio::select! {
        status = child.wait() => Ended::Exited(status?),
        () = sleep_to(deadline) => Ended::TimedOut,
        () = stop.ask.cancelled() => Ended::Stopped,
    };
    group.end(&mut child, stop).await?;
    Ok(ended)
}

async fn sleep_to(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// A process group that is killed when dropped, unless it has ended.
#[derive(Debug)]
struct Group {
    id: Option<Pid>,
}

impl Group {
    fn of(child: &Child) -> io::Result<Self> {
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        id.map(|id| Self { id: Some(id) }).ok_or_else(|| io::Error::other("the command has no id"))
    }

    /// TERM, grace, KILL; returns when no process of the group is left.
    async fn end(&mut self, child: &mut Child, stop: &Stop) -> io::Result<()> {
        let Some(id) = self.id else { return Ok(()) };
        let deadline = Instant::now() + GRACE;
        let mut asked = false;
        loop {
            child.try_wait()?;
            if !alive(id) {
                break;
            }
            if !asked {
                asked = true;
                let _ = rustix::process::kill_process_group(id, Signal::TERM);
                // A stopped process would only see TERM once it goes on.
                let _ = rustix::process::kill_process_group(id, Signal::CONT);
            }
            if Instant::now() >= deadline || stop.kill.is_cancelled() {
                let _ = rustix::process::kill_process_group(id, Signal::KILL);
            }
            // Nothing tells when a group is empty; this loop runs only while something is being ended.
            tokio::time::sleep(LOOK).await;
        }
        self.id = None;
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let _ = rustix::process::kill_process_group(id, Signal::KILL);
        }
    }
}

/// Whether a process of the group is left. Reaps those that ended as our adopted children.
fn alive(group: Pid) -> bool {
    // The leader is tokio's to reap; once it has, what is left of the group came to us as orphans.
    let exists = |group| rustix::process::test_kill_process_group(group) != Err(Errno::SRCH);
    if !exists(group) {
        return false;
    }
    if rustix::process::test_kill_process(group) == Err(Errno::SRCH) {
        while let Ok(Some(_)) = rustix::process::waitpgid(group, WaitOptions::NOHANG) {}
    }
    exists(group)
}

/// Makes orphans of our descendants our children (Linux; elsewhere they go to init).
pub(crate) fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }
}

/// Kills every descendant that is left, also those that left their process group; gives their number.
///
/// Call it when no command of ours runs any more. Linux only: elsewhere nothing is found.
pub(crate) fn kill_strays() -> usize {
    let mut killed = 0;
    // Killing one makes its children ours: repeat until none is found. The bound stops a fork bomb from keeping us.
    for _ in 0..1000 {
        let children = children();
        if children.is_empty() {
            break;
        }
        for &child in &children {
            let _ = rustix::process::kill_process(child, Signal::KILL);
        }
        for child in children {
            if let Ok(Some(_)) = rustix::process::waitpid(Some(child), WaitOptions::empty()) {
                killed += 1;
            }
        }
    }
    killed
}

/// Our children, from `/proc`.
fn children() -> Vec<Pid> {
    let me = rustix::process::getpid().as_raw_nonzero().to_string();
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    processes
        .filter_map(|entry| {
            let id: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The name in parentheses may hold anything; the parent is the second field after it.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
            (parent == me).then(|| Pid::from_raw(id))?
        })
        .collect()
}

#[cfg(test)]
mod tests;
