//! What a pool does when nobody dies.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use serde_bytes::ByteBuf;
use tidegate_pools::process::{
    Function, Functions, Host, JobError, ProcessPool, ProcessPoolBuilder, Stdout, SubmitError,
};

use super::functions::{
    BEHAVE, DOUBLE, ECHO, GROW, LENGTH, LOUD, NAP, PID, POLITE, UNFIT, UNREGISTERED, Unfit,
};
use super::support::{Test, block_on, children, until, used_in, with_pool};

pub(crate) const TESTS: &[Test] = &[
    ("a_job_returns_its_output_or_its_error", output_or_error),
    ("a_batch_answers_in_the_order_of_its_inputs", batch_in_order),
    ("what_a_job_prints_does_not_reach_the_protocol", prints),
    ("a_job_that_reads_stdin_reads_nothing", stdin),
    ("a_worker_has_the_environment_and_the_limits_it_was_given", surroundings),
    ("eight_large_payloads_in_flight_do_not_deadlock", large_payloads),
    ("results_that_nobody_reads_hold_nobody_up", never_read),
    ("an_input_or_output_above_the_frame_limit_is_an_error", too_large),
    ("values_that_do_not_survive_encoding_are_told_as_such", unfit_values),
    ("a_panic_message_larger_than_a_frame_is_cut_and_costs_no_worker", loud_panic),
    ("a_worker_holds_several_jobs_of_an_idempotent_function_and_one_of_any_other", in_flight),
    ("the_timeout_of_a_job_in_a_shared_worker_begins_when_the_one_before_it_ends", own_time),
    ("long_jobs_of_an_idempotent_batch_are_shared_out_among_the_workers", shared_out),
    ("the_counts_of_a_pool_add_up_whatever_becomes_of_its_jobs", counts_add_up),
    ("a_job_that_shares_a_worker_gives_its_place_in_the_queue_back", place_back),
    ("an_idle_pool_takes_no_processor_time", idle_costs_nothing),
    ("a_shutdown_after_a_kill_does_not_take_it_back", killed_for_good),
    ("a_job_that_asks_for_its_cancellation_takes_nothing_from_the_next_one", looks_ahead),
    ("a_call_is_refused_exactly_where_its_frame_would_be_too_large", at_the_limit),
    ("a_worker_is_shown_by_its_programs_name_and_as_a_worker", shown_as),
    ("two_functions_of_one_name_are_refused_at_once", |_| {
        let twice = std::panic::catch_unwind(|| Functions::new().with(DOUBLE).with(DOUBLE));
        assert!(twice.is_err());
    }),
    ("try_submit_refuses_when_the_queue_is_full", full),
    ("a_function_that_is_not_registered_is_refused", unregistered),
    ("a_closed_pool_refuses_and_a_second_shutdown_is_harmless", closed),
    ("shutdown_finishes_what_was_taken_in", drains),
    ("a_dropped_pool_answers_closed_and_leaves_no_process", dropped),
];

fn output_or_error(host: &Host) {
    with_pool(
        host,
        |pool| pool,
        async |pool| {
            assert_eq!(pool.run(DOUBLE, &21).await, Ok(42));
            let error = pool.run(DOUBLE, &u64::MAX).await;
            assert_eq!(error, Err(JobError::Failed(format!("{} is too large", u64::MAX))));
            let stats = pool.stats();
            assert_eq!((stats.submitted, stats.done, stats.failed), (2, 1, 1));
            assert_eq!((stats.run.count, stats.wait.count), (2, 2));
        },
    );
}

fn batch_in_order(host: &Host) {
    with_pool(
        host,
        |pool| pool,
        async |pool| {
            for function in [DOUBLE, DOUBLE.idempotent()] {
                let answers = pool.batch(function, 0..2000).await;
                assert!(answers.into_iter().eq((0..2000).map(|n| Ok(2 * n))));
            }
        },
    );
}

