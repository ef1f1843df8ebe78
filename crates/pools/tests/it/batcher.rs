use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_pools::{BatchError, Batcher, BatcherStats};
use tokio::sync::Semaphore;
use tokio::time::Instant;

fn done(stats: &BatcherStats) -> (u64, u64, u64) {
    assert_eq!((stats.waiting, stats.running), (0, 0));
    (stats.items, stats.batches, stats.failed)
}

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
    // A millisecond less than asked for: the timer is up to one late when time does not stand still.
    assert_eq!(took, Duration::from_millis(9));
    assert_eq!(done(&batcher.shutdown().await), (7, 3, 0));
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
    assert!(took <= Duration::from_millis(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn time_in_the_queue_counts_towards_the_delay() {
    let ms = Duration::from_millis;
    let batcher = Batcher::builder().max_items(2).max_delay(ms(10)).flushes(2).start(
        move |batch: Vec<u32>| async move {
            tokio::time::sleep(ms(100)).await;
            batch
        },
    );
    let began = Instant::now();
    // Two batches are out, one waits for its turn, and the last item for that one.
    assert_eq!(batcher.all(0..7).await, (0..7).map(Ok).collect::<Vec<_>>());
    let took = began.elapsed();
    assert!(took >= ms(200) && took < ms(205), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_a_batch_waits_for_its_turn_goes_with_it() {
    let ms = Duration::from_millis;
    let batcher =
        Batcher::builder().max_items(3).max_delay(ms(2)).start(move |batch: Vec<u32>| async move {
            tokio::time::sleep(ms(100)).await;
            vec![batch.len(); batch.len()]
        });
    let call = |after, item| {
        let batcher = &batcher;
        async move {
            tokio::time::sleep(ms(after)).await;
            batcher.call(item).await
        }
    };
    // The second has its delay behind it when the others come; the last finds the batch full.
    let sizes = tokio::join!(call(0, 1), call(10, 2), call(50, 3), call(51, 4), call(52, 5));
    assert_eq!(sizes, (Ok(1), Ok(3), Ok(3), Ok(3), Ok(1)));
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
    assert_eq!(done(&batcher.shutdown().await), (6, 3, 4));
}

#[tokio::test(start_paused = true)]
async fn an_item_whose_caller_is_gone_is_left_out_of_its_batch() {
    let batcher = Batcher::builder().start(|batch: Vec<u32>| async move { batch });
    let gone = tokio::time::timeout(Duration::from_millis(1), batcher.call(1));
    let (gone, kept) = tokio::join!(gone, batcher.call(2));
    assert!(gone.is_err(), "it gave up before the delay ended");
    assert_eq!(kept, Ok(2));
    // Without anybody left there is no call at all.
    let gone = tokio::time::timeout(Duration::from_millis(1), batcher.call(3)).await;
    assert!(gone.is_err(), "it gave up before the delay ended");
    assert_eq!(done(&batcher.shutdown().await), (1, 1, 0));
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

#[tokio::test(start_paused = true)]
async fn stats_say_what_waits_what_runs_and_how_long_items_waited_and_calls_ran() {
    const fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }
    let batcher =
        Batcher::builder().max_items(2).max_delay(ms(10)).start(|batch: Vec<u32>| async {
            tokio::time::sleep(ms(100)).await;
            batch
        });
    let all = batcher.all(0..5);
    let look = async {
        // Full at once, the first batch is out; the second is gathered and waits for its turn, the last item for the second.
        tokio::time::sleep(ms(50)).await;
        batcher.stats()
    };
    let (answers, half_way) = tokio::join!(all, look);
    assert_eq!(answers, [0, 1, 2, 3, 4].map(Ok));
    let none = Duration::ZERO;
    let first = BatcherStats {
        waiting: 1,
        running: 1,
        items: 2,
        batches: 1,
        failed: 0,
        waited: none,
        ran: none,
    };
    assert_eq!(half_way, first);
    let stats = batcher.shutdown().await;
    assert_eq!(done(&stats), (5, 3, 0));
    // Two waited for one call, the last for two, to the millisecond that the clock of tasks counts in.
    let near = |time: Duration, ms| time.as_millis().abs_diff(ms) <= 10;
    assert!(near(stats.ran, 300) && near(stats.waited, 400), "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_batches_are_out_than_may_be_and_callers_wait_for_the_queue() {
    static GATE: Semaphore = Semaphore::const_new(0);
    let batcher =
        Batcher::builder().max_items(1).queue(2).flushes(2).start(|batch: Vec<u32>| async {
            GATE.acquire().await.expect("it is never closed").forget();
            batch
        });
    let mut calls: Vec<_> = (0..8).map(|n| Box::pin(batcher.call(n))).collect();
    // Two are out, one waits for its turn as a batch, two in the queue, and three callers for room in it.
    let late = tokio::time::timeout(Duration::from_secs(1), join_all(&mut calls)).await;
    assert!(late.is_err(), "the calls wait for the gate");
    let stats = batcher.stats();
    assert_eq!((stats.running, stats.batches, stats.waiting), (2, 2, 2));
    GATE.add_permits(8);
    assert_eq!(join_all(&mut calls).await, (0..8).map(Ok).collect::<Vec<_>>());
}

/// Polls all of them in turn until each is ready.
async fn join_all<F: Future + Unpin>(futures: &mut [F]) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = std::pin::Pin::new(future).poll(cx)
            {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_out_when_the_batcher_is_dropped_ends_on_its_own() {
    let (done, is_done) = tokio::sync::mpsc::unbounded_channel();
    let batcher = Batcher::builder().max_items(1).start(move |batch: Vec<u32>| {
        let done = done.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            done.send(batch.clone()).expect("the test waits");
            batch
        }
    });
    let gone = tokio::time::timeout(Duration::from_millis(1), batcher.call(7)).await;
    assert!(gone.is_err(), "its call takes longer");
    drop(batcher);
    let mut is_done = is_done;
    assert_eq!(is_done.recv().await, Some(vec![7]));
    assert_eq!(is_done.recv().await, None, "and all of it is gone");
}

#[tokio::test(start_paused = true)]
async fn a_delay_of_zero_takes_what_is_there() {
    let batcher = Batcher::builder()
        .max_delay(Duration::ZERO)
        .start(|batch: Vec<u32>| async move { vec![batch.len(); batch.len()] });
    let began = Instant::now();
    assert_eq!(batcher.all(0..5).await, [5; 5].map(Ok));
    assert_eq!(batcher.call(1).await, Ok(1));
    assert!(began.elapsed() <= Duration::from_millis(1), "{:?}", began.elapsed());
}

#[test]
fn a_batcher_whose_runtime_has_ended_says_so() {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let first = runtime();
    let batcher = first.block_on(async {
        Batcher::builder().max_items(2).start(|batch: Vec<u32>| async move { batch })
    });
    drop(first);
    let second = runtime();
    assert_eq!(second.block_on(batcher.call(1)), Err(BatchError::Closed));
    let closed = || Err(BatchError::Closed);
    assert_eq!(second.block_on(batcher.all([1, 2])), [closed(), closed()]);
    assert_eq!(BatchError::Closed.to_string(), "the runtime of the batcher has ended");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fills_slowly_is_no_larger_than_it_may_be() {
    let batcher = Batcher::builder()
        .max_items(3)
        .start(|batch: Vec<u32>| async move { vec![batch.len(); batch.len()] });
    let later = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        batcher.all(0..4).await
    };
    let (first, later) = tokio::join!(batcher.all(0..2), later);
    assert_eq!((first, later), (vec![Ok(3); 2], vec![Ok(3); 4]));
}

#[tokio::test(start_paused = true)]
async fn shutdown_returns_when_the_batches_that_are_out_are_answered() {
    let answered = Arc::new(Mutex::new(0));
    let told = Arc::clone(&answered);
    let batcher = Batcher::builder().max_items(1).flushes(3).start(move |batch: Vec<u32>| {
        let told = Arc::clone(&told);
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            *told.lock().unwrap() += 1;
            batch
        }
    });
    let batcher = Arc::new(batcher);
    let calls: Vec<_> = (0..3)
        .map(|n| {
            let batcher = Arc::clone(&batcher);
            tokio::spawn(async move { batcher.call(n).await })
        })
        .collect();
    while batcher.stats().running < 3 {
        tokio::task::yield_now().await;
    }
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    for call in calls {
        assert!(call.await.is_err(), "nobody waits for the answer");
    }
    let batcher = Arc::into_inner(batcher).expect("the calls are gone");
    batcher.shutdown().await;
    assert_eq!(*answered.lock().unwrap(), 3);
}

#[tokio::test]
async fn a_delay_beyond_all_measure_is_as_good_as_none() {
    let batcher = Batcher::builder()
        .max_delay(Duration::MAX)
        .max_items(2)
        .start(|batch: Vec<u32>| async move { batch });
    assert_eq!(batcher.all([1, 2]).await, [Ok(1), Ok(2)]);
}
