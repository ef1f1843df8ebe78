//! A small test harness, and what the tests look at.

use std::future::Future;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

use super::memory::live_bytes;
use tidegate_pools::process::{Host, ProcessPool, ProcessPoolBuilder};

/// A test: its name states a rule.
pub(crate) type Test = (&'static str, fn(&Host));

/// Runs the tests whose name contains the first argument, one after another.
pub(crate) fn run(tests: &[Test], host: &Host) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        tests.iter().for_each(|(name, _)| say(&format!("{name}: test")));
        return ExitCode::SUCCESS;
    }
    let filter = args.iter().find(|arg| !arg.starts_with('-')).cloned().unwrap_or_default();
    let chosen: Vec<&Test> = tests.iter().filter(|(name, _)| name.contains(&filter)).collect();
    let mut failed = 0;
    for (name, test) in &chosen {
        let start = Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(|| test(host))).is_ok();
        failed += usize::from(!passed);
        let verdict = if passed { "ok" } else { "FAILED" };
        say(&format!("test {name} ... {verdict} ({:.2?})", start.elapsed()));
    }
    say(&format!("{} passed, {failed} failed", chosen.len() - failed));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Whether the long versions are wanted.
pub(crate) fn nightly() -> bool {
    std::env::var_os("TIDEGATE_NIGHTLY").is_some()
}

/// In the test of a worker that ends by itself without a job, such a one.
pub(crate) fn end_soon_when_told() {
    if std::env::var_os("TEST_SHORT_LIFE").is_some() {
        std::thread::spawn(|| {
            // Long enough for a hello, as a rule; the test waits for one that was.
            std::thread::park_timeout(Duration::from_millis(100));
            std::process::exit(3);
        });
    }
}

/// In the test of a worker that has much to say before its hello, such a one.
pub(crate) fn talk_when_told() {
    if std::env::var_os("TEST_TALK").is_some() {
        (0..4_000).for_each(|n| {
            let _ = writeln!(std::io::stderr(), "{n}: more than a pipe takes without a reader");
        });
    }
}

/// The processor time that this process takes while nothing happens for so long.
pub(crate) fn used_in(time: Duration) -> Duration {
    let used = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
    };
    let (before, since) = (used(), Instant::now());
    while since.elapsed() < time {
        std::thread::park_timeout(time);
    }
    used() - before
}

/// In the test of a program that forgot `init`, such a program.
pub(crate) fn forget_to_init_when_told() {
    match std::env::var("TEST_FORGET").as_deref() {
        Ok("end") => {
            let _ = writeln!(std::io::stderr(), "an ordinary program");
            std::process::exit(4);
        }
        Ok("stay") => loop {
            std::thread::park();
        },
        _ => {}
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

/// What the runtime and the standard library may keep for themselves after a first use.
const KEPT_BYTES: isize = 16 * 1024;

/// Runs `test` with a pool, and then expects that nothing is left of it: no process, no descriptor, no memory.
pub(crate) fn with_pool(
    host: &Host,
    set: impl FnOnce(ProcessPoolBuilder) -> ProcessPoolBuilder,
    test: impl AsyncFnOnce(&ProcessPool),
) {
    // A process's first tokio runtime opens descriptors that stay: a pair for signals, where that feature is on.
    block_on(async {});
    let (before, held) = (descriptors(), live_bytes());
    block_on(async {
        let pool = set(ProcessPool::builder(host).workers(2)).build().expect("a pool");
        test(&pool).await;
        pool.shutdown().await;
        assert_eq!(pool.stats().workers, 0);
    });
    assert_eq!(children(), [], "processes are left");
    let second = Duration::from_secs(1);
    // Fewer than before when those of the test before this one were still being closed.
    until(second, "the descriptors are back", || (descriptors() <= before).then_some(()));
    until(second, "the memory is back", || (live_bytes() < held + KEPT_BYTES).then_some(()));
}

/// The open descriptors of this process.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("procfs").count()
}

/// State and parent of a process.
fn stat(pid: &str) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = text.rsplit_once(')')?.1.split_ascii_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

/// The children of this process, dead and unreaped ones included.
pub(crate) fn children() -> Vec<u32> {
    let me = std::process::id();
    let all = std::fs::read_dir("/proc").expect("procfs").flatten();
    all.filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| stat(name).is_some_and(|(_, parent)| parent == me))
        .filter_map(|name| name.parse().ok())
        .collect()
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid as i32).expect("a pid");
    kill_process(pid, signal).expect("it runs");
}

/// The kernel's letter for what a process does.
pub(crate) fn state(pid: u32) -> Option<char> {
    stat(&pid.to_string()).map(|(state, _)| state)
}

/// Whether a process runs; a zombie, whoever has to reap it, does not.
pub(crate) fn runs(pid: u32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Looks again and again until `look` sees something.
pub(crate) fn until<T>(most: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + most;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "not within {most:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