fn prints(host: &Host) {
    for (stdout, shown) in [(Stdout::Captured, true), (Stdout::Discarded, false)] {
        with_pool(
            host,
            |pool| pool.stdout(stdout).workers(1),
            async |pool| {
                for _ in 0..3 {
                    assert_eq!(pool.run(BEHAVE, &"print".to_owned()).await, Ok(1));
                    assert_eq!(pool.run(DOUBLE, &1).await, Ok(2));
                }
                assert_eq!(pool.stats().started, 1);
                match pool.run(BEHAVE, &"print and exit".to_owned()).await {
                    Err(JobError::Died { stderr, .. }) => {
                        assert_eq!(stderr.contains("on stdout"), shown, "{stderr}");
                        assert!(!stderr.contains("nor this"), "words of an earlier job: {stderr}");
                    }
                    other => panic!("{other:?}"),
                }
            },
        );
    }
}

fn stdin(host: &Host) {
    with_pool(
        host,
        |pool| pool,
        async |pool| {
            assert_eq!(pool.run(BEHAVE, &"read stdin".to_owned()).await, Ok(0));
        },
    );
}

fn surroundings(host: &Host) {
    let ask = |what: &'static str, set: fn(ProcessPoolBuilder) -> ProcessPoolBuilder| {
        let mut answer = 0;
        with_pool(host, set, async |pool| {
            answer = pool.run(BEHAVE, &what.to_owned()).await.expect("an answer");
        });
        answer
    };
    // What it was given, and that it is a worker.
    assert_eq!(ask("count variables", |pool| pool.clear_env().env("A", "1")), 2);
    assert!(2 < ask("count variables", |pool| pool));
    assert_eq!(ask("tell core limit", |pool| pool), 0);
    let ours = getrlimit(Resource::Core).current.map_or(u32::MAX, |n| n as u32);
    assert_eq!(ask("tell core limit", |pool| pool.core_dumps(true)), ours);
}

fn large_payloads(host: &Host) {
    with_pool(
        host,
        |pool| pool,
        async |pool| {
            let size = 64 << 20;
            for function in [ECHO, ECHO.idempotent()] {
                let mut jobs = Vec::new();
                for n in 0..8 {
                    let input = ByteBuf::from(vec![n; size]);
                    jobs.push(pool.submit(function, &input).await.expect("there is room"));
                }
                for (n, job) in (0..).zip(jobs) {
                    let output = job.await.expect("an echo");
                    assert!(output == vec![n; size], "an echo is what was said");
                }
            }
        },
    );
}

fn never_read(host: &Host) {
    with_pool(
        host,
        |pool| pool,
        async |pool| {
            let input = ByteBuf::from(vec![7; 1 << 20]);
            let mut unread = Vec::new();
            for _ in 0..32 {
                unread.push(pool.submit(ECHO, &input).await.expect("there is room"));
            }
            assert_eq!(pool.run(DOUBLE, &1).await, Ok(2));
            until(Duration::from_secs(20), "all are done", || {
                (pool.stats().done == 33).then_some(())
            });
            drop(unread);
            assert_eq!(pool.run(DOUBLE, &2).await, Ok(4));
        },
    );
}

fn too_large(host: &Host) {
    with_pool(
        host,
        |pool| pool.max_frame_bytes(10_000).workers(1),
        async |pool| {
            let input = ByteBuf::from(vec![0; 10_000]);
            let error = pool.run(ECHO, &input).await;
            assert_eq!(error, Err(JobError::Rejected(SubmitError::TooLarge(10_000))));
            assert_eq!(pool.run(GROW, &10_000).await, Err(JobError::OutputTooLarge(10_000)));
            assert!(pool.run(GROW, &9_000).await.is_ok());
            assert_eq!(pool.stats().started, 1, "neither costs a worker");
        },
    );
}

