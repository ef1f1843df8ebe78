//! Every way to die: a precise error, no innocent job lost, and the pool serves the next.

use std::time::{Duration, Instant};

use tidegate_pools::process::{
    Death, Host, JobError, ProcessPool, ProcessPoolBuilder, SubmitError,
};

use super::functions::{BEHAVE, BURN, DOUBLE, FAMILY, LENGTH, NAP, PID, POLITE};
use super::support::{Test, block_on, runs, until, with_pool};

pub(crate) const TESTS: &[Test] = &[
    ("a_panic_is_told_with_its_message_and_costs_no_worker", panics),
    ("an_abort_is_told_as_its_signal", |h| dies(h, "abort", &Death::Signal(6))),
    ("a_segfault_is_told_as_its_signal", |h| dies(h, "segfault", &Death::Signal(11))),
    ("exit_0_is_a_death", |h| dies(h, "exit 0", &Death::Exited(0))),
    ("exit_7_is_told_with_its_code", |h| dies(h, "exit 7", &Death::Exited(7))),
    ("a_stack_overflow_is_told_as_such", |h| dies(h, "overflow", &Death::StackOverflow)),
    ("an_allocation_beyond_the_memory_limit_is_told_as_such", out_of_memory),
    ("an_endless_loop_ends_at_the_cpu_time_limit", cpu_time),
    ("the_cpu_time_limit_is_each_jobs_own", cpu_time_renewed),
    ("a_kill_from_outside_is_told_as_sigkill", killed_outside),
    ("half_a_frame_is_told_as_such", |h| {
        dies(h, "half a frame", &Death::BrokeProtocol("it ended 6 bytes into a frame".to_owned()));
    }),
    ("a_frame_larger_than_allowed_ends_the_worker", |h| {
        let what = "a frame of 4294967295 bytes, where at most 268435456 are allowed";
        dies(h, "large frame", &Death::BrokeProtocol(what.to_owned()));
    }),
    ("an_unknown_frame_ends_the_worker", |h| {
        let what = "a frame of the unknown kind 77";
        dies(h, "unknown frame", &Death::BrokeProtocol(what.to_owned()));
    }),
    ("an_answer_to_another_job_ends_the_worker", |h| {
        let what = "it answered job 65535, which it does not have";
        dies(h, "wrong number", &Death::BrokeProtocol(what.to_owned()));
    }),
    ("a_worker_that_closes_its_socket_is_ended", |h| {
        let what = "it closed the pool's socket";
        dies(h, "close the socket", &Death::BrokeProtocol(what.to_owned()));
    }),
    ("a_death_is_seen_while_another_process_holds_the_socket", lent_socket),
    ("an_idle_worker_that_speaks_unasked_is_replaced", speaks_unasked),
    ("a_flood_on_stdout_holds_nobody_up_and_the_last_word_is_told", flood),
    ("a_hung_job_is_told_of_its_timeout_and_the_next_one_runs", timeout),
    ("a_timeout_ends_grandchildren_and_jobs_that_ignore_sigterm", timeout_of_a_family),
    ("a_job_that_heeds_nothing_is_killed_after_its_grace", stubborn),
    ("a_dropped_job_is_killed_after_its_grace", dropped_job),
    ("a_dropped_job_does_not_trouble_those_that_share_its_worker", dropped_neighbour),
    ("a_dropped_job_of_a_dead_worker_is_not_run_again", dropped_with_the_dead),
    ("a_death_after_the_timeout_was_told_is_no_second_end", died_in_its_grace),
    ("no_job_joins_a_worker_that_was_told_to_stop", told_worker),
    ("jobs_of_a_dead_worker_go_to_one_that_sleeps", woken_for_others),
    ("a_polite_job_is_told_and_keeps_its_worker", polite),
    ("one_death_among_forty_costs_no_other_job", one_of_forty),
    ("a_death_in_a_shared_worker_is_blamed_on_the_guilty_job_alone", shared_worker),
    ("a_timeout_in_a_shared_worker_is_told_to_the_guilty_job_alone", shared_timeout),
    ("an_input_that_keeps_killing_is_turned_away", poison),
];

fn dies(host: &Host, how: &str, expected: &Death) {
    dies_in(host, |pool| pool, how, expected);
}

