//! Workers that do not start.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tidegate_pools::process::{Death, Host, JobError, ProcessPool, StartError, SubmitError};

use super::functions::{BEHAVE, DOUBLE};
use super::support::{Test, block_on, children, until, with_pool};

pub(crate) const TESTS: &[Test] = &[
    ("a_program_that_forgot_init_and_ends_is_told_so", |h| forgot(h, "end")),
    ("a_program_that_forgot_init_and_stays_is_told_so", |h| forgot(h, "stay")),
    ("another_build_is_refused", other_build),
    ("a_missing_executable_is_told_as_such", missing),
    ("a_process_that_a_job_starts_is_no_worker", inherits_no_passport),
    ("a_worker_that_lacks_a_function_is_refused_and_the_function_named", lacks_a_function),
    ("another_protocol_is_refused", other_protocol),
    ("a_worker_that_cannot_set_itself_up_is_told_with_its_reason", unfit),
    ("what_says_something_else_than_hello_is_refused", no_hello),
    ("a_worker_started_by_another_protocol_says_which_one_it_speaks", speaks_to_strangers),
    ("a_worker_with_much_to_say_before_its_hello_starts", talkative),
    ("an_end_without_a_hello_is_told_while_another_process_holds_the_socket", lent_socket),
    ("a_pool_that_is_killed_does_not_wait_for_a_hello", killed_before_hello),
    ("a_worker_that_ends_before_its_first_job_counts_as_a_failed_start", short_life),
    ("a_pool_whose_workers_did_not_start_serves_again_once_they_do", starts_again),
];

fn first_error(pool: &ProcessPool) -> StartError {
    let began = Instant::now();
    block_on(async {
        let early = pool.submit(DOUBLE, &1).await;
        let error = pool.ready().await.expect_err("no worker starts");
        // A job that waited since is answered, too, and counted.
        if let Ok(early) = early {
            let told = early.await;
            let expected = Err(JobError::Rejected(SubmitError::NoWorker(error.clone())));
            assert_eq!(told, expected);
            assert_eq!(pool.stats().given_up, 1);
        }
        // Three starts in a row, the second 15 ms after the first at the soonest and the third 30 ms after that; a few of
        // them had gone by when the clock was read.
        assert!(Duration::from_millis(35) < began.elapsed(), "it was tried again at once");
        // Queued or new, no job waits for ever.
        match pool.run(DOUBLE, &1).await {
            Err(JobError::Rejected(SubmitError::NoWorker(told))) => assert_eq!(told, error),
            other => panic!("{other:?}"),
        }
        let start = Instant::now();
        assert!(matches!(pool.try_submit(DOUBLE, &1), Err(SubmitError::NoWorker(_))));
        assert!(start.elapsed() < Duration::from_secs(1));
        let stats = pool.stats();
        assert!(stats.started == 0 && stats.start_failures < 20, "they are not tried in a frenzy");
        assert_eq!(stats.requeued, 0, "no job is taken where there is no worker");
        pool.kill().await;
        assert_eq!(children(), [], "none is left");
        error
    })
}

fn forgot(host: &Host, how: &str) {
    let pool = ProcessPool::builder(host)
        .workers(2)
        .start_timeout(Duration::from_millis(300))
        .env("TEST_FORGET", how)
        .build()
        .expect("a pool");
    let error = first_error(&pool);
    assert!(error.to_string().contains("begin with `tidegate_pools::process::init`"), "{error}");
    match error {
        StartError::EndedEarly { death: Death::Exited(4), stderr } if how == "end" => {
            assert_eq!(stderr, "an ordinary program\n");
        }
        StartError::NoHello if how == "stay" => {}
        other => panic!("{other:?}"),
    }
}

fn other_build(host: &Host) {
    let pool = ProcessPool::builder(host).env("TEST_BUILD", "another").build().expect("a pool");
    let error = first_error(&pool);
    assert!(
        matches!(&error, StartError::OtherBuild { theirs, .. } if theirs == "another"),
        "{error:?}"
    );
}

fn missing(host: &Host) {
    let pool = ProcessPool::builder(host).executable("/nowhere/worker").build().expect("a pool");
    let error = first_error(&pool);
    assert!(matches!(&error, StartError::System(why) if why.contains("No such file")), "{error:?}");
}

fn inherits_no_passport(host: &Host) {
    // The job starts this test executable again, with the worker's environment: it must behave as what it is.
    with_pool(
        host,
        |pool| pool.workers(1),
        async |pool| {
            // Not even where its stdin is a socket, as it is not the one that the variable names.
            for how in ["list tests", "list tests on a socket"] {
                let behave = BEHAVE.timeout(Duration::from_secs(20));
                assert_eq!(pool.run(behave, &how.to_owned()).await, Ok(1));
            }
        },
    );
}

