//! A task is first polled by a task of the group's, and gets one of its own when it has to wait. Nobody shall notice.

use std::future::{pending, poll_fn};
use std::sync::mpsc;
use std::sync::{Arc, Barrier, Mutex};
use std::task::Poll;

use tidegate_taskgroup::{Cause, Spawner, TaskGroup};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::{block_in_place, yield_now};

fn workers(count: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(count).enable_time().build().expect("a runtime")
}

/// Runs it in a task, where a worker spawns.
fn on(runtime: &Runtime, work: impl Future<Output = ()> + Send + 'static) {
    runtime.block_on(async { tokio::spawn(work).await.expect("no panic") });
}

/// Spawns a task that blocks its thread until all have come.
fn spawn_blocking_its_thread(group: &TaskGroup<(), ()>, all: &Arc<Barrier>) {
    let all = Arc::clone(all);
    let task = async move {
        all.wait();
        Ok(())
    };
    group.spawn(task).expect("open");
}

#[test]
fn tasks_that_block_their_threads_run_on_every_worker() {
    let runtime = workers(4);
    for _ in 0..100 {
        on(&runtime, async {
            let (group, all) = (TaskGroup::<(), ()>::new(), Arc::new(Barrier::new(4)));
            for _ in 0..4 {
                spawn_blocking_its_thread(&group, &all);
            }
            group.wait().await.unwrap();
        });
    }
}

#[test]
fn a_spawner_that_blocks_its_thread_holds_up_none_but_the_last() {
    let runtime = workers(3);
    for _ in 0..100 {
        on(&runtime, async {
            let (group, all) = (TaskGroup::<(), ()>::new(), Arc::new(Barrier::new(3)));
            for _ in 0..2 {
                spawn_blocking_its_thread(&group, &all);
            }
            group.spawn(async { Ok(()) }).unwrap();
            all.wait();
            group.wait().await.unwrap();
        });
    }
}

#[test]
fn any_number_of_tasks_may_block_in_place_until_the_last_has_come() {
    const TASKS: usize = 20;
    let runtime = workers(2);
    on(&runtime, async {
        let (group, all) = (TaskGroup::<(), ()>::new(), Arc::new(Barrier::new(TASKS)));
        for _ in 0..TASKS {
            let all = Arc::clone(&all);
            group
                .spawn(async move {
                    block_in_place(|| all.wait());
                    Ok(())
                })
                .unwrap();
        }
        group.wait().await.unwrap();
    });
}

/// The second blocks its thread until the first, which waits, was woken from elsewhere.
#[test]
fn a_task_that_waits_is_woken_while_the_next_blocks_its_thread() {
    let runtime = workers(2);
    for _ in 0..100 {
        on(&runtime, async {
            let group = TaskGroup::<(), ()>::new();
            let (wake, woken) = oneshot::channel();
            let (call, called) = mpsc::channel();
            std::thread::spawn(move || {
                called.recv().unwrap();
                wake.send(()).unwrap();
            });
            let (tell, told) = mpsc::channel();
            group
                .spawn(async move {
                    let () = woken.await.unwrap();
                    tell.send(()).unwrap();
                    Ok(())
                })
                .unwrap();
            group
                .spawn(async move {
                    call.send(()).unwrap();
                    told.recv().unwrap();
                    Ok(())
                })
                .unwrap();
            group.wait().await.unwrap();
        });
    }
}