fn unfit_values(host: &Host) {
    // What a caller takes for the function of that name, and what the worker knows, differ in their types.
    const TEXT_IN: Function<String, u64, String> = Function::new("double", |_, _| Ok(0));
    const TEXT_OUT: Function<u64, String, String> =
        Function::new("double", |_, _| Ok(String::new()));
    const UNFIT_IN: Function<Unfit, ByteBuf, ()> =
        Function::new("echo", |_, _| Ok(ByteBuf::default()));
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let told = |error: JobError<String>, side: &str| match error {
                JobError::Codec(why) => assert!(why.starts_with(side), "{why}"),
                other => panic!("{other:?}"),
            };
            let text = "more bytes than a number has".to_owned();
            told(pool.run(TEXT_IN, &text).await.expect_err("text is no number"), "input: ");
            told(pool.run(TEXT_OUT, &21).await.expect_err("a number is no text"), "output: ");
            match pool.run(UNFIT, &()).await {
                Err(JobError::Codec(why)) => assert!(why.starts_with("output: Done: "), "{why}"),
                other => panic!("{other:?}"),
            }
            let rejected = pool.run(UNFIT_IN, &Unfit).await;
            assert!(
                matches!(rejected, Err(JobError::Rejected(SubmitError::Encode(_)))),
                "{rejected:?}"
            );
            assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
            let stats = pool.stats();
            assert_eq!((stats.started, stats.submitted, stats.refused), (1, 4, 2));
        },
    );
}

fn loud_panic(host: &Host) {
    with_pool(
        host,
        |pool| pool.max_frame_bytes(2_001).workers(1),
        async |pool| {
            // The letter has two bytes: no more than a thousand fit, and none is torn.
            match pool.run(LOUD, &100_000).await {
                Err(JobError::Panicked(message)) => assert_eq!(message, "\u{e4}".repeat(1_000)),
                other => panic!("{other:?}"),
            }
            assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
            assert_eq!(pool.stats().started, 1);
        },
    );
}

fn in_flight(host: &Host) {
    for (function, most) in [(POLITE.idempotent(), 3), (POLITE, 1)] {
        with_pool(
            host,
            |pool| pool.workers(1).in_flight(3),
            async |pool| {
                let mut jobs = Vec::new();
                for _ in 0..8 {
                    let function = function.grace(Duration::from_secs(20));
                    jobs.push(pool.submit(function, &60_000).await.expect("there is room"));
                }
                until(Duration::from_secs(5), "it has its fill", || {
                    (pool.stats().running == most).then_some(())
                });
                assert_eq!(pool.stats().queued, 8 - most);
                // It goes on with the others when they are wanted no more.
                drop(jobs);
                assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
                assert_eq!((pool.stats().started, pool.stats().cancelled), (1, 8));
            },
        );
    }
}

fn own_time(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let nap = NAP.idempotent().timeout(Duration::from_secs(1));
            let answers = pool.batch(nap, [150_000; 10]).await;
            assert!(answers.iter().all(Result::is_ok), "{answers:?}");
            assert_eq!((pool.stats().requeued, pool.stats().started), (0, 1));
        },
    );
}

fn shared_out(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(4),
        async |pool| {
            // While all are busy the queue fills; whoever is free first could take all of it.
            let polite = POLITE.grace(Duration::from_secs(20));
            let mut busy = Vec::new();
            for _ in 0..4 {
                busy.push(pool.submit(polite, &60_000).await.expect("there is room"));
            }
            until(Duration::from_secs(10), "all are busy", || {
                (pool.stats().running == 4).then_some(())
            });
            let mut jobs = Vec::new();
            for _ in 0..8 {
                let nap = NAP.idempotent();
                jobs.push(pool.submit(nap, &60_000_000).await.expect("there is room"));
            }
            drop(busy);
            until(Duration::from_secs(10), "each has its share", || {
                let stats = pool.stats();
                (stats.queued + stats.running == 8 && stats.running >= 4 && stats.idle == 0)
                    .then_some(())
            });
            drop(jobs);
        },
    );
}

