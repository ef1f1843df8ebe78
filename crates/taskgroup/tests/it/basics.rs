//! Values, the first error, what follows it.

use std::future::pending;
use std::time::Duration;

use tidegate_taskgroup::{Cause, Failure, FailureKind, Policy, TaskGroup, map, scope};
use tokio::sync::oneshot;

use crate::alive::Count;

#[tokio::test]
async fn values_come_in_spawn_order_whatever_the_order_of_ends() {
    let group = TaskGroup::<u32, ()>::new();
    let (late, wait) = oneshot::channel::<()>();
    group.spawn(async move { wait.await.map(|()| 0).map_err(drop) }).unwrap();
    group.spawn(async move { late.send(()).map(|()| 1) }).unwrap();
    assert_eq!(group.wait().await.unwrap(), [0, 1]);
}

#[tokio::test]
async fn units_are_counted_and_come_back_as_many() {
    let group = TaskGroup::<(), ()>::new();
    for _ in 0..100 {
        group.spawn(async { Ok(()) }).unwrap();
    }
    assert_eq!(group.wait().await.unwrap().len(), 100);
}

#[tokio::test]
async fn units_that_failed_are_not_counted() {
    let group = TaskGroup::<(), u32>::builder().policy(Policy::Supervise).keep_failures(3).build();
    for n in 0..100 {
        group.spawn(async move { if n % 10 == 0 { Err(n) } else { Ok(()) } }).unwrap();
    }
    assert_eq!(group.wait().await.unwrap().len(), 90);
}

#[tokio::test]
async fn an_empty_group_ends_at_once_with_nothing() {
    assert_eq!(TaskGroup::<u8, ()>::new().wait().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_error_cancels_the_rest_and_none_is_alive_when_wait_returns() {
    let count = Count::default();
    let group = TaskGroup::<(), &str>::new();
    for _ in 0..1000 {
        let alive = count.one();
        group
            .spawn(async move {
                pending::<()>().await;
                drop(alive);
                Ok(())
            })
            .unwrap();
    }
    group.spawn(async { Err("first") }).unwrap();
    let error = group.wait().await.unwrap_err();
    assert_eq!(count.now(), 0);
    assert_eq!((error.aftermath.cancelled, error.aftermath.followers.len()), (1000, 0));
    assert_eq!(error.into_error(), Some("first"));
}

#[tokio::test]
async fn induced_error_is_a_follower_and_never_the_cause() {
    let group = TaskGroup::<(), &str>::builder().grace(Duration::from_secs(9)).build();
    group
        .spawn_with(|group| async move {
            group.cancelled().await;
            Err("cancelled")
        })
        .unwrap();
    group.spawn(async { Err("the cause") }).unwrap();
    let error = group.wait().await.unwrap_err();
    let Cause::Task(Failure { kind: FailureKind::Failed(cause), .. }) = error.cause else {
        panic!("no error is the cause")
    };
    assert_eq!((cause, error.aftermath.followers.len()), ("the cause", 1));
}

#[tokio::test]
async fn an_error_after_an_explicit_cancel_is_a_follower() {
    let group = TaskGroup::<(), &str>::builder().grace(Duration::from_secs(9)).build();
    group
        .spawn_with(|group| async move {
            group.cancelled().await;
            Err("cancelled")
        })
        .unwrap();
    group.cancel();
    let error = group.wait().await.unwrap_err();
    assert!(matches!(error.cause, Cause::Cancelled));
    assert_eq!(error.aftermath.followers[0].to_string(), "task 0 failed: cancelled");
}

#[tokio::test]
async fn followers_are_bounded_and_the_rest_counted() {
    let group =
        TaskGroup::<(), u32>::builder().grace(Duration::from_secs(9)).keep_failures(4).build();
    for n in 0..10 {
        group
            .spawn_with(move |group| async move {
                if n != 9 {
                    group.cancelled().await;
                }
                Err(n)
            })
            .unwrap();
    }
    let error = group.wait().await.unwrap_err();
    assert_eq!((error.aftermath.followers.len(), error.aftermath.omitted), (4, 5));
    assert_eq!(error.to_string(), "task 9 failed: 9 (and 9 more failed)");
}

#[tokio::test]
async fn collect_all_lets_everyone_finish_and_keeps_every_failure() {
    let group = TaskGroup::<(), usize>::builder().policy(Policy::CollectAll).build();
    for n in 0..100 {
        group.spawn(async move { if n % 2 == 0 { Err(n) } else { Ok(()) } }).unwrap();
    }
    let after = group.wait().await.unwrap_err().aftermath;
    assert_eq!((after.followers.len(), after.omitted, after.cancelled), (49, 0, 0));
}

#[tokio::test]
async fn supervised_failures_are_recorded_and_the_wait_is_no_error() {
    let group = TaskGroup::<u8, &str>::builder().policy(Policy::Supervise).keep_failures(1).build();
    group.spawn(async { Err("one") }).unwrap();
    group.spawn(async { panic!("two") }).unwrap();
    group.spawn(async { Ok(3) }).unwrap();
    let spawner = group.spawner();
    assert_eq!(group.wait().await.unwrap(), [3]);
    let (kept, omitted) = spawner.take_failures();
    assert_eq!((kept[0].to_string().as_str(), omitted), ("task 0 failed: one", 1));
}

#[tokio::test]
async fn error_says_which_task_and_names_the_sources_below_the_cause() {
    use std::error::Error as _;
    let group = TaskGroup::<(), std::io::Error>::new();
    let inner = "x".parse::<u8>().unwrap_err();
    group.named("read").spawn(async { Err(std::io::Error::other(inner)) }).unwrap();
    let error = group.wait().await.unwrap_err();
    assert_eq!(error.to_string(), "task 0 `read` failed: invalid digit found in string");
    assert!(error.source().is_none(), "the text of the cause is not repeated as a source");
}

#[tokio::test]
async fn map_keeps_the_order_of_items_and_reads_no_further_than_it_runs() {
    let read = std::cell::Cell::new(0);
    let items = (0..).inspect(|n| read.set(n + 1));
    let failed = map(items, 4, |n: u32| async move { if n == 10 { Err(n) } else { Ok(n) } }).await;
    assert_eq!(failed.unwrap_err().into_error(), Some(10));
    assert!(read.get() <= 16, "{} items were read", read.get());
    let all = map(0..100_u32, 4, |n| async move {
        for _ in 0..n % 7 {
            tokio::task::yield_now().await;
        }
        Ok::<_, ()>(n)
    });
    assert_eq!(all.await.unwrap(), (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn scope_gives_the_data_back_when_tasks_failed_too() {
    let done = scope(vec![1, 2, 3], |scope| {
        let inner = scope.clone();
        scope
            .spawn(move |data| async move {
                inner.spawn(move |data| async move { Ok(data[2]) }).map_err(drop)?;
                Ok(data[0])
            })
            .unwrap();
        scope.spawn(|_| async { pending().await }).unwrap();
        scope.spawn(|_| async { Err(()) }).unwrap();
    })
    .await;
    assert!(done.result.is_err());
    assert_eq!(done.data.unwrap(), [1, 2, 3]);
}
