use std::time::Duration;

use tidegate_pools::{BlockingPool, JobError, SubmitError};

use crate::gate;

#[tokio::test]
async fn threads_grow_with_demand_up_to_the_limit_and_then_calls_wait_and_then_are_refused() {
    let pool = BlockingPool::builder().threads(2).queue(1).build();
    let (open_a, started_a, a) = gate();
    let (open_b, started_b, b) = gate();
    let a = pool.submit(a).expect("a thread is started");
    let b = pool.submit(b).expect("another");
    started_a.recv().expect("it starts");
    started_b.recv().expect("it starts");
    assert_eq!(pool.threads(), 2);
    let queued = pool.submit(|| 3).expect("one may wait");
    assert_eq!(pool.submit(|| 4).expect_err("no second one"), SubmitError::Full { waiting: 1 });
    drop((open_a, open_b));
    a.await.expect("it ends");
    b.await.expect("it ends");
    assert_eq!(queued.await, Ok(3));
    assert_eq!(pool.threads(), 2);
}

#[tokio::test]
async fn an_idle_thread_is_used_again_and_ends_after_its_idle_time() {
    let pool = BlockingPool::builder().threads(8).idle(Duration::from_millis(1)).build();
    assert_eq!(pool.submit(|| 1).expect("a thread is started").await, Ok(1));
    // No clock is asserted: the thread ends some time after a millisecond, and this waits for it as long as it takes.
    while pool.threads() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(pool.submit(|| 2).expect("a new one is started").await, Ok(2));
}

#[tokio::test]
async fn a_panic_reaches_its_own_call() {
    let pool = BlockingPool::builder().threads(1).build();
    let bad = pool.submit(|| panic!("no disk")).expect("a thread is started");
    assert_eq!(bad.await, Err::<(), _>(JobError::Panicked { message: "no disk".to_owned() }));
    assert_eq!(pool.submit(|| 1).expect("it lives on").await, Ok(1));
}

#[tokio::test]
async fn dropping_the_pool_cancels_what_has_not_started() {
    let pool = BlockingPool::builder().threads(1).build();
    let (open, started, job) = gate();
    let running = pool.submit(job).expect("a thread is started");
    started.recv().expect("it starts");
    let waiting = pool.submit(|| 1).expect("there is room");
    drop(pool);
    assert_eq!(waiting.await, Err(JobError::Cancelled));
    drop(open);
    assert_eq!(running.await, Ok(()));
}

#[tokio::test]
async fn a_pool_full_of_calls_that_nobody_waits_for_refuses_until_one_of_them_ends() {
    let pool = BlockingPool::builder().threads(2).build();
    let (open_a, started_a, a) = gate();
    let (open_b, started_b, b) = gate();
    let (a, b) = (pool.submit(a).expect("a thread"), pool.submit(b).expect("another"));
    started_a.recv().expect("it starts");
    started_b.recv().expect("it starts");
    drop(a);
    assert_eq!(pool.abandoned(), 1);
    let waiting = pool
        .submit(|| 1)
        .expect("somebody waits for the other call: it is taken as one that will end");
    drop(b);
    let refused = pool.submit(|| 2).expect_err("no thread can be hoped for");
    assert_eq!(refused, SubmitError::Stuck { abandoned: 2 });
    assert_eq!(
        refused.to_string(),
        "each of the pool's threads (2) is held by a call that nobody waits for any more and that has not ended"
    );
    drop(open_a);
    assert_eq!(waiting.await, Ok(1), "what was accepted is run when a thread is free");
    assert_eq!(pool.abandoned(), 1);
    assert_eq!(pool.submit(|| 3).expect("a thread is free").await, Ok(3));
    drop(open_b);
}

