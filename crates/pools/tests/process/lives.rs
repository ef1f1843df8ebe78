//! The lives of workers: replaced by plan, replaced executables.

use std::collections::HashSet;
use std::io::Write as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tidegate_pools::process::{Death, Host, JobError, ProcessPool, StartError, Stdout};

use super::functions::{BEHAVE, DOUBLE, HOARD, NAP, PID};
use super::support::{Test, block_on, children, signal, state, until, used_in, with_pool};

/// Makes a copy of the test executable delete or replace its file and go on.
pub(crate) const DELETE: &str = "TEST_DELETE";

pub(crate) const TESTS: &[Test] = &[
    ("a_worker_is_replaced_after_its_jobs_and_none_is_lost", by_jobs),
    ("a_worker_is_replaced_at_its_age_while_idle", by_age),
    ("a_worker_is_replaced_when_it_has_grown", by_memory),
    ("the_old_worker_serves_until_its_replacement_has_said_hello", replacement_first),
    ("a_replacement_that_says_nothing_is_given_up_while_the_pool_is_idle", silent_replacement),
    ("the_pause_before_the_next_replacement_takes_no_processor_time", idle_pause),
    ("a_worker_that_is_let_go_loses_nothing_of_what_it_printed", let_go),
    ("workers_that_live_serve_while_others_cannot_be_started", some_live),
    ("a_replacement_that_dies_is_tried_again_after_a_pause", dying_replacement),
    ("a_worker_that_stands_still_is_waited_for_and_goes_on", stands_still),
    ("a_replacement_that_does_not_start_leaves_the_old_worker_in_place", no_replacement),
    (
        "workers_run_the_same_image_after_the_executable_was_deleted_or_replaced",
        replaced_executable,
    ),
];

fn by_jobs(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1).max_jobs(10),
        async |pool| {
            let mut pids = HashSet::new();
            for _ in 0..500 {
                pids.insert(pool.run(PID, &()).await.expect("a worker"));
                let stats = pool.stats();
                assert!(stats.died == 0 && (1..=2).contains(&stats.workers), "{stats:?}");
            }
            assert!(2 < pids.len(), "{pids:?}");
            assert_eq!(pool.stats().done, 500);
            assert!(pids.len() as u64 <= pool.stats().recycled + 1);
        },
    );
}

fn replacement_first(host: &Host) {
    let folder = tempfile::tempdir().expect("a folder");
    let held = folder.path().to_str().expect("a plain path").to_owned();
    with_pool(
        host,
        |pool| pool.workers(1).max_jobs(1).env(HELD, &*held),
        async |pool| {
            let first = pool.run(PID, &()).await.expect("a worker");
            until(Duration::from_secs(10), "a replacement is started", || {
                (children().len() == 2).then_some(())
            });
            for _ in 0..100 {
                assert_eq!(pool.run(PID, &()).await, Ok(first));
            }
            std::fs::write(folder.path().join("open"), "").expect("there is room");
            until(Duration::from_secs(10), "the replacement serves", || {
                assert!((1..=2).contains(&pool.stats().workers));
                (block_on_pid(pool) != first).then_some(())
            });
            assert_eq!((pool.stats().died, pool.stats().start_failures), (0, 0));
        },
    );
}

fn dying_replacement(host: &Host) {
    let folder = tempfile::tempdir().expect("a folder");
    let held = folder.path().to_str().expect("a plain path").to_owned();
    std::fs::write(folder.path().join("die"), "").expect("there is room");
    with_pool(
        host,
        |pool| pool.workers(1).max_jobs(1).env(HELD, &*held),
        async |pool| {
            let first = pool.run(PID, &()).await.expect("a worker");
            let began = Instant::now();
            until(Duration::from_secs(20), "two have died", || {
                assert_eq!(block_on_pid(pool), first, "none took its place");
                (2 <= pool.stats().start_failures).then_some(())
            });
            assert!(Duration::from_millis(900) < began.elapsed(), "there is no pause");
            assert_eq!((pool.stats().started, pool.stats().recycled), (1, 0));
        },
    );
}

