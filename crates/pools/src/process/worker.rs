//! The worker's side: from the top of `main` to the end of the process.
//!
//! # How a worker follows its parent
//!
//! 1. A side thread watches the socket. Once the parent's end is gone, however it went, the thread kills the worker's
//!    process group: the worker and whatever its jobs started.
//! 2. The parent-death signal is SIGCONT. It must not be SIGKILL: that would race with the thread and, winning, leave
//!    the worker's children behind; and it comes already when the *thread* that spawned the worker ends. SIGCONT
//!    harms nobody and wakes a worker that was stopped, so that its side thread can do its work.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::fstat;
use rustix::io::{Errno, fcntl_dupfd_cloexec, read};
use rustix::net::{SendFlags, send};
use rustix::process::{
    Signal, getpgrp, getpid, kill_current_process_group, kill_process,
    set_parent_process_death_signal,
};

use super::context::Context;
use super::frame::{Inbox, KEPT, Kind, frame};
use super::function::Functions;
use super::hello::{Hello, PROTOCOL, Passport, VARIABLE, executable_identity};

/// Answers are collected up to this many bytes while further jobs have already arrived.
const COALESCE: usize = 32 * 1024;
/// And for so long: what is done shall not wait for long jobs.
const QUICK: Duration = Duration::from_micros(100);

/// Proof that this program can be its own worker: what [`init`] returns and a pool needs.
#[derive(Debug, Clone)]
pub struct Host {
    hello: Hello,
}

impl Host {
    pub(super) fn hello(&self) -> &Hello {
        &self.hello
    }
}

/// Makes this executable its own worker; call it at the top of `main`, before anything that a worker should not do.
///
/// In the program that you started it returns at once. In a worker process, which is the same executable started
/// again by a [`ProcessPool`](super::ProcessPool), it runs jobs and **never returns**.
///
/// A pool cannot be made without the [`Host`] that this gives: a program that forgot the call does not compile, and as
/// no worker gets past the call, no worker starts workers by running your `main`.
pub fn init(functions: Functions) -> Host {
    let build = functions.named_build().map_or_else(executable_identity, str::to_owned);
    let hello = Hello { build, functions: functions.names() };
    if let Ok(text) = std::env::var(VARIABLE) {
        serve_if_meant(&text, &functions, &hello);
    }
    Host { hello }
}

fn serve_if_meant(text: &str, functions: &Functions, hello: &Hello) {
    let meant: Option<u64> = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    let stdin = io::stdin();
    let is_socket =
        std::fs::metadata("/proc/self/fd/0").is_ok_and(|meta| meta.file_type().is_socket());
    if !is_socket || fstat(stdin.as_fd()).ok().map(|stat| stat.st_ino) != meant {
        return; // Something that a job started: it inherits the variable, and not the socket.
    }
    let Some(passport) = Passport::parse(text) else {
        let _ = write_all(stdin.as_fd(), &frame(Kind::Hello, 0, &PROTOCOL.to_le_bytes()));
        std::process::exit(1);
    };
    match set_up(&passport) {
        Ok(socket) => serve(&socket, &passport, functions, hello),
        Err(why) => {
            let _ = write_all(stdin.as_fd(), &frame(Kind::Unfit, 0, why.as_bytes()));
            std::process::exit(1);
        }
    }
}

fn set_up(passport: &Passport) -> Result<OwnedFd, String> {
    let stdin = io::stdin();
    let socket = fcntl_dupfd_cloexec(stdin.as_fd(), 3).map_err(|why| format!("socket: {why}"))?;
    let watched = socket.try_clone().map_err(|why| format!("socket: {why}"))?;
    set_parent_process_death_signal(Some(Signal::CONT))
        .map_err(|why| format!("parent-death signal: {why}"))?;
    std::thread::Builder::new()
        .name("tidegate-watch".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || follow_parent(&watched))
        .map_err(|why| format!("side thread: {why}"))?;
    passport.limits.set()?;
    Ok(socket)
}

fn serve(socket: &OwnedFd, passport: &Passport, functions: &Functions, hello: &Hello) -> ! {
    let ended = converse(socket, passport, functions, hello);
    if is_hung_up(socket) {
        kill_everything();
    }
    std::process::exit(i32::from(ended.is_err()));
}

/// Runs jobs until the parent wants no more of them.
fn converse(
    socket: &OwnedFd,
    passport: &Passport,
    functions: &Functions,
    hello: &Hello,
) -> io::Result<()> {
    // From here on the socket has no well-known number; a job that reads its stdin reads nothing.
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    drop(null);
    write_all(socket.as_fd(), &frame(Kind::Hello, 0, &hello.to_bytes()))?;
    let mut inbox = Inbox::new(passport.max_frame);
    let mut answers = Vec::new();
    let mut cancellations = 0;
    let mut fresh = Instant::now();
    loop {
        while let Some(frame) = inbox.next().map_err(|why| io::Error::other(why.to_string()))? {
            if frame.kind != Kind::Job {
                cancellations = inbox.cancellations(); // All that this one is about is answered.
                continue;
            }
            passport.limits.renew_cpu_time();
            let context = Context::new(socket, frame.job, 0 < cancellations);
            functions.answer(frame.payload(), passport.max_frame, &context, &mut answers);
            inbox.reuse(frame.into_buffer());
            if COALESCE <= answers.len() || QUICK < fresh.elapsed() {
                write_out(socket, &mut answers)?;
                fresh = Instant::now();
            }
        }
        write_out(socket, &mut answers)?;
        match read(socket, rustix::buffer::spare_capacity(inbox.room())) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => cancellations = inbox.cancellations(),
            Err(why) => return Err(why.into()),
        }
        fresh = Instant::now();
    }
}

/// Writes the bytes and keeps their memory, unless it is very much.
fn write_out(socket: &OwnedFd, bytes: &mut Vec<u8>) -> io::Result<()> {
    write_all(socket, bytes)?;
    bytes.clear();
    bytes.shrink_to(KEPT);
    Ok(())
}

fn write_all(socket: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match send(&socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::INTR) => {}
            Err(why) => return Err(why.into()),
        }
    }
    Ok(())
}

fn follow_parent(socket: &OwnedFd) {
    loop {
        // No event is asked for: what is always told is a hang-up, an error, and a descriptor that a job closed.
        let mut fds = [PollFd::new(socket, PollFlags::empty())];
        match poll(&mut fds, None) {
            Ok(n) if 0 < n => kill_everything(),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => kill_everything(),
        }
    }
}

fn is_hung_up(socket: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(socket, PollFlags::empty())];
    let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&at_once)).is_ok_and(|n| 0 < n)
}

/// Kills this process with all that it started, unless it shares its group with strangers.
fn kill_everything() {
    if getpgrp() == getpid() {
        let _ = kill_current_process_group(Signal::KILL);
    }
    let _ = kill_process(getpid(), Signal::KILL);
}
