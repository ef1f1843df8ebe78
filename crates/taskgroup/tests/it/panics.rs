//! Panics, wherever they come from, stay in the group.

use std::fmt;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tidegate_taskgroup::{Cause, FailureKind, GroupError, Policy, TaskGroup};

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("in the drop");
    }
}

fn message<E>(error: GroupError<E>) -> String {
    match error.cause {
        Cause::Task(failure) => match failure.kind {
            FailureKind::Panicked(panic) => panic.message().to_owned(),
            FailureKind::Failed(_) => panic!("an error is the cause"),
        },
        _ => panic!("no task is the cause"),
    }
}

#[tokio::test]
async fn panic_is_contained_with_its_message_and_the_name_of_its_task() {
    let group = TaskGroup::<(), &str>::new();
    group.spawn(pending()).unwrap();
    group.named("fragile").spawn(async { panic!("broke at {}", 7) }).unwrap();
    let error = group.wait().await.unwrap_err();
    assert_eq!(error.to_string(), "task 1 `fragile` panicked: broke at 7");
    assert_eq!(error.aftermath.cancelled, 1);
}

#[tokio::test]
async fn panic_in_the_drop_of_a_task_that_gave_a_value_is_a_panic_outcome() {
    let group = TaskGroup::<u8, ()>::new();
    let captured = PanicsOnDrop;
    group
        .spawn(std::future::poll_fn(move |_| {
            let _kept_until_the_drop = &captured;
            Poll::Ready(Ok(1))
        }))
        .unwrap();
    assert_eq!(message(group.wait().await.unwrap_err()), "in the drop");
}

/// A future whose drop panics and so does that of the value which it gave: the second panic goes no further than the first.
#[tokio::test]
async fn a_value_lost_to_a_panic_in_the_drop_of_its_task_may_panic_in_its_drop() {
    struct Gives(PanicsOnDrop);

    impl Future for Gives {
        type Output = Result<PanicsOnDrop, ()>;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(Ok(PanicsOnDrop))
        }
    }

    let group = TaskGroup::<PanicsOnDrop, ()>::builder().policy(Policy::CollectAll).build();
    for _ in 0..3 {
        group.spawn(Gives(PanicsOnDrop)).unwrap();
    }
    // Behind them, and no victim of theirs.
    group.spawn(async { Err(()) }).unwrap();
    let Err(error) = group.wait().await else { panic!("each value was lost") };
    let Cause::Task(failure) = &error.cause else { panic!("a task is the cause") };
    assert!(
        matches!(&failure.kind, FailureKind::Panicked(panic) if panic.message() == "in the drop")
    );
    assert_eq!((error.aftermath.followers.len(), error.aftermath.cancelled), (3, 0));
}

#[tokio::test]
async fn panic_in_the_drop_of_a_cancelled_task_is_a_follower() {
    let group = TaskGroup::<(), ()>::new();
    let captured = PanicsOnDrop;
    group
        .spawn(async move {
            let _kept = captured;
            pending().await
        })
        .unwrap();
    group.spawn(pending()).unwrap();
    tokio::task::yield_now().await;
    group.cancel();
    let error = group.wait().await.unwrap_err();
    assert!(matches!(error.cause, Cause::Cancelled));
    assert_eq!((error.aftermath.cancelled, error.aftermath.followers.len()), (1, 1));
}

#[tokio::test]
async fn panic_in_the_drop_of_a_task_that_never_started_is_a_follower() {
    let group = TaskGroup::<(), ()>::builder().limit(1).build();
    group.spawn(pending()).unwrap();
    let captured = PanicsOnDrop;
    group
        .spawn(async move {
            let _kept = captured;
            Ok(())
        })
        .unwrap();
    group.cancel();
    let error = group.wait().await.unwrap_err();
    assert_eq!((error.aftermath.cancelled, error.aftermath.followers.len()), (1, 1));
}

#[tokio::test]
async fn panic_in_the_drop_of_a_closure_that_never_started_goes_no_further() {
    let group = TaskGroup::<(), ()>::builder().limit(1).build();
    group.spawn(pending()).unwrap();
    let captured = PanicsOnDrop;
    let closure = move |_| {
        let _kept = captured;
        Ok(())
    };
    group.spawn_blocking(closure).unwrap();
    group.cancel();
    assert_eq!(group.wait().await.unwrap_err().aftermath.cancelled, 2);
}

#[derive(Debug)]
struct PanicsOnDisplay;

impl fmt::Display for PanicsOnDisplay {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("in the display")
    }
}

#[tokio::test]
async fn the_group_never_formats_an_error_so_that_a_panic_there_is_the_readers() {
    let group = TaskGroup::<(), PanicsOnDisplay>::new();
    group.spawn(async { Err(PanicsOnDisplay) }).unwrap();
    let error = group.wait().await.unwrap_err();
    assert!(catch_unwind(AssertUnwindSafe(|| error.to_string())).is_err());
    assert!(matches!(error.into_error(), Some(PanicsOnDisplay)));
}

#[tokio::test]
async fn an_error_that_finds_no_room_may_panic_in_its_drop() {
    struct Heavy;
    impl Drop for Heavy {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("in the drop of an error");
            }
        }
    }
    let group =
        TaskGroup::<u8, Heavy>::builder().policy(Policy::Supervise).keep_failures(0).build();
    group.spawn(async { Err(Heavy) }).unwrap();
    group.spawn(async { Ok(1) }).unwrap();
    assert_eq!(group.wait().await.ok(), Some(vec![1]));
}

#[tokio::test]
async fn resumed_panic_comes_out_of_wait_after_all_ended() {
    let group = TaskGroup::<(), ()>::builder().resume_panics().build();
    let spawner = group.spawner();
    group.spawn(pending()).unwrap();
    group.spawn(async { panic!("on with it") }).unwrap();
    let joined = tokio::spawn(group.wait()).await;
    let payload = joined.unwrap_err().into_panic();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"on with it"));
    assert_eq!(spawner.live(), 0);
}

#[tokio::test]
async fn panic_in_blocking_work_is_contained() {
    let group = TaskGroup::<(), ()>::new();
    group.spawn_blocking(|_| panic!("blocked")).unwrap();
    assert_eq!(message(group.wait().await.unwrap_err()), "blocked");
}

#[tokio::test]
async fn payload_that_is_no_text_is_kept() {
    let group = TaskGroup::<(), ()>::new();
    group.spawn(async { std::panic::panic_any(42_u32) }).unwrap();
    let Cause::Task(failure) = group.wait().await.unwrap_err().cause else { panic!("no task") };
    let FailureKind::Panicked(panic) = failure.kind else { panic!("no panic") };
    assert_eq!(panic.into_payload().downcast_ref::<u32>(), Some(&42));
}