fn silent_replacement(host: &Host) {
    let folder = tempfile::tempdir().expect("a folder");
    let held = folder.path().to_str().expect("a plain path").to_owned();
    with_pool(
        host,
        |pool| {
            let timeout = Duration::from_millis(300);
            pool.workers(1).max_jobs(1).start_timeout(timeout).env(HELD, &*held)
        },
        async |pool| {
            let first = pool.run(PID, &()).await.expect("a worker");
            until(Duration::from_secs(10), "a replacement is given up", || {
                (1 <= pool.stats().start_failures).then_some(())
            });
            until(Duration::from_secs(10), "it is gone", || (children() == [first]).then_some(()));
            assert_eq!(pool.run(PID, &()).await, Ok(first));
        },
    );
}

fn idle_pause(host: &Host) {
    let folder = tempfile::tempdir().expect("a folder");
    let held = folder.path().to_str().expect("a plain path").to_owned();
    std::fs::write(folder.path().join("die"), "").expect("there is room");
    with_pool(
        host,
        |pool| pool.workers(1).max_age(Duration::from_millis(1)).env(HELD, &*held),
        async |pool| {
            assert_eq!(pool.ready().await, Ok(()));
            until(Duration::from_secs(10), "a replacement is given up", || {
                (1 <= pool.stats().start_failures).then_some(())
            });
            let used = used_in(Duration::from_millis(700));
            assert!(used < Duration::from_millis(150), "{used:?}");
        },
    );
}

/// Makes this executable a parent whose workers print to its stdout or nowhere, one replaced by plan and one let go at the end.
pub(crate) const LET_GO: &str = "TEST_LET_GO";

pub(crate) fn let_go_and_tell(host: &Host, stdout: &str) -> ! {
    let stdout = if stdout == "inherited" { Stdout::Inherited } else { Stdout::Discarded };
    let pids = block_on(async {
        let pool = ProcessPool::builder(host).workers(1).max_jobs(1).stdout(stdout);
        let pool = pool.build().expect("a pool");
        let mut pids = Vec::new();
        while pids.len() < 2 {
            let pid = pool.run(BEHAVE, &"keep a word back".to_owned()).await.expect("a worker");
            pids.push(pid);
            pids.dedup();
        }
        pool.shutdown().await;
        pids
    });
    let _ = write!(std::io::stderr(), "{} {}", pids[0], pids[1]);
    std::process::exit(0)
}

fn let_go(_: &Host) {
    let said = |stdout| {
        let output = std::process::Command::new("/proc/self/exe").env(LET_GO, stdout).output();
        let output = output.expect("this executable runs");
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("it is text"))
    };
    let [words, pids] = said("inherited");
    for pid in pids.split(' ') {
        assert!(words.contains(&format!("kept back by {pid}\u{1f}")), "{pids}: {words:?}");
    }
    assert_eq!(said("discarded")[0], "");
}

fn some_live(host: &Host) {
    let folder = tempfile::tempdir().expect("a folder");
    let held = folder.path().to_str().expect("a plain path").to_owned();
    std::fs::write(folder.path().join("die"), "").expect("there is room");
    with_pool(
        host,
        |pool| pool.workers(2).env(HELD, &*held),
        async |pool| {
            until(Duration::from_secs(10), "one lives", || {
                (pool.stats().workers == 1).then_some(())
            });
            let mut jobs = Vec::new();
            for _ in 0..40 {
                jobs.push(pool.submit(NAP, &20_000).await.expect("one worker lives"));
            }
            until(Duration::from_secs(20), "the other did not start", || {
                (3 <= pool.stats().start_failures).then_some(())
            });
            let broken = pool.ready().await;
            let died = Death::Exited(5);
            assert!(
                matches!(&broken, Err(StartError::EndedEarly { death, .. }) if *death == died),
                "{broken:?}"
            );
            jobs.push(pool.submit(NAP, &1).await.expect("one worker lives"));
            for job in jobs {
                assert_eq!(job.await, Ok(()));
            }
        },
    );
}

/// Holds every worker but the first back before it says hello, until there is a file `open` in this folder; with a file
/// `die` it ends at once.
pub(crate) const HELD: &str = "TEST_HELD";

