//! Workers that must go and workers that must come: a hung job's end, and the call that starts a process.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tidegate_benches::Suite;
use tidegate_pools::process::{Context, Function, Host, JobError};

use super::{NOTHING, block_on, pool};
use crate::p99_ms;

/// Ignores SIGTERM, starts a process, says which, and never returns.
pub(super) const HANG: Function<(), (), ()> = Function::new("hang", hang);

#[expect(clippy::zombie_processes, reason = "a job that does not look after its children")]
#[expect(clippy::print_stderr, reason = "the parent reads it in the error")]
fn hang((): (), _: &Context<'_>) -> Result<(), ()> {
    let ignored = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, ignored).expect("a handler");
    let child = Command::new("sleep").arg("1000").stderr(Stdio::null()).spawn().expect("sleep");
    eprintln!("{}", child.id());
    loop {
        std::hint::spin_loop();
    }
}

/// How late a hung job's error is, when its children are gone, and how long after it the next job is answered.
pub(super) fn hung_jobs(suite: &mut Suite, host: &Host) {
    let [late_id, gone_id, next_id] =
        ["late", "children", "next"].map(|what| format!("pools/process/hung_job/{what}_p99"));
    if ![&late_id, &gone_id, &next_id].iter().any(|id| suite.wants(id)) {
        return;
    }
    let pool = pool(host, 1);
    let after = Duration::from_millis(50);
    let (mut late, mut gone, mut next) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..if suite.is_quick() { 30 } else { 200 } {
        assert_eq!(block_on(pool.run(NOTHING, &1)), Ok(1));
        let start = Instant::now();
        let hung = block_on(pool.run(HANG.timeout(after), &()));
        let told = Instant::now();
        let answered = block_on(async {
            assert_eq!(pool.run(NOTHING, &1).await, Ok(1));
            told.elapsed()
        });
        late.push(start.elapsed().saturating_sub(after + answered));
        next.push(answered);
        let Err(JobError::TimedOut { stderr, .. }) = hung else { panic!("{hung:?}") };
        let grandchild = stderr.trim().parse().expect("it said which process it started");
        while runs(grandchild) {
            std::thread::yield_now();
        }
        gone.push(told.elapsed());
    }
    for (id, figures) in [(late_id, late), (gone_id, gone), (next_id, next)] {
        suite.figure(&id, "ms").ours(&[p99_ms(figures)]).at_most_value(10.0).report();
    }
}

/// Whether a process runs; a zombie does not.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}

/// The call that starts a worker, in a parent with 1 GiB resident.
pub(super) fn spawn_calls(suite: &mut Suite, host: &Host) {
    let id = "pools/process/spawn_call_1gib";
    if !suite.wants(id) {
        return;
    }
    let ballast = vec![1_u8; 1 << 30];
    let calls: Vec<f64> = (0..if suite.is_quick() { 15 } else { 60 })
        .map(|_| {
            let pool = pool(host, 1);
            let call = pool.stats().spawn.longest;
            block_on(pool.shutdown());
            call.as_secs_f64() * 1e3
        })
        .collect();
    std::hint::black_box(&ballast[ballast.len() / 2]);
    suite.figure(id, "ms").ours(&calls).at_most_value(1.0).report();
}