fn lacks_a_function(host: &Host) {
    let pool = ProcessPool::builder(host).env("TEST_WITHOUT_DOUBLE", "1").build().expect("a pool");
    let error = first_error(&pool);
    assert_eq!(error, StartError::MissingFunctions(vec!["double".to_owned()]));
}

/// A program that says this where a worker says hello, and then waits.
fn impostor(words: &[u8]) -> tempfile::TempPath {
    let octal: String = words.iter().map(|byte| format!("\\{byte:03o}")).collect();
    executable(&format!("#!/bin/sh\nprintf '{octal}' >&0\nexec sleep 1000\n"))
}

fn executable(text: &str) -> tempfile::TempPath {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("there is room");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(file.path(), mode).expect("it is ours");
    file.into_temp_path()
}

/// Length of the payload, kind, number of the job, payload.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32).to_le_bytes()[..], &[kind], &[0; 8], payload].concat()
}

/// Why no worker starts where these words are said for a hello.
fn error_after(host: &Host, words: &[u8]) -> StartError {
    let impostor = impostor(words);
    let pool = ProcessPool::builder(host).workers(1).executable(&*impostor).build();
    first_error(&pool.expect("a pool"))
}

fn other_protocol(host: &Host) {
    let hello = frame(1, &99_u32.to_le_bytes());
    let told = error_after(host, &hello);
    assert_eq!(told, StartError::OtherProtocol { ours: 1, theirs: 99 });
}

fn unfit(host: &Host) {
    let told = error_after(host, &frame(2, b"no threads left"));
    assert_eq!(told, StartError::Unfit("no threads left".to_owned()));
}

fn no_hello(host: &Host) {
    for words in [frame(5, b"an answer"), frame(77, b""), frame(1, b"me")] {
        assert_eq!(error_after(host, &words), StartError::NoHello);
    }
}

fn speaks_to_strangers(_: &Host) {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).expect("a socket pair");
    let theirs = std::fs::File::from(theirs);
    let inode = theirs.metadata().expect("a socket has one").ino();
    let mut worker = Command::new("/proc/self/exe")
        .env("TIDEGATE_POOLS_WORKER", format!("2 {inode} in words of a later version"))
        .stdin(OwnedFd::from(theirs))
        .spawn()
        .expect("this executable runs");
    let mut said = Vec::new();
    std::fs::File::from(ours).read_to_end(&mut said).expect("it ends");
    assert_eq!(said, frame(1, &1_u32.to_le_bytes()));
    assert_eq!(worker.wait().expect("it ends").code(), Some(1));
}

fn starts_again(host: &Host) {
    let path = executable("#!/bin/sh\nexit 4\n");
    with_pool(
        host,
        |pool| pool.workers(2).executable(&*path),
        async |pool| {
            let broken = pool.ready().await;
            assert!(matches!(broken, Err(StartError::EndedEarly { .. })), "{broken:?}");
            let refused = pool.run(DOUBLE, &4).await;
            assert!(
                matches!(refused, Err(JobError::Rejected(SubmitError::NoWorker(_)))),
                "{refused:?}"
            );
            let me = std::env::current_exe().expect("procfs");
            let good = executable(&format!("#!/bin/sh\nexec '{}' \"$@\"\n", me.display()));
            std::fs::rename(&good, &path).expect("one folder");
            until(Duration::from_secs(20), "both live", || {
                (pool.stats().workers == 2).then_some(())
            });
            assert_eq!(pool.ready().await, Ok(()));
            assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
        },
    );
}

fn talkative(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1).env("TEST_TALK", "1"),
        async |pool| {
            assert_eq!(pool.ready().await, Ok(()));
            assert_eq!(pool.run(DOUBLE, &4).await, Ok(8));
        },
    );
}

fn lent_socket(host: &Host) {
    let path = executable("#!/bin/sh\nexec 3<&0\nsleep 1000 &\nexit 4\n");
    let pool = ProcessPool::builder(host).workers(1).executable(&*path).build().expect("a pool");
    let began = Instant::now();
    let error = first_error(&pool);
    let died = Death::Exited(4);
    assert!(matches!(&error, StartError::EndedEarly { death, .. } if *death == died), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

fn killed_before_hello(host: &Host) {
    let pool = ProcessPool::builder(host)
        .workers(1)
        .start_timeout(Duration::from_secs(60))
        .env("TEST_FORGET", "stay")
        .build()
        .expect("a pool");
    until(Duration::from_secs(5), "it is started", || (children().len() == 1).then_some(()));
    let began = Instant::now();
    block_on(pool.kill());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(children(), []);
}

fn short_life(host: &Host) {
    with_pool(
        host,
        |pool| pool.workers(1).env("TEST_SHORT_LIFE", "1"),
        async |pool| {
            until(Duration::from_secs(20), "one said hello and ended", || {
                let stats = pool.stats();
                (0 < stats.started && 0 < stats.start_failures).then_some(())
            });
        },
    );
}
