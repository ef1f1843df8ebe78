//! Cancel, grace, deadline, drop, close.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use tidegate_taskgroup::{CancellationToken, Cause, Refused, TaskGroup};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::alive::Count;

#[derive(Debug)]
struct NoError;

impl std::fmt::Display for NoError {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_polite_task_ends_by_itself_and_a_rude_one_is_aborted_after_the_grace_period() {
    let group = TaskGroup::<u8, NoError>::builder().grace(5 * SECOND).build();
    group
        .spawn_with(|group| async move {
            group.cancelled().await;
            tokio::time::sleep(2 * SECOND).await;
            Ok(1)
        })
        .unwrap();
    group.named("rude").spawn(pending()).unwrap();
    tokio::task::yield_now().await;
    let start = Instant::now();
    group.cancel();
    let error = group.wait().await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!((error.aftermath.aborted_count, error.aftermath.cancelled), (1, 0));
    assert_eq!(
        error.to_string(),
        "the task group was cancelled (1 did not stop in time, task 1 `rude`)"
    );
}

#[tokio::test(start_paused = true)]
async fn of_aborted_tasks_all_are_counted_and_so_many_named_as_failures_are_kept() {
    let group = TaskGroup::<u8, NoError>::builder().grace(SECOND).keep_failures(2).build();
    let began = Arc::new(tokio::sync::Barrier::new(4));
    for _ in 0..3 {
        let began = Arc::clone(&began);
        let rude = async move {
            began.wait().await;
            pending().await
        };
        group.spawn(rude).unwrap();
    }
    began.wait().await;
    group.cancel();
    let error = group.wait().await.unwrap_err();
    assert_eq!((error.aftermath.aborted_count, error.aftermath.aborted.len()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_out_a_grace_period_that_nobody_needs() {
    let group = TaskGroup::<u8, NoError>::builder().grace(60 * SECOND).build();
    group
        .spawn_with(|group| async move {
            group.cancelled().await;
            Ok(1)
        })
        .unwrap();
    let start = Instant::now();
    group.cancel();
    assert_eq!(group.wait().await.unwrap(), [1], "all gave a value, so it is no error");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn deadline_cancels_and_is_the_cause() {
    let group = TaskGroup::<(), NoError>::builder().deadline(3 * SECOND).build();
    group.spawn(pending()).unwrap();
    let start = Instant::now();
    let error = group.wait().await.unwrap_err();
    assert!(matches!(error.cause, Cause::Deadline));
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_ends_in_time_leaves_no_timer_behind() {
    let group = TaskGroup::<(), NoError>::builder().deadline(3600 * SECOND).build();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    group.spawn(async { Ok(()) }).unwrap();
    assert_eq!(tasks(), 2);
    group.wait().await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_group_without_tasks_starts_no_timer_for_its_end_and_none_after_it() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let group = TaskGroup::<(), NoError>::builder().grace(3600 * SECOND).build();
    group.spawn(async { Ok(()) }).unwrap();
    tokio::task::yield_now().await;
    group.cancel();
    assert_eq!(tasks(), 0);
    let late = TaskGroup::<(), NoError>::builder().deadline(3600 * SECOND).build();
    let spawner = late.spawner();
    drop(late);
    assert_eq!(spawner.spawn(async { Ok(()) }), Err(Refused::Closed));
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 0);
}

#[tokio::test]
async fn an_idle_group_has_no_task() {
    let group = TaskGroup::<(), ()>::builder().grace(SECOND).limit(3).build();
    let _child: TaskGroup<(), ()> = group.child();
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    group.spawn(pending()).unwrap();
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 1);
}

#[tokio::test]
async fn an_outer_token_cancels_the_group_and_the_groups_token_cancels_nothing_above() {
    let outer = CancellationToken::new();
    let group = TaskGroup::<(), NoError>::builder().cancelled_by(outer.clone()).build();
    group.spawn(pending()).unwrap();
    group.token().cancel();
    assert!(!group.is_cancelled() && !outer.is_cancelled());
    let inner = group.token();
    outer.cancel();
    assert!(matches!(group.wait().await.unwrap_err().cause, Cause::Cancelled));
    assert!(inner.is_cancelled());
}

#[tokio::test]
async fn dropping_the_group_drops_every_task_without_waiting_for_it() {
    let count = Count::default();
    let group = TaskGroup::<(), ()>::builder().grace(3600 * SECOND).limit(5).build();
    for _ in 0..10 {
        let alive = count.one();
        group
            .spawn(async move {
                pending::<()>().await;
                drop(alive);
                Ok(())
            })
            .unwrap();
    }
    tokio::task::yield_now().await;
    let spawner = group.spawner();
    drop(group);
    assert_eq!(count.now(), 5, "those that never started are gone at once");
    tokio::task::yield_now().await;
    assert_eq!((count.now(), spawner.live()), (0, 0));
    assert_eq!(spawner.spawn(async { Ok(()) }), Err(Refused::Closed));
}

#[tokio::test]
async fn spawn_after_the_end_is_an_error() {
    let group = TaskGroup::<(), ()>::new();
    let spawner = group.spawner();
    group.wait().await.unwrap();
    assert_eq!(spawner.spawn(async { Ok(()) }), Err(Refused::Closed));
    assert_eq!(spawner.try_spawn(async { Ok(()) }), Err(Refused::Closed));
    assert_eq!(spawner.spawn_blocking(|_| Ok(())), Err(Refused::Closed));
    let made = std::cell::Cell::new(false);
    let make = |_| {
        made.set(true);
        async { Ok(()) }
    };
    assert_eq!(spawner.spawn_with(make), Err(Refused::Closed));
    assert!(!made.get(), "a future was made for nothing");
}

#[tokio::test]
async fn the_token_fires_once_the_group_was_waited_for() {
    let group = TaskGroup::<(), ()>::new();
    let token = group.token();
    let mut wait = group.wait();
    (&mut wait).await.unwrap();
    assert!(token.is_cancelled(), "with the future of the wait still there");
}

#[tokio::test(start_paused = true)]
async fn giving_up_a_wait_by_reference_loses_nothing() {
    let group = TaskGroup::<u8, ()>::new();
    group.spawn(async { Ok(1) }).unwrap();
    group
        .spawn(async {
            tokio::time::sleep(SECOND).await;
            Ok(2)
        })
        .unwrap();
    let mut wait = group.wait();
    assert!(timeout(SECOND / 2, &mut wait).await.is_err());
    wait.spawn(async { Ok(3) }).unwrap();
    assert_eq!(wait.await.unwrap(), [1, 2, 3]);
}

/// Wakes nobody; its count of owners tells who keeps it, its number how often it was called.
#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_wait_wakes_who_polled_it_last_and_keeps_no_waker_when_dropped() {
    let group = TaskGroup::<(), ()>::new();
    let (end, ended) = oneshot::channel::<()>();
    group.spawn(async move { ended.await.map_err(drop) }).unwrap();
    let mut wait = group.wait();
    let calls = [Arc::new(Calls::default()), Arc::new(Calls::default())];
    for calls in &calls {
        let waker = Waker::from(Arc::clone(calls));
        assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    end.send(()).unwrap();
    tokio::task::yield_now().await;
    assert_eq!(calls.map(|calls| calls.0.load(Ordering::SeqCst)), [0, 1]);

    let group = TaskGroup::<(), ()>::new();
    let spawner = group.spawner();
    group.spawn(pending()).unwrap();
    let mut wait = group.wait();
    let calls = Arc::new(Calls::default());
    let waker = Waker::from(Arc::clone(&calls));
    assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(wait);
    assert_eq!((Arc::strong_count(&calls), spawner.live()), (2, 1));
}

#[tokio::test]
#[should_panic(expected = "a wait is not polled after its end")]
async fn a_wait_tells_its_verdict_once() {
    let mut wait = TaskGroup::<(), ()>::new().wait();
    (&mut wait).await.unwrap();
    (&mut wait).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn giving_up_a_wait_by_value_leaves_nothing_running() {
    let count = Count::default();
    let group = TaskGroup::<(), ()>::new();
    let alive = count.one();
    group
        .spawn(async move {
            pending::<()>().await;
            drop(alive);
            Ok(())
        })
        .unwrap();
    assert!(timeout(SECOND, group.wait()).await.is_err());
    tokio::task::yield_now().await;
    assert_eq!(count.now(), 0);
}

#[test]
fn tasks_of_a_runtime_that_shuts_down_are_cancelled_and_the_wait_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let group = TaskGroup::<(), ()>::new();
    let entered = runtime.enter();
    group.spawn(pending()).unwrap();
    drop(entered);
    drop(runtime);
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = other.block_on(group.wait());
    let error = error.unwrap_err();
    assert!(matches!(error.cause, Cause::Shutdown));
    assert_eq!(error.aftermath.cancelled, 1);
}