fn counts_add_up(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(2).quarantine(0, Duration::ZERO),
        async |pool| {
            let ways = ["read stdin", "no way", "panic", "exit 7", "spin", "read stdin"];
            let mut kept = Vec::new();
            for n in 0..120 {
                let after = Duration::from_millis(if n % 6 == 4 { 5 } else { 10_000 });
                let mut function = BEHAVE.timeout(after);
                if n % 4 == 0 {
                    function = function.idempotent();
                }
                let job = pool.submit(function, &ways[n % 6].to_owned()).await;
                let job = job.expect("there is room");
                // Every seventh is dropped: in the queue, while it runs or when it is done.
                if n % 7 != 0 {
                    kept.push(job);
                }
            }
            // The last of them hang, and are given up with the pool.
            for _ in 0..4 {
                kept.push(pool.submit(BEHAVE, &"sleep".to_owned()).await.expect("there is room"));
            }
            until(Duration::from_secs(30), "only those are left", || {
                (pool.stats().queued == 2 && pool.stats().running == 2).then_some(())
            });
            pool.kill().await;
            let stats = pool.stats();
            let ends = [
                stats.done,
                stats.failed,
                stats.panicked,
                stats.timed_out,
                stats.cancelled,
                stats.died,
                stats.refused,
                stats.given_up,
            ];
            assert_eq!(ends.iter().sum::<u64>(), stats.submitted, "{stats:?}");
            assert_eq!((stats.submitted, stats.given_up), (124, 4), "{stats:?}");
            assert!(ends[..6].iter().all(|&count| 0 < count), "{stats:?}");
            assert_eq!((stats.workers, stats.queued, stats.running), (0, 0, 0));
            for job in kept {
                drop(job.await);
            }
        },
    );
}

fn place_back(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1).queue(4),
        async |pool| {
            let polite = POLITE.idempotent().grace(Duration::from_secs(20));
            let busy = pool.submit(polite, &60_000).await.expect("there is room");
            until(Duration::from_secs(5), "it runs", || (pool.stats().running == 1).then_some(()));
            let fill = || [(); 4].map(|()| pool.try_submit(polite, &60_000).expect("a place"));
            let first = fill();
            drop(busy);
            until(Duration::from_secs(5), "one worker has all", || {
                (pool.stats().running == 4).then_some(())
            });
            drop((first, fill()));
        },
    );
}

fn looks_ahead(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let large = ByteBuf::from(vec![7; 1 << 20]);
            let polite = POLITE.idempotent().grace(Duration::from_secs(20));
            let busy = pool.submit(polite, &60_000).await;
            until(Duration::from_secs(5), "it runs", || (pool.stats().running == 1).then_some(()));
            let first = pool.submit(polite, &300).await.expect("there is room");
            let second = pool.submit(ECHO.idempotent(), &large).await.expect("there is room");
            drop(busy);
            until(Duration::from_secs(5), "one worker has both", || {
                (pool.stats().running == 2).then_some(())
            });
            assert_eq!(first.await, Ok("not told".to_owned()));
            assert!(second.await == Ok(large));
            assert_eq!(pool.stats().started, 1);
        },
    );
}

fn at_the_limit(host: &Host) {
    with_pool(
        host,
        |pool| pool.max_frame_bytes(10_000).workers(1),
        async |pool| {
            let (mut taken, mut refused) = (0, 0);
            for len in 9_950..10_010 {
                match pool.run(LENGTH, &"x".repeat(len)).await {
                    Ok(told) => taken += usize::from(told == len),
                    Err(JobError::Rejected(SubmitError::TooLarge(10_000))) => refused += 1,
                    other => panic!("{len}: {other:?}"),
                }
            }
            // Two bytes and six letters for the name, two for the length of the text.
            assert_eq!((taken, refused), (41, 19));
        },
    );
}

fn shown_as(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            let pid = pool.run(PID, &()).await.expect("a worker");
            let shown = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("procfs");
            let ours = std::env::args().next().expect("a program has a name");
            assert_eq!(shown.split('\0').collect::<Vec<_>>(), [&*ours, "tidegate-worker", ""]);
        },
    );
}

fn idle_costs_nothing(host: &Host) {
    with_pool(
        host,
        |pool| pool,
        async |pool| {
            for _ in 0..20 {
                assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
            }
            assert_eq!(pool.run(BEHAVE, &"mutter".to_owned()).await, Ok(0));
            let used = used_in(Duration::from_millis(500));
            assert!(used < Duration::from_millis(100), "{used:?}");
            assert_eq!(pool.run(BEHAVE, &"close stdout and stderr".to_owned()).await, Ok(0));
            let used = used_in(Duration::from_millis(300));
            assert!(used < Duration::from_millis(60), "{used:?}");
        },
    );
}