#[tokio::test]
async fn a_call_dropped_while_it_waits_is_not_counted_as_abandoned() {
    let pool = BlockingPool::builder().threads(1).build();
    let (open, started, job) = gate();
    let running = pool.submit(job).expect("a thread");
    started.recv().expect("it starts");
    drop(pool.submit(|| 1).expect("there is room"));
    assert_eq!(pool.abandoned(), 0);
    drop(open);
    running.await.expect("it ends");
}

#[tokio::test]
async fn a_call_that_finds_an_idle_thread_starts_no_other() {
    let pool = BlockingPool::builder().threads(8).name("waits").build();
    for n in 0..20 {
        let name = pool.submit(|| std::thread::current().name().map(str::to_owned));
        assert_eq!(name.expect("a thread").await, Ok(Some("waits-1".to_owned())), "call {n}");
        // A call is answered a moment before its thread is idle.
        while pool.idle() == 0 {
            std::thread::yield_now();
        }
    }
    assert_eq!((pool.threads(), pool.idle(), pool.waiting()), (1, 1, 0));
}

#[tokio::test]
async fn calls_that_wait_start_in_their_order_and_the_stats_tell_of_all() {
    let pool = BlockingPool::builder().threads(1).build();
    let (open, started, job) = gate();
    let first = pool.submit(job).expect("a thread is started");
    started.recv().expect("it starts");
    let (starts, started) = std::sync::mpsc::channel();
    let calls: Vec<_> = (0..5)
        .map(|n| {
            let starts = starts.clone();
            pool.submit(move || starts.send(n).expect("the test looks")).expect("there is room")
        })
        .collect();
    let since = std::time::Instant::now();
    let stats = pool.stats();
    assert_eq!((stats.threads, stats.waiting, stats.running, stats.started), (1, 5, 1, 1));
    let held = since.elapsed();
    drop(open);
    first.await.expect("it ends");
    for call in calls {
        call.await.expect("it ends");
    }
    assert!(started.try_iter().eq(0..5));
    while pool.stats().ended < 6 {
        std::thread::yield_now();
    }
    let stats = pool.stats();
    assert_eq!((stats.started, stats.waiting, stats.running), (6, 0, 0));
    assert!(stats.waited >= 5 * held && stats.ran >= held, "{stats:?}");
}

#[tokio::test]
async fn two_calls_never_share_the_one_idle_thread() {
    for _ in 0..100 {
        let pool = BlockingPool::builder().threads(2).build();
        pool.submit(|| ()).expect("a thread is started").await.expect("it ends");
        while pool.idle() == 0 {
            std::thread::yield_now();
        }
        let (open, _started, first) = gate();
        let first = pool.submit(first).expect("a thread is free");
        // It would never run behind the one that waits for it.
        let second = pool.submit(move || drop(open)).expect("a thread is free or started");
        let both = async { (first.await, second.await) };
        let ended = tokio::time::timeout(Duration::from_secs(20), both).await;
        assert_eq!(ended, Ok((Ok(()), Ok(()))));
    }
}

#[tokio::test]
async fn a_call_that_comes_as_a_thread_goes_is_run() {
    let pool = BlockingPool::builder().idle(Duration::from_micros(20)).build();
    for n in 0..5_000 {
        // Some calls come while the thread waits, some when it has gone, and some just then.
        let since = std::time::Instant::now();
        while since.elapsed() < Duration::from_nanos(n % 100 * 1_000) {
            std::hint::spin_loop();
        }
        let job = pool.submit(move || n).expect("a thread is started");
        let ended = tokio::time::timeout(Duration::from_secs(20), job).await;
        assert_eq!(ended, Ok(Ok(n)));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn idle_threads_go_with_their_pool() {
    let pool = BlockingPool::builder().idle(Duration::from_secs(3600)).name("short-lived").build();
    pool.submit(|| ()).expect("a thread is started").await.expect("it ends");
    while pool.idle() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(crate::threads_named("short-lived"), 1);
    drop(pool);
    let began = std::time::Instant::now();
    while crate::threads_named("short-lived") > 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "it waits on without a pool");
        std::thread::yield_now();
    }
}