#[tokio::test]
async fn tasks_begin_in_the_order_in_which_they_were_spawned() {
    let begun = Arc::new(Mutex::new(Vec::new()));
    let group = TaskGroup::<(), ()>::new();
    for n in 0..100 {
        let begun = Arc::clone(&begun);
        group
            .spawn(async move {
                begun.lock().unwrap().push(n);
                if n % 3 == 0 {
                    yield_now().await;
                }
                Ok(())
            })
            .unwrap();
    }
    group.wait().await.unwrap();
    assert_eq!(*begun.lock().unwrap(), (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_group_has_a_task_of_the_runtime_for_each_that_waits_and_no_other() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let group = TaskGroup::<(), ()>::new();
    for n in 0..100 {
        group.spawn(async move { if n < 90 { Ok(()) } else { pending().await } }).unwrap();
    }
    assert!(alive() <= 2, "none was polled, and {} tasks are there", alive());
    while group.live() != 10 || alive() != 10 {
        yield_now().await;
    }
    // They stay as few.
    for _ in 0..10 {
        yield_now().await;
        assert_eq!(alive(), 10);
    }
}

/// Spawns a task that counts its polls, ends in the last of so many, or never, and lets everything come to rest.
async fn polls_of(group: &TaskGroup<(), ()>, last: Option<usize>) -> usize {
    let polls = Arc::new(Mutex::new(0));
    let count = Arc::clone(&polls);
    let task = poll_fn(move |_| {
        let mut count = count.lock().expect("no panic");
        *count += 1;
        if last == Some(*count) { Poll::Ready(Ok(())) } else { Poll::Pending }
    });
    group.spawn(task).expect("open");
    for _ in 0..10 {
        yield_now().await;
    }
    let polls = polls.lock().expect("no panic");
    *polls
}

#[tokio::test]
async fn whoever_comes_after_one_that_waits_is_a_task_of_its_own_at_once() {
    let group = TaskGroup::<(), ()>::new();
    assert_eq!(polls_of(&group, None).await, 2);
    assert_eq!(polls_of(&group, None).await, 1);
    assert_eq!(polls_of(&group, None).await, 1);
    // One that does not wait tells that the next may not either.
    assert_eq!(polls_of(&group, Some(1)).await, 1);
    assert_eq!(polls_of(&group, None).await, 2);
    group.cancel();
    group.wait().await.unwrap_err();
}

#[tokio::test]
async fn whoever_comes_after_one_that_waits_begins_after_all_in_line() {
    const LAST: usize = 20;
    let begun = Arc::new(Mutex::new(Vec::new()));
    let group = TaskGroup::<(), ()>::new();
    let task = |n| {
        let begun = Arc::clone(&begun);
        async move {
            begun.lock().unwrap().push(n);
            Ok(())
        }
    };
    let waits = async {
        yield_now().await;
        Ok(())
    };
    group.spawn(waits).unwrap();
    for n in 0..LAST {
        let (task, last) = (task(n), task(LAST));
        let spawn = move |group: Spawner<(), ()>| async move {
            if n == LAST / 2 {
                group.spawn(last).unwrap();
            }
            task.await
        };
        group.spawn_with(spawn).unwrap();
    }
    group.wait().await.unwrap();
    assert_eq!(*begun.lock().unwrap(), (0..=LAST).collect::<Vec<_>>());
}

#[tokio::test]
async fn others_run_between_the_first_polls_of_many() {
    let group = TaskGroup::<(), ()>::new();
    for _ in 0..10_000 {
        group.spawn(async { Ok(()) }).unwrap();
    }
    let mut seen = Vec::new();
    while group.live() != 0 {
        seen.push(group.live());
        yield_now().await;
    }
    // The runtime looks after those who yielded every 61 polls.
    assert!(seen.windows(2).all(|pair| pair[0] - pair[1] <= 61 * 4), "{seen:?}");
}

/// Each that is dropped gives its place to the next, and none of them is nested in another.
#[test]
fn a_long_line_of_a_runtime_that_shuts_down_is_cancelled_without_a_deep_stack() {
    const TASKS: usize = 100_000;
    for (limit, polled) in [(None, false), (Some(1), false), (Some(1), true)] {
        let runtime = Builder::new_current_thread().build().unwrap();
        let group = match limit {
            None => TaskGroup::<(), ()>::new(),
            Some(limit) => TaskGroup::builder().limit(limit).build(),
        };
        let entered = runtime.enter();
        for _ in 0..TASKS {
            group.spawn(pending()).unwrap();
        }
        drop(entered);
        if polled {
            runtime.block_on(async {
                for _ in 0..10 {
                    yield_now().await;
                }
            });
        }
        drop(runtime);
        let other = Builder::new_current_thread().build().unwrap();
        let error = other.block_on(group.wait()).unwrap_err();
        assert!(matches!(error.cause, Cause::Shutdown), "{error:?}");
        assert_eq!(error.aftermath.cancelled, TASKS);
    }
}