fn killed_for_good(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(4),
        async |pool| {
            let mut jobs = Vec::new();
            for _ in 0..4 {
                jobs.push(pool.submit(BEHAVE, &"sleep".to_owned()).await.expect("there is room"));
            }
            until(Duration::from_secs(10), "they run", || {
                (pool.stats().running == 4).then_some(())
            });
            let both = async { tokio::join!(pool.kill(), pool.shutdown()) };
            let ended = tokio::time::timeout(Duration::from_secs(20), both).await;
            assert_eq!(ended, Ok(((), ())));
        },
    );
}

fn full(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1).queue(2),
        async |pool| {
            let polite = POLITE.grace(Duration::from_secs(5));
            let running = pool.submit(polite, &10_000).await.expect("there is room");
            until(Duration::from_secs(5), "it runs", || (pool.stats().running == 1).then_some(()));
            let first = pool.try_submit(DOUBLE, &1).expect("one place");
            let second = pool.try_submit(DOUBLE, &2).expect("another");
            assert!(matches!(pool.try_submit(DOUBLE, &3), Err(SubmitError::Full)));
            drop(first);
            let third = pool.try_submit(DOUBLE, &3).expect("the place of the dropped one");
            drop(running);
            assert_eq!((second.await, third.await), (Ok(4), Ok(6)));
            assert_eq!(pool.stats().started, 1, "the polite one kept its worker");
            assert_eq!(pool.stats().cancelled, 2);
        },
    );
}

fn unregistered(host: &Host) {
    with_pool(
        host,
        |pool| pool,
        async |pool| {
            let error = pool.run(UNREGISTERED, &()).await;
            let name = "unregistered".to_owned();
            assert_eq!(error, Err(JobError::Rejected(SubmitError::Unknown(name))));
        },
    );
}

fn closed(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1).queue(1),
        async |pool| {
            // Who waits for room learns it, too.
            let busy = POLITE.grace(Duration::from_secs(20));
            let running = pool.submit(busy, &60_000).await;
            until(Duration::from_secs(5), "it runs", || (pool.stats().running == 1).then_some(()));
            let queued = pool.submit(DOUBLE, &1).await;
            // At once: the worker is busy until it has.
            let waits = async {
                let refused = pool.submit(DOUBLE, &2).await;
                drop(running);
                refused
            };
            let both = async { tokio::join!(waits, pool.shutdown()).0 };
            let refused = tokio::time::timeout(Duration::from_secs(20), both).await;
            assert!(matches!(refused, Ok(Err(SubmitError::Closed))), "{refused:?}");
            assert_eq!(queued.expect("there is room").await, Ok(2));
            let error = pool.run(DOUBLE, &1).await;
            assert_eq!(error, Err(JobError::Rejected(SubmitError::Closed)));
            pool.shutdown().await;
            pool.kill().await;
        },
    );
}

fn drains(host: &Host) {
    with_pool(
        host,
        |pool| pool,
        async |pool| {
            let mut jobs = Vec::new();
            for n in 0..100 {
                jobs.push(pool.submit(DOUBLE, &n).await.expect("there is room"));
            }
            pool.shutdown().await;
            for (n, job) in (0..).zip(jobs) {
                assert_eq!(job.await, Ok(2 * n));
            }
        },
    );
}

fn dropped(host: &Host) {
    block_on(async {
        let pool = ProcessPool::builder(host).workers(1).build().expect("a pool");
        let pid = pool.run(PID, &()).await.expect("a worker");
        assert_eq!(children(), [pid]);
        let running = pool.submit(POLITE, &60_000).await.expect("there is room");
        let queued = pool.submit(DOUBLE, &1).await.expect("there is room");
        drop(pool);
        assert_eq!(running.await, Err(JobError::Closed));
        assert_eq!(queued.await, Err(JobError::Closed));
    });
    until(Duration::from_secs(5), "no process", || children().is_empty().then_some(()));
}