/// Gives the worker's last words.
fn dies_in(
    host: &Host,
    set: impl FnOnce(ProcessPoolBuilder) -> ProcessPoolBuilder,
    how: &str,
    expected: &Death,
) -> String {
    let mut words = String::new();
    with_pool(
        host,
        |pool| set(pool.workers(1)),
        async |pool| {
            match pool.run(BEHAVE, &how.to_owned()).await {
                Err(JobError::Died { death, stderr }) => {
                    assert_eq!(death, *expected, "{stderr}");
                    assert!(stderr.contains(&format!("about to {how}")), "{stderr:?}");
                    words = stderr;
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
            let stats = pool.stats();
            assert_eq!((stats.died, stats.done, stats.started, stats.workers), (1, 1, 2, 1));
        },
    );
    words
}

fn panics(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let error = pool.run(BEHAVE, &"panic".to_owned()).await;
            assert_eq!(error, Err(JobError::Panicked("on purpose".to_owned())));
            assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
            assert_eq!((pool.stats().started, pool.stats().panicked), (1, 1));
        },
    );
}

fn out_of_memory(host: &Host) {
    let limit = 64 << 20;
    let set = |pool: ProcessPoolBuilder| pool.memory_limit_bytes(limit);
    let words = dies_in(host, set, "allocate", &Death::OutOfMemory(limit));
    let so_far = words.lines().filter_map(|line| line.strip_suffix(" MiB so far")?.parse().ok());
    let most: u64 = so_far.max().expect("it got some");
    assert!((16..=64).contains(&most), "{most} MiB of 64");
}

fn cpu_time(host: &Host) {
    let limit = Duration::from_secs(1);
    let start = Instant::now();
    dies_in(host, |pool| pool.cpu_time_limit(limit), "spin", &Death::CpuTime(limit));
    assert!(limit <= start.elapsed());
}

fn cpu_time_renewed(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1).cpu_time_limit(Duration::from_secs(1)),
        async |pool| {
            // 1.4 seconds of processor time in all, each job within its own second.
            for _ in 0..2 {
                assert_eq!(pool.run(BURN, &700).await, Ok(()));
            }
            assert_eq!(pool.stats().started, 1);
        },
    );
}

fn killed_outside(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let pid = pool.run(PID, &()).await.expect("a worker");
            let job = pool.submit(BEHAVE, &"sleep".to_owned()).await.expect("there is room");
            until(Duration::from_secs(5), "it runs", || (pool.stats().running == 1).then_some(()));
            kill(pid);
            let death = Death::Signal(9);
            assert!(matches!(job.await, Err(JobError::Died { death: told, .. }) if told == death));
            assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
            // An idle worker that is killed costs no job at all.
            kill(pool.run(PID, &()).await.expect("a worker"));
            until(Duration::from_secs(5), "a new one", || {
                (pool.stats().started == 3).then_some(())
            });
            assert_eq!(pool.run(DOUBLE, &5).await, Ok(10));
            until(Duration::from_secs(5), "it sleeps, once", || {
                (pool.stats().idle == 1).then_some(())
            });
            assert_eq!(pool.stats().start_failures, 0, "it had started well");
        },
    );
}

fn lent_socket(host: &Host) {
    dies(host, "lend the socket and exit 7", &Death::Exited(7));
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let job = "lend the socket and exit 7 soon".to_owned();
            assert_eq!(pool.run(BEHAVE, &job).await, Ok(0));
            until(Duration::from_secs(10), "a new one", || {
                (pool.stats().started == 2).then_some(())
            });
            assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
        },
    );
}

fn speaks_unasked(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            assert_eq!(pool.run(BEHAVE, &"speak unasked".to_owned()).await, Ok(0));
            until(Duration::from_secs(10), "a new one", || {
                (pool.stats().started == 2).then_some(())
            });
            assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
        },
    );
}

pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).expect("a pid");
    // It may have gone by itself.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

fn flood(host: &Host) {
    with_pool(
        host,
        |pool| pool,
        async |pool| match pool.run(BEHAVE, &"flood".to_owned()).await {
            Err(JobError::Died { death: Death::Exited(3), stderr }) => {
                assert!(stderr.trim_end().ends_with("the last word"));
                assert!(stderr.len() <= 8 * 1024);
            }
            other => panic!("{other:?}"),
        },
    );
}

fn timeout(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            assert_eq!(pool.ready().await, Ok(()));
            let after = Duration::from_millis(50);
            for how in ["spin", "sleep"] {
                let start = Instant::now();
                let error = pool.run(BEHAVE.timeout(after), &how.to_owned()).await;
                let took = start.elapsed();
                let stderr = format!("about to {how}\n");
                assert_eq!(error, Err(JobError::TimedOut { after, stderr }));
                // The bench measures the latency; a busy machine gets more than that here.
                assert!(after <= took && took < Duration::from_secs(1), "{took:?}");
                assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
            }
            assert_eq!((pool.stats().timed_out, pool.stats().died), (2, 0));
        },
    );
}

