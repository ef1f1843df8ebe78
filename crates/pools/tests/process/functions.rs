//! What the workers of these tests can do.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{
    PidfdFlags, PidfdGetfdFlags, Resource, getpid, getrlimit, pidfd_getfd, pidfd_open,
};
use rustix::time::{ClockId, clock_gettime};
use serde_bytes::ByteBuf;
use tidegate_pools::process::{Context, Function, Functions};

pub(crate) const DOUBLE: Function<u64, u64, String> = Function::new("double", double);
pub(crate) const ECHO: Function<ByteBuf, ByteBuf, ()> = Function::new("echo", echo);
pub(crate) const BEHAVE: Function<String, u32, String> = Function::new("behave", behave);
pub(crate) const FAMILY: Function<String, (), ()> = Function::new("family", family);
pub(crate) const POLITE: Function<u64, String, ()> = Function::new("polite", polite);
pub(crate) const GROW: Function<usize, ByteBuf, ()> = Function::new("grow", grow);
pub(crate) const BURN: Function<u64, (), ()> = Function::new("burn", burn);
pub(crate) const NAP: Function<u64, (), ()> = Function::new("nap", nap);
pub(crate) const PID: Function<(), u32, ()> = Function::new("pid", |(), _| Ok(std::process::id()));
pub(crate) const LENGTH: Function<String, usize, ()> =
    Function::new("length", |text, _| Ok(text.len()));
pub(crate) const UNREGISTERED: Function<(), (), ()> = Function::new("unregistered", |(), _| Ok(()));
pub(crate) const HOARD: Function<usize, u32, ()> = Function::new("hoard", hoard);
pub(crate) const LOUD: Function<usize, (), ()> =
    Function::new("loud", |len, _| panic!("{}", "\u{e4}".repeat(len)));
pub(crate) const UNFIT: Function<(), Unfit, ()> = Function::new("unfit", |(), _| Ok(Unfit));

/// A value that serde cannot encode.
#[derive(Debug, PartialEq)]
pub(crate) struct Unfit;

impl serde::Serialize for Unfit {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it is a file handle"))
    }
}

impl<'de> serde::Deserialize<'de> for Unfit {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

pub(crate) fn all() -> Functions {
    // In the test of a worker that does not know all of its parent's functions, such a one.
    let functions = match std::env::var_os("TEST_WITHOUT_DOUBLE") {
        Some(_) => Functions::new(),
        None => Functions::new().with(DOUBLE),
    };
    let functions = functions
        .with(ECHO)
        .with(BEHAVE)
        .with(FAMILY)
        .with(POLITE)
        .with(GROW)
        .with(BURN)
        .with(NAP)
        .with(PID)
        .with(LENGTH)
        .with(LOUD)
        .with(UNFIT)
        .with(HOARD);
    match std::env::var("TEST_BUILD") {
        Ok(build) => functions.build_id(build),
        Err(_) => functions,
    }
}

fn double(n: u64, _: &Context<'_>) -> Result<u64, String> {
    n.checked_mul(2).ok_or_else(|| format!("{n} is too large"))
}

fn echo(bytes: ByteBuf, _: &Context<'_>) -> Result<ByteBuf, ()> {
    Ok(bytes)
}

fn grow(len: usize, _: &Context<'_>) -> Result<ByteBuf, ()> {
    Ok(ByteBuf::from(vec![1; len]))
}

/// Does nothing for so many microseconds, and costs nothing meanwhile.
fn nap(us: u64, _: &Context<'_>) -> Result<(), ()> {
    std::thread::park_timeout(Duration::from_micros(us));
    Ok(())
}

/// Uses so many milliseconds of processor time, however long that takes on a busy machine.
fn burn(ms: u64, _: &Context<'_>) -> Result<(), ()> {
    let used = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    };
    let end = used() + Duration::from_millis(ms);
    while used() < end {
        std::hint::spin_loop();
    }
    Ok(())
}

/// Leaks so much and says who it is.
fn hoard(len: usize, _: &Context<'_>) -> Result<u32, ()> {
    std::mem::forget(vec![1_u8; len]);
    Ok(std::process::id())
}

/// Waits to be cancelled, at most so many milliseconds, and leaves word.
fn polite(most_ms: u64, context: &Context<'_>) -> Result<String, ()> {
    let until = Instant::now() + Duration::from_millis(most_ms);
    while Instant::now() < until {
        if context.is_cancelled() {
            return Ok("told".to_owned());
        }
        std::thread::yield_now();
    }
    Ok("not told".to_owned())
}

/// Starts a process of its own, writes both numbers to the file, ignores SIGTERM and never returns.
#[expect(clippy::zombie_processes, reason = "a job that does not look after its children")]
fn family(path: String, _: &Context<'_>) -> Result<(), ()> {
    let ignored = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, ignored).expect("a handler");
    let child = Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().expect("sleep");
    let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("the file is there");
    let line = format!("{} {}\n", std::process::id(), child.id());
    file.write_all(line.as_bytes()).expect("the file is writable");
    spin()
}

fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "what a job prints is the subject")]
fn behave(how: String, _: &Context<'_>) -> Result<u32, String> {
    eprintln!("about to {how}");
    match how.as_str() {
        "panic" => panic!("on purpose"),
        "abort" => std::process::abort(),
        "segfault" => segfault(),
        "exit 0" => std::process::exit(0),
        "exit 7" => std::process::exit(7),
        "overflow" => Ok(overflow(1)),
        "allocate" => {
            let mut kept = Vec::new();
            loop {
                kept.push(std::hint::black_box(vec![1_u8; 1 << 20]));
                eprintln!("{} MiB so far", kept.len());
            }
        }
        "spin" => spin(),
        "sleep" => loop {
            std::thread::park();
        },
        "print" => {
            for _ in 0..1000 {
                println!("\u{1}\0\0\0 not a frame, whatever it looks like");
                eprintln!("nor this");
            }
            Ok(1)
        }
        "print and exit" => {
            println!("on stdout");
            std::process::exit(9)
        }
        "flood" => {
            let mut out = std::io::stdout().lock();
            for _ in 0..1000 {
                out.write_all(&[b'x'; 4096]).expect("stdout is read");
            }
            drop(out);
            eprintln!("the last word");
            std::process::exit(3)
        }
        "half a frame" => {
            write_to_socket(&[200, 0, 0, 0, 5, 1]);
            std::process::exit(0)
        }
        "large frame" => {
            write_to_socket(&[255, 255, 255, 255, 5, 1, 0, 0, 0, 0, 0, 0, 0]);
            spin()
        }
        "unknown frame" => {
            write_to_socket(&[0, 0, 0, 0, 77, 1, 0, 0, 0, 0, 0, 0, 0]);
            spin()
        }
        "wrong number" => {
            write_to_socket(&[0, 0, 0, 0, 5, 255, 255, 0, 0, 0, 0, 0, 0]);
            spin()
        }
        "close the socket" => {
            rustix::net::shutdown(socket(), rustix::net::Shutdown::Write).expect("a socket");
            spin()
        }
        "speak unasked" => soon(|| write_to_socket(&[0, 0, 0, 0, 5, 1, 0, 0, 0, 0, 0, 0, 0])),
        "mutter" => soon(|| (0..100).for_each(|n| eprintln!("{n}: what a worker says to itself"))),
        "close stdout and stderr" => {
            let null = std::fs::File::create("/dev/null").map_err(|e| e.to_string())?;
            rustix::stdio::dup2_stdout(&null).map_err(|e| e.to_string())?;
            rustix::stdio::dup2_stderr(&null).map_err(|e| e.to_string())?;
            Ok(0)
        }
        "leave a child" => {
            let child = Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn();
            child.map(|child| child.id()).map_err(|e| e.to_string())
        }
        "exit 7 late" => {
            std::thread::park_timeout(Duration::from_millis(300));
            std::process::exit(7)
        }
        "lend the socket and exit 7" => {
            lend_socket();
            std::process::exit(7)
        }
        "lend the socket and exit 7 soon" => {
            lend_socket();
            soon(|| std::process::exit(7))
        }
        "keep a word back" => {
            print!("a word kept back by {}\u{1f}", std::process::id());
            Ok(std::process::id())
        }
        "list tests" | "list tests on a socket" => {
            let me = std::env::current_exe().expect("procfs");
            let (_ours, theirs) = socket_pair();
            let mut command = Command::new(me);
            if how.ends_with("on a socket") {
                command.stdin(theirs);
            }
            let output = command.arg("--list").output().map_err(|e| e.to_string())?;
            let listed = String::from_utf8_lossy(&output.stdout).contains("is_no_worker: test");
            Ok(u32::from(listed))
        }
        "tell core limit" => Ok(getrlimit(Resource::Core).current.map_or(u32::MAX, |n| n as u32)),
        "count variables" => Ok(std::env::vars_os().count() as u32),
        "read stdin" => {
            let mut text = String::new();
            std::io::stdin().read_line(&mut text).map_err(|e| e.to_string()).map(|n| n as u32)
        }
        other => Err(format!("no way to {other}")),
    }
}

#[expect(unsafe_code, reason = "a segmentation fault is the subject")]
fn segfault() -> ! {
    // SAFETY: none; the page at 8 is never mapped, and this process is here to die of it.
    unsafe { std::ptr::without_provenance_mut::<u64>(8).write_volatile(1) };
    spin()
}

#[expect(unconditional_recursion, reason = "a stack overflow is the subject")]
fn overflow(n: u32) -> u32 {
    let block = std::hint::black_box([n; 1024]);
    overflow(block[7]).wrapping_add(block[9])
}

/// Does something when the job has been answered for a while.
fn soon(what: impl FnOnce() + Send + 'static) -> Result<u32, String> {
    std::thread::spawn(|| {
        std::thread::park_timeout(Duration::from_millis(100));
        what();
    });
    Ok(0)
}

/// Starts a process that has the socket, so that it stays open when the worker is gone.
#[expect(clippy::zombie_processes, reason = "a job that does not look after its children")]
fn lend_socket() {
    let stdin = Stdio::from(socket());
    Command::new("sleep").arg("1000").stdin(stdin).spawn().expect("sleep");
}

fn socket_pair() -> (OwnedFd, OwnedFd) {
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    socketpair(family, kind, SocketFlags::CLOEXEC, None).expect("a socket pair")
}

/// Another descriptor of the socket to the parent, found by trying.
fn socket() -> OwnedFd {
    let me = pidfd_open(getpid(), PidfdFlags::empty()).expect("a pidfd of our own");
    (3..20)
        .filter_map(|number| pidfd_getfd(&me, number, PidfdGetfdFlags::empty()).ok())
        .find(|fd| rustix::net::getpeername(fd).is_ok())
        .expect("a worker has a socket")
}

fn write_to_socket(bytes: &[u8]) {
    rustix::io::write(socket(), bytes).expect("the parent reads");
}
