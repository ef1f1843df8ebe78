//! Groups below groups.

use std::future::pending;
use std::time::Duration;

use tidegate_taskgroup::{Cause, Refused, TaskGroup};
use tokio::sync::oneshot;
use tokio::time::timeout;

#[tokio::test]
async fn cancellation_flows_down_and_never_up() {
    let top = TaskGroup::<(), ()>::new();
    let left: TaskGroup<(), ()> = top.child();
    let right: TaskGroup<(), ()> = top.child();
    let below: TaskGroup<(), ()> = left.child();
    for group in [&top, &left, &right, &below] {
        group.spawn(pending()).unwrap();
    }
    left.cancel();
    assert!(below.is_cancelled() && !right.is_cancelled() && !top.is_cancelled());
    assert!(matches!(below.wait().await.unwrap_err().cause, Cause::Parent));
    assert!(matches!(left.wait().await.unwrap_err().cause, Cause::Cancelled));
    top.cancel();
    assert!(matches!(right.wait().await.unwrap_err().cause, Cause::Parent));
}

#[tokio::test(start_paused = true)]
async fn the_parents_wait_covers_the_tasks_of_its_children() {
    let parent = TaskGroup::<(), ()>::new();
    let child: TaskGroup<(), ()> = parent.child();
    let below: TaskGroup<(), ()> = child.child();
    below
        .spawn(async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(())
        })
        .unwrap();
    let mut wait = parent.wait();
    assert!(timeout(Duration::from_secs(4), &mut wait).await.is_err());
    assert!(timeout(Duration::from_secs(2), &mut wait).await.is_ok());
    assert_eq!(below.spawn(async { Ok(()) }), Err(Refused::Cancelled));
}

#[tokio::test]
async fn a_child_of_a_cancelled_parent_is_born_cancelled() {
    let parent = TaskGroup::<(), ()>::new();
    parent.cancel();
    let child: TaskGroup<(), ()> = parent.child();
    assert!(child.is_cancelled());
    assert_eq!(child.spawn(async { Ok(()) }), Err(Refused::Cancelled));
    assert!(child.wait().await.is_ok(), "it had no task");
}

#[tokio::test]
async fn dropping_the_parent_aborts_the_tasks_of_its_children_whatever_their_grace() {
    let parent = TaskGroup::<(), ()>::new();
    let settings = TaskGroup::builder().grace(Duration::from_secs(3600));
    let child: TaskGroup<(), ()> = parent.child_with(settings);
    let (begin, begun) = oneshot::channel();
    child
        .spawn(async move {
            begin.send(()).unwrap();
            pending().await
        })
        .unwrap();
    begun.await.unwrap();
    drop(parent);
    assert_eq!(child.wait().await.unwrap_err().aftermath.aborted_count, 1);
}

#[tokio::test]
async fn a_child_that_is_gone_is_forgotten_by_its_parent() {
    let parent = TaskGroup::<(), ()>::new();
    for _ in 0..100 {
        let child: TaskGroup<(), ()> = parent.child();
        child.spawn(async { Ok(()) }).unwrap();
        child.wait().await.unwrap();
        assert_eq!(parent.live(), 0);
    }
    parent.wait().await.unwrap();
}