fn timeout_of_a_family(host: &Host) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("a plain path").to_owned();
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let job = pool.run(FAMILY.timeout(Duration::from_millis(300)), &path).await;
            assert!(matches!(job, Err(JobError::TimedOut { .. })), "{job:?}");
            let text = std::fs::read_to_string(&path).expect("the file is there");
            let pids: Vec<u32> =
                text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
            assert_eq!(pids.len(), 2);
            until(Duration::from_secs(1), "both are gone", || {
                (!pids.iter().any(|&pid| runs(pid))).then_some(())
            });
            assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
        },
    );
}

fn stubborn(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let time = Duration::from_millis(50);
            let late = pool.run(BEHAVE.timeout(time).grace(time), &"spin".to_owned()).await;
            assert!(matches!(late, Err(JobError::TimedOut { .. })), "{late:?}");
            let next = tokio::time::timeout(Duration::from_secs(20), pool.run(DOUBLE, &4)).await;
            assert_eq!(next, Ok(Ok(8)), "it was killed");
            assert_eq!((pool.stats().timed_out, pool.stats().started), (1, 2));
        },
    );
}

fn dropped_neighbour(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let polite = POLITE.idempotent().grace(Duration::from_secs(20));
            let kept = pool.submit(polite, &400).await.expect("there is room");
            let dropped = pool.submit(polite, &1).await.expect("there is room");
            until(Duration::from_secs(5), "one worker has both", || {
                (pool.stats().running == 2).then_some(())
            });
            drop(dropped);
            assert_eq!(kept.await, Ok("not told".to_owned()));
            assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
            let stats = pool.stats();
            assert_eq!((stats.started, stats.done, stats.cancelled), (1, 2, 1));
        },
    );
}

fn dropped_with_the_dead(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let polite = POLITE.grace(Duration::from_secs(20));
            let busy = pool.submit(polite, &60_000).await;
            until(Duration::from_secs(5), "it runs", || (pool.stats().running == 1).then_some(()));
            let behave = BEHAVE.idempotent();
            let guilty = pool.submit(behave, &"exit 7 late".to_owned()).await.expect("room");
            let dropped = pool.submit(behave, &"read stdin".to_owned()).await.expect("room");
            drop(busy);
            until(Duration::from_secs(5), "one worker has both", || {
                (pool.stats().running == 2).then_some(())
            });
            drop(dropped);
            let guilty = guilty.await;
            assert!(matches!(guilty, Err(JobError::Died { .. })), "{guilty:?}");
            let stats = pool.stats();
            assert_eq!((stats.requeued, stats.cancelled, stats.given_up), (1, 2, 0));
        },
    );
}

fn died_in_its_grace(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let behave = BEHAVE.timeout(Duration::from_millis(50)).grace(Duration::from_secs(20));
            let late = pool.run(behave, &"exit 7 late".to_owned()).await;
            assert!(matches!(late, Err(JobError::TimedOut { .. })), "{late:?}");
            assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
            let stats = pool.stats();
            assert_eq!((stats.timed_out, stats.died, stats.started), (1, 0, 2));
        },
    );
}

fn told_worker(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let hang = BEHAVE.idempotent().grace(Duration::from_millis(300));
            let job = pool.submit(hang, &"sleep".to_owned()).await.expect("there is room");
            until(Duration::from_secs(5), "it runs", || (pool.stats().running == 1).then_some(()));
            drop(job);
            until(Duration::from_secs(5), "it is told", || {
                (pool.stats().cancelled == 1).then_some(())
            });
            assert_eq!(pool.run(NAP.idempotent(), &1).await, Ok(()));
            assert_eq!((pool.stats().requeued, pool.stats().started), (0, 2));
        },
    );
}

fn woken_for_others(host: &Host) {
    let folder = tempfile::tempdir().expect("a folder");
    let (held, open) = (folder.path().to_str().expect("a plain path"), folder.path().join("open"));
    std::fs::write(&open, "").expect("there is room");
    with_pool(
        host,
        |pool| pool.workers(2).env(super::lives::HELD, held),
        async |pool| {
            assert_eq!(pool.ready().await, Ok(()));
            // From now on who dies has no successor.
            std::fs::remove_file(&open).expect("it is there");
            let polite = POLITE.grace(Duration::from_secs(20));
            let busy = [pool.submit(polite, &60_000).await, pool.submit(polite, &60_000).await];
            until(Duration::from_secs(5), "both are busy", || {
                (pool.stats().running == 2).then_some(())
            });
            let behave = BEHAVE.idempotent();
            let guilty = pool.submit(behave, &"exit 7 late".to_owned()).await.expect("room");
            let mut others = Vec::new();
            for _ in 0..3 {
                others.push(pool.submit(behave, &"read stdin".to_owned()).await.expect("room"));
            }
            drop(busy);
            // Two go to each; one dies of its first, and the other sleeps when that is put back.
            let guilty = tokio::time::timeout(Duration::from_secs(20), guilty).await;
            let guilty = guilty.expect("the other worker took it");
            assert!(matches!(guilty, Err(JobError::Died { .. })), "{guilty:?}");
            std::fs::write(&open, "").expect("there is room");
            for other in others {
                assert_eq!(other.await, Ok(0));
            }
            until(Duration::from_secs(5), "nothing runs", || {
                (pool.stats().running == 0).then_some(())
            });
        },
    );
}