pub(crate) fn hold_back_when_told() {
    let Some(folder) = std::env::var_os(HELD).map(std::path::PathBuf::from) else { return };
    let first = std::fs::File::create_new(folder.join("first")).is_ok();
    if !first && folder.join("die").exists() {
        std::process::exit(5);
    }
    while !first && !folder.join("open").exists() {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn stands_still(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let pid = pool.run(PID, &()).await.expect("a worker");
            signal(pid, Signal::STOP);
            let job = pool.submit(DOUBLE, &4).await.expect("there is room");
            until(Duration::from_secs(5), "it has the job", || {
                (pool.stats().running == 1).then_some(())
            });
            // As a debugger does, at leisure.
            until(Duration::from_secs(5), "it stands still", || {
                (state(pid) == Some('T')).then_some(())
            });
            signal(pid, Signal::CONT);
            assert_eq!(job.await, Ok(8));
            // A timeout goes on meanwhile.
            signal(pid, Signal::STOP);
            let late = pool.run(DOUBLE.timeout(Duration::from_millis(20)), &4).await;
            assert!(matches!(late, Err(JobError::TimedOut { .. })), "{late:?}");
            assert_eq!(pool.run(DOUBLE, &5).await, Ok(10));
            assert_eq!((pool.stats().started, pool.stats().died), (2, 0));
        },
    );
}

fn by_age(host: &Host) {
    let age = Duration::from_millis(50);
    with_pool(
        host,
        |pool| pool.workers(1).max_age(age),
        async |pool| {
            let first = pool.run(PID, &()).await.expect("a worker");
            until(Duration::from_secs(10), "two more", || {
                (2 <= pool.stats().recycled).then_some(())
            });
            assert_ne!(pool.run(PID, &()).await, Ok(first));
            assert_eq!(pool.stats().start_failures, 0);
        },
    );
}

fn by_memory(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1).max_resident_bytes(64 << 20),
        async |pool| {
            let first = pool.run(HOARD, &(1 << 20)).await.expect("a worker");
            for _ in 0..50 {
                assert_eq!(pool.run(PID, &()).await, Ok(first));
            }
            assert_eq!(pool.stats().recycled, 0, "it is small");
            assert_eq!(pool.run(HOARD, &(80 << 20)).await, Ok(first));
            until(Duration::from_secs(10), "a new one", || {
                (block_on_pid(pool) != first).then_some(())
            });
            assert_eq!(pool.stats().died, 0);
        },
    );
}

/// From within `block_on`, on a thread of its own.
fn block_on_pid(pool: &ProcessPool) -> u32 {
    std::thread::scope(|scope| {
        let pid = scope.spawn(|| block_on(pool.run(PID, &())).expect("a worker"));
        pid.join().expect("no panic")
    })
}

fn no_replacement(host: &Host) {
    let copy = copy_of_this_executable();
    let build = |pool: tidegate_pools::process::ProcessPoolBuilder| {
        pool.workers(1).max_jobs(1).executable(&*copy).env("TEST_BUILD", "copy")
    };
    let host = named_host(host);
    with_pool(&host, build, async |pool| {
        assert_eq!(pool.ready().await, Ok(()));
        std::fs::remove_file(&copy).expect("it is there");
        for n in 0..100 {
            assert_eq!(pool.run(DOUBLE, &n).await, Ok(2 * n));
        }
        assert_eq!((pool.stats().recycled, pool.stats().started), (0, 1));
        assert!(0 < pool.stats().start_failures);
    });
}

/// As if this process were the build `copy`, which a copied executable can agree with.
fn named_host(_: &Host) -> Host {
    tidegate_pools::process::init(super::functions::all().build_id("copy"))
}

fn copy_of_this_executable() -> tempfile::TempPath {
    let path = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
    std::fs::copy("/proc/self/exe", &path).expect("a copy");
    path
}

/// In a copy of the test executable: deletes it or puts something else into its place, then works with workers of the
/// image that has no file any more.
pub(crate) fn delete_and_run(host: &Host, how: &str) -> ! {
    let exe = std::env::current_exe().expect("procfs");
    if how == "replace" {
        let other = exe.with_extension("new");
        std::fs::copy("/bin/true", &other).expect("there is room");
        std::fs::rename(other, exe).expect("one folder");
    } else {
        std::fs::remove_file(exe).expect("it is there");
    }
    let answer = block_on(async {
        let pool = ProcessPool::builder(host).workers(1).build().expect("a pool");
        pool.run(DOUBLE, &21).await
    });
    std::process::exit(i32::from(answer != Ok(42)))
}

fn replaced_executable(_: &Host) {
    for how in ["delete", "replace"] {
        // A copy of this executable runs one test of its own, loses its file, and starts workers.
        let copy = copy_of_this_executable();
        let output = std::process::Command::new(&copy).env(DELETE, how).output();
        let output = output.expect("the copy runs");
        assert!(output.status.success(), "{how}: {output:?}");
        assert_eq!(copy.exists(), how == "replace");
        assert_eq!(children(), []);
    }
}
