//! Work on threads of its own.

use std::future::pending;

use tidegate_taskgroup::TaskGroup;
use tokio::sync::oneshot;

#[tokio::test]
async fn blocking_work_is_told_and_waited_for() {
    let group = TaskGroup::<u8, ()>::new();
    let (began, begun) = oneshot::channel();
    group
        .spawn_blocking(|group| {
            began.send(()).unwrap();
            while !group.is_cancelled() {
                std::thread::yield_now();
            }
            Ok(1)
        })
        .unwrap();
    begun.await.unwrap();
    group.cancel();
    assert_eq!(group.wait().await.unwrap(), [1]);
}

#[test]
fn blocking_work_that_has_not_begun_never_does() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let group = TaskGroup::<(), ()>::new();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        group.spawn_blocking(move |_| ended.recv().map_err(drop)).unwrap();
        group.spawn_blocking(|_| panic!("it began")).unwrap();
        group.cancel();
        end.send(()).unwrap();
        let error = group.wait().await.unwrap_err();
        assert!(error.aftermath.followers.is_empty());
        assert!(error.aftermath.cancelled >= 1);
    });
}

#[tokio::test]
async fn blocking_work_gives_its_place_back() {
    let group = TaskGroup::<u8, ()>::builder().limit(1).build();
    group.spawn_blocking(|_| Ok(1)).unwrap();
    let spawner = group.spawner();
    assert_eq!(group.wait().await.unwrap(), [1]);
    assert_eq!((spawner.running(), spawner.waiting()), (0, 0));
}

#[tokio::test]
async fn blocking_work_that_waits_for_its_place_is_dropped_by_a_cancellation() {
    let group = TaskGroup::<(), ()>::builder().limit(1).build();
    group.spawn(pending()).unwrap();
    group.spawn_blocking(|_| panic!("it began")).unwrap();
    assert_eq!((group.live(), group.waiting()), (2, 1));
    group.cancel();
    assert_eq!((group.live(), group.waiting()), (1, 0));
    assert_eq!(group.wait().await.unwrap_err().aftermath.cancelled, 2);
}
