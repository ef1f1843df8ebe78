//! A worker process as its parent sees it: started, spoken to, ended. It decides nothing.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, ioctl_fionbio, read};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send, shutdown,
    socketpair,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::death::Death;
use super::error::StartError;
use super::frame::{Frame, FrameError, Inbox, Kind};
use super::hello::{Hello, Passport};
use super::limits::Limits;
use super::outbox::Outbox;
use super::sleep::sleep_until;
use super::spec::Spec;
use super::stdout::Stdout;
use super::tail::Tail;

/// A payload of this size passes the socket without either side waiting for the other.
const SEND_BUFFER: usize = 1024 * 1024;

/// What [`wait`](Child::wait) saw.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ready {
    pub(super) socket: bool,
    pub(super) stderr: bool,
    pub(super) gone: bool,
    pub(super) wake: bool,
}

/// A process that is killed, with its whole group, and reaped when this is dropped.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    group: Pid,
    pidfd: OwnedFd,
    socket: OwnedFd,
    stderr: Option<OwnedFd>,
    inbox: Inbox,
    outbox: Outbox,
    pub(super) tail: Tail,
    pub(super) since: Instant,
    pub(super) jobs: u64,
    status: Option<ExitStatus>,
    limits: Limits,
}

impl Child {
    /// Starts a worker without waiting for its hello. Nothing here makes the standard library fork: in a large parent
    /// that would cost milliseconds where this costs microseconds.
    pub(super) fn spawn(spec: &Spec) -> io::Result<Self> {
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        ioctl_fionbio(&socket, true)?;
        for end in [&socket, &theirs] {
            // The system may cap it; the size is only a matter of speed.
            let _ = rustix::net::sockopt::set_socket_send_buffer_size(end, SEND_BUFFER);
        }
        let (stderr, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        ioctl_fionbio(&stderr, true)?;
        let theirs = std::fs::File::from(theirs);
        let passport = Passport {
            socket: theirs.metadata()?.ino(),
            max_frame: spec.max_frame,
            limits: spec.limits,
        };
        let mut command = spec.command(&passport);
        command.stdin(theirs).stdout(match spec.stdout {
            Stdout::Captured => Stdio::from(writer.try_clone()?),
            Stdout::Discarded => Stdio::null(),
            Stdout::Inherited => Stdio::inherit(),
        });
        let mut process = command.stderr(writer).spawn()?;
        drop(command); // It holds our copies of the worker's ends.
        let group = Pid::from_child(&process);
        let pidfd = pidfd_open(group, PidfdFlags::empty()).inspect_err(|_| {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = process.wait();
        })?;
        Ok(Self {
            process,
            group,
            pidfd,
            socket,
            stderr: Some(stderr),
            inbox: Inbox::new(spec.max_frame),
            outbox: Outbox::default(),
            tail: Tail::default(),
            since: Instant::now(),
            jobs: 0,
            status: None,
            limits: spec.limits,
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the worker says or writes something or ends, `wake` is written to, `spare` says something, or the
    /// time comes.
    pub(super) fn wait(
        &self,
        wake: &OwnedFd,
        spare: Option<&Self>,
        until: Option<Instant>,
    ) -> io::Result<Ready> {
        let mut wanted = PollFlags::IN;
        wanted.set(PollFlags::OUT, !self.outbox.is_empty());
        let mut fds = [
            PollFd::new(&self.socket, wanted),
            PollFd::new(wake, PollFlags::IN),
            PollFd::new(&self.pidfd, PollFlags::IN),
            PollFd::new(&self.pidfd, PollFlags::IN),
            PollFd::new(&self.pidfd, PollFlags::IN),
        ];
        let mut len = 3;
        if let Some(stderr) = &self.stderr {
            fds[len] = PollFd::new(stderr, PollFlags::IN);
            len += 1;
        }
        if let Some(spare) = spare {
            fds[len] = PollFd::new(&spare.socket, PollFlags::IN);
            len += 1;
        }
        sleep_until(&mut fds[..len], until)?;
        let any = |at: usize| !fds[at].revents().is_empty();
        Ok(Ready {
            socket: fds[0].revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR),
            wake: any(1),
            gone: any(2),
            stderr: self.stderr.is_some() && any(3),
        })
    }

    /// Takes a frame to be written by [`flush`](Self::flush).
    pub(super) fn push(&mut self, bytes: &Arc<Vec<u8>>) {
        self.outbox.push(bytes);
    }

    /// Writes what the socket takes. An error is left to whoever reads: a worker that cannot be written to has died.
    pub(super) fn flush(&mut self) {
        while let Some(bytes) = self.outbox.front() {
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => self.outbox.written(sent),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.outbox = Outbox::default(),
            }
        }
    }

    /// Reads once; `false` at the end of what the worker will ever say.
    pub(super) fn receive(&mut self) -> bool {
        let room = rustix::buffer::spare_capacity(self.inbox.room());
        match recv(&self.socket, room, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => false,
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => true,
            Err(_) => false,
        }
    }

    /// Gives memory for the next large frame if it would need some.
    pub(super) fn provide(&mut self, buffer: impl FnOnce() -> Vec<u8>) {
        if self.inbox.is_bare() {
            self.inbox.reuse(buffer());
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        self.inbox.next()
    }

    /// Why the end of the conversation is itself an error, if it is.
    pub(super) fn cut_short(&self) -> Option<String> {
        let partial = self.inbox.partial();
        (0 < partial).then(|| format!("it ended {partial} bytes into a frame"))
    }

    /// Reads the hello as far as it has come: whether it is whole and right.
    pub(super) fn greet(&mut self, ours: &Hello) -> Result<bool, StartError> {
        let open = self.receive();
        match self.next() {
            Ok(Some(frame)) if frame.kind == Kind::Hello => {
                ours.check(frame.payload()).map(|()| true)
            }
            Ok(Some(frame)) if frame.kind == Kind::Unfit => {
                Err(StartError::Unfit(String::from_utf8_lossy(frame.payload()).into_owned()))
            }
            Ok(Some(_)) | Err(_) => Err(StartError::NoHello),
            Ok(None) if open => Ok(false),
            Ok(None) => Err(self.ended_early()),
        }
    }

    /// Of a worker that will never say hello.
    pub(super) fn ended_early(&mut self) -> StartError {
        let death = self.wait_gone(Duration::from_millis(500));
        let death = death.unwrap_or_else(|| self.end());
        StartError::EndedEarly { death, stderr: self.tail.text() }
    }

    /// Reads what the worker wrote since.
    pub(super) fn read_stderr(&mut self) {
        let mut buffer = [0; 4096];
        // Bounded, so that a worker that never stops writing cannot keep us here.
        for _ in 0..16 {
            let Some(stderr) = &self.stderr else { return };
            match read(stderr, &mut buffer) {
                Ok(0) => self.stderr = None,
                Ok(len) => self.tail.push(&buffer[..len]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.stderr = None,
            }
        }
    }

    /// How it died, if it does so by itself within that time.
    pub(super) fn wait_gone(&mut self, most: Duration) -> Option<Death> {
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let until = Instant::now() + most;
        let _ = sleep_until(&mut fds, Some(until));
        let gone = fds[0].revents().contains(PollFlags::IN);
        gone.then(|| self.end())
    }

    /// Asks for an end once it has nothing to do, waits a little, then makes an end.
    pub(super) fn retire(mut self) {
        let _ = shutdown(&self.socket, Shutdown::Write);
        let _ = self.wait_gone(Duration::from_millis(250));
    }

    /// Kills the worker and all that it started, at once, and does not wait.
    pub(super) fn kill(&self) {
        // The group's number stays taken until its leader is reaped, which only `end` does: no stranger is hit.
        if self.status.is_none() {
            let _ = kill_process_group(self.group, Signal::KILL);
        }
    }

    /// Ends and reaps it, whatever it is doing, and says how it died.
    pub(super) fn end(&mut self) -> Death {
        if self.status.is_none() {
            self.kill();
            self.status = self.process.wait().ok();
            self.read_stderr();
        }
        let words = self.tail.text();
        self.status.map_or(Death::Signal(0), |status| Death::of(status, &words, &self.limits))
    }

    /// Resident memory in bytes, by the kernel's count.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.id())).ok()?;
        let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}
