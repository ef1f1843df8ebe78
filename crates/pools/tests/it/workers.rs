use std::time::Duration;

use tidegate_pools::{JobError, SubmitError, WorkerPool};
use tokio::sync::Semaphore;

#[tokio::test]
async fn every_input_has_one_result_under_its_id() {
    let mut pool = WorkerPool::start(3, 100, |n: u64| async move { n * 10 });
    for n in 0..50 {
        assert_eq!(pool.submit(n).await, Ok(n));
    }
    let mut seen = Vec::new();
    while let Some(done) = pool.next().await {
        assert_eq!(done.result, Ok(done.id * 10));
        seen.push(done.id);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
    let stats = pool.stats();
    assert_eq!((stats.submitted, stats.succeeded, stats.running, stats.waiting), (50, 50, 0, 0));
}

#[tokio::test]
async fn a_panic_is_the_result_of_its_input_and_the_worker_goes_on() {
    let mut pool = WorkerPool::start(1, 8, |n: u32| async move {
        assert!(n != 1, "not {n}");
        n
    });
    for n in 0..3 {
        pool.submit(n).await.expect("it is open");
    }
    let mut results = Vec::new();
    while let Some(done) = pool.next().await {
        results.push(done.result);
    }
    let panicked = Err(JobError::Panicked { message: "not 1".to_owned() });
    assert_eq!(results, [Ok(0), panicked, Ok(2)]);
    let (unread, stats) = pool.stop().await;
    assert_eq!((unread.len(), stats.succeeded, stats.panicked), (0, 2, 1));
}

#[tokio::test]
async fn unread_results_hold_their_places_and_reading_one_gives_it_back() {
    let mut pool = WorkerPool::start(2, 2, |n: u32| async move { n });
    assert_eq!(pool.try_submit(0), Ok(0));
    assert_eq!(pool.try_submit(1), Ok(1));
    assert_eq!(pool.try_submit(2), Err(SubmitError::Full { waiting: 2 }));
    assert!(pool.next().await.is_some());
    assert_eq!(pool.try_submit(3), Ok(2));
}

#[tokio::test]
async fn stop_handles_what_was_accepted_and_gives_what_was_not_read() {
    static GATE: Semaphore = Semaphore::const_new(0);
    let pool = WorkerPool::start(2, 10, |n: u32| async move {
        GATE.acquire().await.expect("it is never closed").forget();
        n
    });
    for n in 0..5 {
        pool.submit(n).await.expect("it is open");
    }
    GATE.add_permits(5);
    let (unread, stats) = pool.stop().await;
    let mut values: Vec<_> = unread.into_iter().map(|done| done.result).collect();
    values.sort_by_key(|value| value.clone().ok());
    assert_eq!(values, [Ok(0), Ok(1), Ok(2), Ok(3), Ok(4)]);
    assert_eq!((stats.succeeded, stats.waiting), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn inputs_start_in_their_order_and_results_come_as_they_are_ready() {
    let (starts, mut started) = tokio::sync::mpsc::unbounded_channel();
    let mut pool = WorkerPool::start(2, 8, move |ms: u64| {
        starts.send(ms).expect("the test looks at them");
        tokio::time::sleep(Duration::from_millis(ms))
    });
    for ms in [90, 20, 30, 10] {
        pool.submit(ms).await.expect("it is open");
    }
    let mut ids = Vec::new();
    while let Some(done) = pool.next().await {
        ids.push(done.id);
    }
    // Beside the first, which is long, one worker does the others one after another.
    assert_eq!(ids, [1, 2, 3, 0]);
    assert_eq!([(); 4].map(|()| started.try_recv().ok()), [90, 20, 30, 10].map(Some));
}

#[tokio::test(start_paused = true)]
async fn a_submission_waits_for_a_place_and_one_that_gives_up_takes_none() {
    let mut pool = WorkerPool::start(1, 0, |n: u32| async move { n });
    assert_eq!(pool.submit(0).await, Ok(0));
    let full = tokio::time::timeout(Duration::from_secs(1), pool.submit(1)).await;
    assert!(full.is_err(), "no capacity counts as one");
    assert_eq!(pool.next().await.map(|done| done.result), Some(Ok(0)));
    assert_eq!(pool.submit(2).await, Ok(1), "the input that gave up has no id");
    assert_eq!(pool.next().await.map(|done| (done.id, done.result)), Some((1, Ok(2))));
    assert_eq!(pool.next().await, None, "every result has been read");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_gives_up_loses_no_result() {
    let mut pool = WorkerPool::start(1, 4, |ms: u64| tokio::time::sleep(Duration::from_millis(ms)));
    pool.submit(50).await.expect("it is open");
    let early = tokio::time::timeout(Duration::from_millis(10), pool.next()).await;
    assert!(early.is_err(), "it is not ready");
    assert_eq!(pool.next().await.map(|done| done.id), Some(0));
}

/// Says that it was dropped.
struct Told(tokio::sync::mpsc::UnboundedSender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        // Nobody listens any more at the end of a failed test.
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn dropping_the_pool_ends_what_its_workers_do() {
    let (dropped, mut was_dropped) = tokio::sync::mpsc::unbounded_channel();
    let pool = WorkerPool::start(2, 8, move |told: Told| async move {
        std::future::pending::<()>().await;
        drop(told);
    });
    for _ in 0..4 {
        pool.submit(Told(dropped.clone())).await.expect("it is open");
    }
    while pool.stats().running < 2 {
        tokio::task::yield_now().await;
    }
    drop((pool, dropped));
    // Two that were being handled and two that waited.
    for _ in 0..4 {
        assert_eq!(was_dropped.recv().await, Some(()));
    }
    assert_eq!(was_dropped.recv().await, None);
}

#[test]
fn a_pool_whose_runtime_has_ended_refuses_and_has_no_more_results() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let first = runtime();
    let mut pool = first.block_on(async { WorkerPool::start(1, 4, |n: u32| async move { n }) });
    drop(first);
    assert_eq!(pool.try_submit(1), Err(SubmitError::Closed));
    assert_eq!(runtime().block_on(pool.submit(2)), Err(SubmitError::Closed));
    assert_eq!(runtime().block_on(pool.next()), None);
    let stats = pool.stats();
    assert_eq!((stats.submitted, stats.waiting), (0, 0), "what was refused was not accepted");
}

#[tokio::test]
async fn stats_say_how_long_inputs_waited_and_took() {
    let nap = Duration::from_millis(5);
    let mut pool = WorkerPool::start(1, 8, move |()| tokio::time::sleep(nap));
    for _ in 0..3 {
        pool.submit(()).await.expect("it is open");
    }
    let mut sums = (Duration::ZERO, Duration::ZERO);
    while let Some(done) = pool.next().await {
        sums = (sums.0 + done.waited, sums.1 + done.ran);
    }
    let stats = pool.stats();
    let near = |a: Duration, b: Duration| a.abs_diff(b) < Duration::from_micros(10);
    assert!(near(stats.waited, sums.0) && near(stats.ran, sums.1), "{stats:?}, {sums:?}");
    assert!(stats.ran >= 3 * nap && stats.waited >= 3 * nap, "{stats:?}");
}

#[tokio::test]
async fn no_worker_and_no_place_count_as_one() {
    let mut pool = WorkerPool::start(0, 0, |n: u32| async move { n });
    assert_eq!(pool.try_submit(7), Ok(0));
    assert_eq!(pool.try_submit(8), Err(SubmitError::Full { waiting: 1 }));
    assert_eq!(pool.next().await.map(|done| done.result), Some(Ok(7)));
}
