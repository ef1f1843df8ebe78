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
