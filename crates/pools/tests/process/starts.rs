//! Workers that do not start.

use std::time::{Duration, Instant};

use tidegate_pools::process::{Death, Host, JobError, ProcessPool, StartError, SubmitError};

use super::functions::{BEHAVE, DOUBLE};
use super::support::{Test, block_on, children, with_pool};

pub(crate) const TESTS: &[Test] = &[
    ("a_program_that_forgot_init_and_ends_is_told_so", |h| forgot(h, "end")),
    ("a_program_that_forgot_init_and_stays_is_told_so", |h| forgot(h, "stay")),
    ("another_build_is_refused", other_build),
    ("a_missing_executable_is_told_as_such", missing),
    ("a_process_that_a_job_starts_is_no_worker", inherits_no_passport),
];

fn first_error(pool: &ProcessPool) -> StartError {
    block_on(async {
        let error = pool.ready().await.expect_err("no worker starts");
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
            assert_eq!(pool.run(BEHAVE, &"list tests".to_owned()).await, Ok(1));
        },
    );
}
