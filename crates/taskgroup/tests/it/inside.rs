//! What a task may do to its own group.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use tidegate_taskgroup::{Cause, Refused, Spawner, TaskGroup, TaskStream, Wait};
use tokio::sync::oneshot;

use crate::alive::Count;

#[tokio::test]
async fn tasks_spawn_more_while_the_group_is_waited_for() {
    fn tree(group: &Spawner<u32, ()>, depth: u32) {
        group
            .spawn_with(move |group| async move {
                tokio::task::yield_now().await;
                if depth != 0 {
                    tree(&group, depth - 1);
                    tree(&group, depth - 1);
                }
                Ok(depth)
            })
            .unwrap();
    }
    let group = TaskGroup::new();
    tree(&group, 9);
    assert_eq!(group.wait().await.unwrap().len(), 1023);
}

#[tokio::test]
async fn a_task_that_cancels_its_group_goes_on_to_its_next_suspension() {
    let group = TaskGroup::<u8, ()>::new();
    group
        .spawn_with(|group| async move {
            group.cancel();
            Ok(1)
        })
        .unwrap();
    assert_eq!(group.wait().await.unwrap(), [1]);
    let group = TaskGroup::<u8, ()>::new();
    group
        .spawn_with(|group| async move {
            group.cancel();
            pending().await
        })
        .unwrap();
    let error = group.wait().await.unwrap_err();
    assert_eq!(error.aftermath.cancelled, 1);
}

#[tokio::test]
async fn a_task_of_a_child_may_cancel_the_parent() {
    let parent = TaskGroup::<(), ()>::new();
    let child: TaskGroup<(), ()> = parent.child();
    let above = parent.spawner();
    child
        .spawn(async move {
            above.cancel();
            pending().await
        })
        .unwrap();
    assert!(matches!(child.wait().await.unwrap_err().cause, Cause::Parent));
}

#[tokio::test]
async fn a_closure_that_waits_for_its_own_group_is_told_at_once() {
    let group = TaskGroup::<(), ()>::new();
    let (give, given) = oneshot::channel::<Wait<(), ()>>();
    let (tell, told) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    group
        .spawn_blocking(move |_| {
            let wait = given.blocking_recv().map_err(drop)?;
            tell.send(runtime.block_on(wait)).map_err(drop)
        })
        .unwrap();
    give.send(group.wait()).unwrap();
    assert!(matches!(told.await.unwrap().unwrap_err().cause, Cause::WaitedFromInside));
}

#[tokio::test]
async fn a_task_that_waits_for_its_own_group_is_told_at_once() {
    let group = TaskGroup::<(), ()>::new();
    let (give, given) = oneshot::channel::<Wait<(), ()>>();
    let (tell, told) = oneshot::channel();
    group
        .spawn(async move {
            let verdict = given.await.map_err(drop)?.await;
            tell.send(verdict).map_err(drop)
        })
        .unwrap();
    give.send(group.wait()).unwrap();
    assert!(matches!(told.await.unwrap().unwrap_err().cause, Cause::WaitedFromInside));
}

#[tokio::test]
async fn a_task_of_a_child_that_waits_for_the_parent_is_told_at_once() {
    let parent = TaskGroup::<(), ()>::new();
    let child: TaskGroup<(), ()> = parent.child();
    let (tell, told) = oneshot::channel();
    child.spawn(async move { tell.send(parent.wait().await).map_err(drop) }).unwrap();
    assert!(matches!(told.await.unwrap().unwrap_err().cause, Cause::WaitedFromInside));
}

#[tokio::test]
async fn a_task_may_own_and_wait_for_a_group_below_its_own() {
    let group = TaskGroup::<u8, ()>::new();
    group
        .spawn_with(|group| async move {
            let child: TaskGroup<u8, ()> = group.child();
            child.spawn(async { Ok(7) }).map_err(drop)?;
            Ok(child.wait().await.map_err(drop)?[0])
        })
        .unwrap();
    assert_eq!(group.wait().await.unwrap(), [7]);
}

#[tokio::test]
async fn a_task_that_drops_its_own_group_is_dropped_at_its_next_suspension() {
    let count = Count::default();
    let group = TaskGroup::<(), ()>::new();
    let spawner = group.spawner();
    let alive = count.one();
    spawner
        .spawn(async move {
            let _alive = alive;
            drop(group);
            pending().await
        })
        .unwrap();
    tokio::task::yield_now().await;
    assert_eq!((count.now(), spawner.live()), (0, 0));
    assert_eq!(spawner.spawn(async { Ok(()) }), Err(Refused::Closed));
}

#[tokio::test]
async fn a_task_that_asks_for_the_outcomes_of_its_own_group_gets_none() {
    let tasks = TaskGroup::<bool, ()>::builder().stream();
    let spawner = tasks.spawner();
    let (give, given) = oneshot::channel::<TaskStream<bool, ()>>();
    let (tell, told) = oneshot::channel();
    spawner
        .spawn(async move {
            let mut tasks = given.await.map_err(drop)?;
            tell.send(tasks.next().await.is_none()).map_err(drop)?;
            Ok(true)
        })
        .unwrap();
    assert!(give.send(tasks).is_ok());
    assert!(told.await.unwrap());
}

/// The token fires before the queue of a limited group is closed, and whoever it wakes may spawn.
#[tokio::test]
async fn a_try_spawn_while_the_group_is_being_cancelled_takes_no_place() {
    struct Spawns(Spawner<(), ()>, AtomicUsize);
    impl Wake for Spawns {
        fn wake(self: Arc<Self>) {
            assert_eq!(self.0.try_spawn(async { Ok(()) }), Err(Refused::Cancelled));
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    let group = TaskGroup::<(), ()>::builder().limit(1).build();
    let spawns = Arc::new(Spawns(group.spawner(), AtomicUsize::new(0)));
    let spawner = group.spawner();
    let mut cancelled = std::pin::pin!(spawner.cancelled());
    let waker = Waker::from(Arc::clone(&spawns));
    assert!(cancelled.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    group.cancel();
    assert_eq!(spawns.1.load(Ordering::SeqCst), 1);
    assert_eq!((group.running(), group.live()), (0, 0));
    assert_eq!(
        group.try_spawn(async { Ok(()) }),
        Err(Refused::Cancelled),
        "and not for want of room"
    );
}
