//! Values, the first error, panics, the limit.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_taskgroup::{Cause, Failure, FailureKind, Policy, Refused, TaskGroup};
use tokio::sync::oneshot;

/// Counts the living.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_error_cancels_the_rest_and_none_is_alive_when_wait_returns() {
    let alive = Arc::new(AtomicUsize::new(0));
    let group = TaskGroup::<(), &str>::new();
    for _ in 0..1000 {
        let alive = Alive::new(&alive);
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
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    assert_eq!((error.aftermath.cancelled, error.aftermath.followers.len()), (1000, 0));
    assert_eq!(error.into_error(), Some("first"));
}

#[tokio::test]
async fn panic_is_contained_with_its_message_and_the_name_of_its_task() {
    let group = TaskGroup::<(), &str>::new();
    group.named("fragile").spawn(async { panic!("broke at {}", 7) }).unwrap();
    let error = group.wait().await.unwrap_err();
    assert_eq!(error.to_string(), "task 0 `fragile` panicked: broke at 7");
}

#[tokio::test]
async fn induced_error_is_a_follower_and_never_the_cause() {
    let group = TaskGroup::<(), &str>::builder().grace(std::time::Duration::from_secs(9)).build();
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
async fn collect_all_lets_everyone_finish_and_keeps_every_failure() {
    let group = TaskGroup::<(), usize>::builder().policy(Policy::CollectAll).build();
    for n in 0..100 {
        group.spawn(async move { if n % 2 == 0 { Err(n) } else { Ok(()) } }).unwrap();
    }
    let error = group.wait().await.unwrap_err();
    assert_eq!(
        (error.aftermath.followers.len(), error.aftermath.omitted, error.aftermath.cancelled),
        (49, 0, 0)
    );
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
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
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
async fn try_spawn_refuses_at_the_limit() {
    let group = TaskGroup::<(), ()>::builder().limit(1).build();
    assert_eq!(group.try_spawn(async { Ok(()) }), Ok(0));
    assert_eq!(group.try_spawn(async { Ok(()) }), Err(Refused::Full));
}

#[tokio::test]
async fn spawn_after_the_end_is_an_error() {
    let group = TaskGroup::<(), ()>::new();
    let spawner = group.spawner();
    group.wait().await.unwrap();
    assert_eq!(spawner.spawn(async { Ok(()) }), Err(Refused::Closed));
    assert_eq!(spawner.try_spawn(async { Ok(()) }), Err(Refused::Closed));
}
