//! The lives of workers: replaced by plan, replaced executables.

use std::collections::HashSet;
use std::time::Duration;

use tidegate_pools::process::{Host, ProcessPool};

use super::functions::{DOUBLE, HOARD, PID};
use super::support::{Test, block_on, children, until, with_pool};

/// Makes a copy of the test executable delete itself and go on.
pub(crate) const DELETE: &str = "TEST_DELETE";

pub(crate) const TESTS: &[Test] = &[
    ("a_worker_is_replaced_after_its_jobs_and_none_is_lost", by_jobs),
    ("a_worker_is_replaced_at_its_age_while_idle", by_age),
    ("a_worker_is_replaced_when_it_has_grown", by_memory),
    ("a_replacement_that_does_not_start_leaves_the_old_worker_in_place", no_replacement),
    ("workers_run_the_same_image_after_the_executable_was_deleted", deleted_executable),
];

fn by_jobs(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1).max_jobs(10),
        async |pool| {
            let mut pids = HashSet::new();
            for _ in 0..2_000 {
                pids.insert(pool.run(PID, &()).await.expect("a worker"));
                // The old one serves until the new one has said hello.
                assert_eq!(pool.stats().died, 0);
            }
            assert!(2 < pids.len(), "{pids:?}");
            assert_eq!(pool.stats().done, 2_000);
            assert!(pids.len() as u64 <= pool.stats().recycled + 1);
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

/// In a copy of the test executable: deletes it, then works with workers of the image that has no file any more.
pub(crate) fn delete_and_run(host: &Host) -> ! {
    let exe = std::env::current_exe().expect("procfs");
    std::fs::remove_file(exe).expect("it is there");
    let answer = block_on(async {
        let pool = ProcessPool::builder(host).workers(1).build().expect("a pool");
        pool.run(DOUBLE, &21).await
    });
    std::process::exit(i32::from(answer != Ok(42)))
}

fn deleted_executable(_: &Host) {
    // A copy of this executable runs one test of its own, deletes its file, and starts workers.
    let copy = copy_of_this_executable();
    let output = std::process::Command::new(&copy).env(DELETE, "").output();
    let output = output.expect("the copy runs");
    assert!(output.status.success() && !copy.exists(), "{output:?}");
    assert_eq!(children(), []);
}
