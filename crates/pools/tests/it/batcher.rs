use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_pools::{BatchError, Batcher, BatcherStats};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_batch_leaves_when_it_is_full_or_its_first_item_has_waited_for_the_delay() {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sizes);
    let batcher = Batcher::builder().max_items(3).max_delay(Duration::from_millis(10)).start(
        move |batch: Vec<u32>| {
            seen.lock().unwrap().push(batch.len());
            async move { batch }
        },
    );
    let began = Instant::now();
    assert_eq!(batcher.all(0..7).await, (0..7).map(Ok).collect::<Vec<_>>());
    let took = began.elapsed();
    assert_eq!(*sizes.lock().unwrap(), [3, 3, 1]);
    assert!(took >= Duration::from_millis(10) && took <= Duration::from_millis(11), "{took:?}");
    let done = BatcherStats { items: 7, batches: 3, failed: 0 };
    assert_eq!(batcher.shutdown().await, done);
}

#[tokio::test(start_paused = true)]
async fn the_delay_runs_from_the_first_item_and_not_from_the_last() {
    let batcher = Batcher::builder()
        .max_delay(Duration::from_millis(10))
        .start(|batch: Vec<u32>| async move { vec![batch.len(); batch.len()] });
    let began = Instant::now();
    let first = async {
        let size = batcher.call(1).await;
        (size, began.elapsed())
    };
    let second = async {
        tokio::time::sleep(Duration::from_millis(6)).await;
        batcher.call(2).await
    };
    let ((size, took), other) = tokio::join!(first, second);
    assert_eq!((size, other), (Ok(2), Ok(2)));
    assert!(took <= Duration::from_millis(11), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_or_a_wrong_number_of_results_fails_only_its_batch() {
    let batcher = Batcher::builder().max_items(2).start(|mut batch: Vec<u32>| async move {
        assert!(!batch.contains(&13), "unlucky");
        if batch.contains(&7) {
            batch.pop();
        }
        batch
    });
    let results = batcher.all([13, 1, 7, 2, 3, 4]).await;
    let panicked = || Err(BatchError::Panicked { message: "unlucky".to_owned() });
    let wrong = || Err(BatchError::WrongCount { items: 2, results: 1 });
    assert_eq!(results, [panicked(), panicked(), wrong(), wrong(), Ok(3), Ok(4)]);
    assert_eq!(batcher.shutdown().await, BatcherStats { items: 6, batches: 3, failed: 4 });
}

#[tokio::test(start_paused = true)]
async fn an_item_whose_caller_is_gone_is_left_out_of_its_batch() {
    let batcher = Batcher::builder().start(|batch: Vec<u32>| async move { batch });
    let gone = tokio::time::timeout(Duration::from_millis(1), batcher.call(1));
    let (gone, kept) = tokio::join!(gone, batcher.call(2));
    assert!(gone.is_err(), "it gave up before the delay ended");
    assert_eq!(kept, Ok(2));
    assert_eq!(batcher.shutdown().await, BatcherStats { items: 1, batches: 1, failed: 0 });
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_the_delay_of_a_batch() {
    let batcher = Batcher::builder()
        .max_delay(Duration::from_secs(3600))
        .start(|batch: Vec<u32>| async move { batch });
    let began = Instant::now();
    let gone = tokio::time::timeout(Duration::from_millis(1), batcher.call(1)).await;
    assert!(gone.is_err(), "the batch is not full");
    batcher.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
