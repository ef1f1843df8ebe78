//! Random kills: of workers, and of the parent itself.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tidegate_pools::process::{Death, Host, JobError, ProcessPool};

use super::deaths::kill;
use super::functions::{BEHAVE, FAMILY, NAP, PID};
use super::memory::resident_bytes;
use super::support::{Test, block_on, children, nightly, runs, signal, until, with_pool};

/// Makes this executable a parent to be killed; the value is the file to which its workers write.
pub(crate) const PARENT: &str = "TEST_PARENT";

pub(crate) const TESTS: &[Test] = &[
    ("every_job_is_answered_once_whatever_workers_are_killed", random_kills),
    ("nothing_outlives_a_parent_that_was_killed", parent_killed),
];

/// Of resident memory, whatever the number of kills: a page that any of 10,000 leaves behind is ten times that.
const MOST_GROWTH: u64 = 4 << 20;

fn random(below: u64) -> u64 {
    RandomState::new().hash_one(0) % below
}

fn random_kills(host: &Host) {
    let (jobs, kills) = if nightly() { (100_000, 10_000) } else { (1_500, 150) };
    // The first pool warms the allocator's and the kernel's caches up; the others must live on that.
    kill_at_random(host, jobs / 10, kills / 10);
    let resident = resident_bytes();
    kill_at_random(host, jobs, kills);
    let now = resident_bytes();
    assert!(now <= resident + MOST_GROWTH, "{resident} bytes were resident, and now {now}");
}

fn kill_at_random(host: &Host, jobs: u64, kills: u64) {
    let (over, killed_all) = (AtomicBool::new(false), AtomicBool::new(false));
    with_pool(
        host,
        |pool| pool.workers(4).quarantine(0, Duration::ZERO),
        async |pool| {
            std::thread::scope(|scope| {
                let killer = scope.spawn(|| {
                    let mut killed = 0_u64;
                    // ORDERING: Relaxed; only the loop's end hangs on it.
                    while killed < kills && !over.load(Ordering::Relaxed) {
                        // Every kill waits until the pool has recovered from some of the others, and a little.
                        if pool.stats().workers < 3 {
                            std::thread::park_timeout(Duration::from_micros(200));
                            continue;
                        }
                        let found = children();
                        if !found.is_empty() {
                            kill(found[random(found.len() as u64) as usize]);
                            killed += 1;
                        }
                        std::thread::park_timeout(Duration::from_micros(random(4_000)));
                    }
                    // ORDERING: Relaxed; the count itself comes by the join.
                    killed_all.store(true, Ordering::Relaxed);
                    killed
                });
                let answers = scope.spawn(|| {
                    block_on(async {
                        let mut answers: HashMap<&str, u64> = HashMap::new();
                        let mut sent = 0;
                        // Jobs go on until all kills are done, so that kills meet jobs.
                        // ORDERING: Relaxed; a round more or less does not matter.
                        while sent < jobs || !killed_all.load(Ordering::Relaxed) {
                            let mut batch = Vec::new();
                            for _ in 0..100 {
                                let job = pool.submit(NAP, &random(1_000)).await;
                                batch.push(job.expect("workers start"));
                                sent += 1;
                            }
                            for job in batch {
                                *answers
                                    .entry(match job.await {
                                        Ok(_) => "done",
                                        Err(JobError::Died { death: Death::Signal(9), .. }) => {
                                            "died"
                                        }
                                        other => panic!("{other:?}"),
                                    })
                                    .or_default() += 1;
                            }
                        }
                        (sent, answers)
                    })
                });
                let answers = answers.join();
                // ORDERING: Relaxed; see above.
                over.store(true, Ordering::Relaxed);
                let killed = killer.join().expect("the killer does not panic");
                let (sent, answers) = answers.expect("every job is answered");
                assert_eq!(killed, kills);
                assert_eq!(answers.values().sum::<u64>(), sent);
                let stats = pool.stats();
                assert_eq!(stats.submitted, sent);
                assert_eq!(stats.done, answers["done"]);
                assert_eq!(stats.died, answers.get("died").copied().unwrap_or(0));
                assert!(kills / 20 < stats.died, "few kills met a job: {stats:?}");
            });
        },
    );
}

/// A parent with workers that are busy (and have children, and ignore SIGTERM) and one that is idle, with a child that a job left.
pub(crate) fn be_a_parent(host: &Host, path: &str) -> ! {
    block_on(async {
        let pool = ProcessPool::builder(host).workers(3).build().expect("a pool");
        let _busy = pool.submit(FAMILY, &path.to_owned()).await.expect("there is room");
        let _too = pool.submit(FAMILY, &path.to_owned()).await.expect("there is room");
        let idle = pool.run(PID, &()).await.expect("a worker");
        let left = pool.run(BEHAVE, &"leave a child".to_owned()).await.expect("the same worker");
        let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("it is there");
        // In one write: the busy ones write to it, too.
        file.write_all(format!("{idle} {left}\n").as_bytes()).expect("the file is writable");
        std::future::pending::<()>().await;
    });
    std::process::exit(0)
}

/// A process that is killed and reaped on drop, so that a test that fails leaves none behind.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn parent_killed(_: &Host) {
    let rounds = if nightly() { 100 } else { 10 };
    for round in 0..rounds {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_str().expect("a plain path");
        let parent = Command::new("/proc/self/exe").env(PARENT, path).stdout(Stdio::null()).spawn();
        let parent = Killed(parent.expect("this executable runs"));
        let pids = until(Duration::from_secs(20), "three workers tell who they are", || {
            let text = std::fs::read_to_string(path).expect("it is there");
            let lines = text.lines().count();
            (lines == 3 && text.ends_with('\n')).then(|| {
                text.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect::<Vec<u32>>()
            })
        });
        assert!(pids.iter().all(|&pid| runs(pid)), "{pids:?}");
        // One that is stopped cannot look after itself.
        signal(pids[round % pids.len()], Signal::STOP);
        drop(parent);
        until(Duration::from_secs(1), "workers and their children are gone", || {
            (!pids.iter().any(|&pid| runs(pid))).then_some(())
        });
    }
}
