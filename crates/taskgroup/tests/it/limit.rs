//! How many run, who is next, who is refused.

use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tidegate_taskgroup::{Refused, TaskGroup};
use tokio::sync::oneshot;

use crate::alive::Count;

/// Polls once, without waking anybody.
macro_rules! poll_once {
    ($future:expr) => {
        std::future::poll_fn(|cx| std::task::Poll::Ready($future.as_mut().poll(cx))).await
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limit_is_never_passed_and_all_run_in_the_end() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let group = TaskGroup::<usize, ()>::builder().limit(3).build();
    for n in 0..500 {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        group
            .spawn(async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(n)
            })
            .unwrap();
    }
    let spawner = group.spawner();
    assert_eq!(group.wait().await.unwrap(), (0..500).collect::<Vec<_>>());
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert_eq!((spawner.running(), spawner.waiting(), spawner.live()), (0, 0, 0));
}

#[tokio::test]
async fn tasks_start_in_the_order_of_their_spawning() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let group = TaskGroup::<(), ()>::builder().limit(1).build();
    for n in 0..50 {
        let order = Arc::clone(&order);
        group
            .spawn(async move {
                order.lock().unwrap().push(n);
                Ok(())
            })
            .unwrap();
    }
    group.wait().await.unwrap();
    assert!(order.lock().unwrap().is_sorted());
}

#[tokio::test]
async fn try_spawn_refuses_at_the_limit_and_takes_when_there_is_room() {
    let group = TaskGroup::<(), ()>::builder().limit(1).build();
    assert_eq!(group.try_spawn(async { Ok(()) }), Ok(0));
    assert_eq!(group.try_spawn(async { Ok(()) }), Err(Refused::Full));
    tokio::task::yield_now().await;
    assert_eq!(group.try_spawn(async { Ok(()) }), Ok(1));
}

#[tokio::test]
async fn a_place_is_waited_for_in_line_with_tasks() {
    let group = TaskGroup::<(), ()>::builder().limit(1).build();
    let (end, ended) = oneshot::channel::<()>();
    group.spawn(async move { ended.await.map_err(drop) }).unwrap();
    let mut place = pin!(group.place());
    assert!(poll_once!(place).is_pending());
    assert_eq!(group.try_spawn(async { Ok(()) }), Err(Refused::Full));
    end.send(()).unwrap();
    let place = place.await.unwrap();
    assert_eq!(group.try_spawn(async { Ok(()) }), Err(Refused::Full));
    assert_eq!(place.spawn(async { Ok(()) }), Ok(1));
}

#[tokio::test]
async fn a_place_given_up_goes_to_the_next() {
    let group = TaskGroup::<(), ()>::builder().limit(1).build();
    let first = group.place().await.unwrap();
    let mut second = Box::pin(group.place());
    let mut third = Box::pin(group.place());
    assert!(poll_once!(second).is_pending());
    assert!(poll_once!(third).is_pending());
    // Given to the second, which never looks.
    drop(first);
    drop(second);
    drop(third.await.unwrap());
    assert_eq!((group.running(), group.waiting()), (0, 0));
}

#[tokio::test]
async fn who_stops_waiting_for_a_place_leaves_the_line() {
    let group = TaskGroup::<(), ()>::builder().limit(1).build();
    let held = group.place().await.unwrap();
    for _ in 0..10_000 {
        let mut waiting = Box::pin(group.place());
        assert!(poll_once!(waiting).is_pending());
    }
    assert_eq!(group.waiting(), 0);
    drop(held);
    assert_eq!(group.running(), 0);
}

#[tokio::test]
async fn cancelling_drops_those_who_wait_without_ever_polling_them() {
    let count = Count::default();
    let group = TaskGroup::<(), ()>::builder().limit(1).build();
    group.spawn(pending()).unwrap();
    for _ in 0..100 {
        let alive = count.one();
        group
            .spawn(async move {
                drop(alive);
                panic!("it was polled")
            })
            .unwrap();
    }
    let mut place = pin!(group.place());
    assert!(poll_once!(place).is_pending());
    group.cancel();
    assert_eq!(count.now(), 0);
    assert_eq!(place.await.unwrap_err(), Refused::Cancelled);
    assert_eq!(group.spawn(async { Ok(()) }), Err(Refused::Cancelled));
    let error = group.wait().await.unwrap_err();
    assert_eq!((error.aftermath.cancelled, error.aftermath.followers.len()), (101, 0));
}

#[tokio::test]
async fn raising_the_limit_starts_those_who_wait_and_lowering_it_stops_nobody() {
    let group = TaskGroup::<(), ()>::builder().limit(0).build();
    for _ in 0..6 {
        group.spawn(pending()).unwrap();
    }
    assert_eq!((group.running(), group.waiting()), (0, 6));
    assert!(group.set_limit(4));
    assert_eq!((group.running(), group.waiting()), (4, 2));
    group.set_limit(1);
    assert_eq!((group.running(), group.waiting()), (4, 2));
    assert!(!TaskGroup::<(), ()>::new().set_limit(1), "it was built without one");
}

#[tokio::test]
async fn tasks_that_would_wait_for_each_others_places_are_told() {
    let group = TaskGroup::<(), Refused>::builder().limit(1).build();
    group.spawn_with(|group| async move { group.place().await.map(drop) }).unwrap();
    assert_eq!(group.wait().await.unwrap_err().into_error(), Some(Refused::WouldDeadlock));
}

#[tokio::test]
async fn a_task_may_wait_for_a_place_while_another_can_end() {
    let group = TaskGroup::<(), Refused>::builder().limit(2).build();
    let (end, ended) = oneshot::channel::<()>();
    group
        .spawn_with(|group| async move {
            let place = group.place();
            end.send(()).unwrap();
            place.await?.spawn(async { Ok(()) }).map(drop)
        })
        .unwrap();
    group
        .spawn(async move {
            ended.await.unwrap();
            Ok(())
        })
        .unwrap();
    assert_eq!(group.wait().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_place_does_not_keep_the_group_open() {
    let group = TaskGroup::<(), ()>::builder().limit(1).build();
    let place = group.place().await.unwrap();
    group.wait().await.unwrap();
    assert_eq!(place.spawn(async { Ok(()) }), Err(Refused::Closed));
}