fn dropped_job(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let first = pool.run(PID, &()).await.expect("a worker");
            for grace in [Duration::ZERO, Duration::from_millis(50)] {
                let job = pool.submit(BEHAVE.grace(grace), &"spin".to_owned()).await;
                until(Duration::from_secs(5), "it runs", || {
                    (pool.stats().running == 1).then_some(())
                });
                drop(job);
                let second = pool.run(PID, &()).await.expect("a worker");
                assert_ne!(first, second);
            }
            assert_eq!((pool.stats().cancelled, pool.stats().died), (2, 0));
        },
    );
}

fn polite(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let polite = POLITE.grace(Duration::from_secs(20));
            let after = Duration::from_millis(20);
            let late = pool.run(polite.timeout(after), &60_000).await;
            assert_eq!(late, Err(JobError::TimedOut { after, stderr: String::new() }));
            let job = pool.submit(polite, &60_000).await.expect("there is room");
            until(Duration::from_secs(5), "it runs", || (pool.stats().running == 1).then_some(()));
            drop(job);
            assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
            assert_eq!(pool.stats().started, 1);
        },
    );
}

fn one_of_forty(host: &Host) {
    with_pool(
        host,
        |pool| pool,
        async |pool| {
            let mut jobs = Vec::new();
            let mut guilty = None;
            for n in 0..40 {
                if n == 20 {
                    guilty = pool.submit(BEHAVE, &"abort".to_owned()).await.ok();
                }
                jobs.push(pool.submit(DOUBLE, &n).await.expect("there is room"));
            }
            for (n, job) in (0..).zip(jobs) {
                assert_eq!(job.await, Ok(2 * n));
            }
            let guilty = guilty.expect("there is room").await;
            assert!(matches!(guilty, Err(JobError::Died { death: Death::Signal(6), .. })));
        },
    );
}

fn shared_worker(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let inputs = (0..40).map(|n| if n == 7 { "exit 7" } else { "read stdin" }.to_owned());
            let answers = pool.batch(BEHAVE.idempotent(), inputs).await;
            for (n, answer) in answers.into_iter().enumerate() {
                match answer {
                    Ok(0) if n != 7 => {}
                    Err(JobError::Died { death: Death::Exited(7), .. }) if n == 7 => {}
                    other => panic!("{n}: {other:?}"),
                }
            }
            assert!(0 < pool.stats().requeued && pool.stats().died == 1);
        },
    );
}

fn shared_timeout(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let inputs = (0..40).map(|n| if n == 7 { "spin" } else { "read stdin" }.to_owned());
            let function = BEHAVE.idempotent().timeout(Duration::from_millis(300));
            let answers = pool.batch(function, inputs).await;
            for (n, answer) in answers.into_iter().enumerate() {
                match answer {
                    Ok(0) if n != 7 => {}
                    Err(JobError::TimedOut { .. }) if n == 7 => {}
                    other => panic!("{n}: {other:?}"),
                }
            }
        },
    );
}

fn poison(host: &Host) {
    let keep = Duration::from_secs(60);
    with_pool(
        host,
        |pool| pool.workers(1).quarantine(2, keep),
        async |pool| {
            let mut deaths = 0;
            for _ in 0..100 {
                match pool.run(BEHAVE, &"exit 7".to_owned()).await {
                    Err(JobError::Died { .. }) => deaths += 1,
                    other => {
                        assert_eq!(other, Err(JobError::Rejected(SubmitError::Poisoned(2))));
                    }
                }
            }
            assert_eq!((deaths, pool.stats().poisoned), (2, 98));
            assert!(pool.stats().started <= 3);
            assert_eq!(
                pool.run(BEHAVE, &"read stdin".to_owned()).await,
                Ok(0),
                "another input runs"
            );
            let same = pool.run(LENGTH, &"exit 7".to_owned()).await;
            assert_eq!(same, Ok(6), "another function takes the same input");
        },
    );
    block_on(async {
        let pool = ProcessPool::builder(host).workers(1).quarantine(0, keep).build();
        let pool = pool.expect("a pool");
        for _ in 0..4 {
            let error = pool.run(BEHAVE, &"exit 7".to_owned()).await;
            assert!(matches!(error, Err(JobError::Died { .. })), "{error:?}");
        }
        pool.kill().await;
    });
}
