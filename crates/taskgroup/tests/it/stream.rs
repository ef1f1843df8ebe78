//! Outcomes one by one.

use std::future::pending;
use std::time::Duration;

use tidegate_taskgroup::{Outcome, Policy, TaskGroup};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::alive::Count;

#[tokio::test]
async fn outcomes_come_as_tasks_end_and_tasks_may_be_added_meanwhile() {
    let mut tasks = TaskGroup::<u32, ()>::builder().policy(Policy::Supervise).stream();
    tasks.spawn(async { Ok(0) }).unwrap();
    let mut seen = Vec::new();
    while let Some(done) = tasks.next().await {
        assert_eq!(done.task.index as usize, seen.len());
        let n = done.outcome.value().unwrap();
        seen.push(n);
        if n < 99 {
            tasks.spawn(async move { Ok(n + 1) }).unwrap();
        }
    }
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_task_comes_out_exactly_once() {
    let mut tasks = TaskGroup::<(), u32>::builder().policy(Policy::CollectAll).stream();
    let spawner = tasks.spawner();
    let spawning = tokio::spawn(async move {
        for n in 0..10_000 {
            spawner.spawn(async move { if n % 3 == 0 { Err(n) } else { Ok(()) } }).unwrap();
            if n % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
    });
    let mut seen = vec![0; 10_000];
    loop {
        while let Some(done) = tasks.next().await {
            seen[done.task.index as usize] += 1;
        }
        if spawning.is_finished() && tasks.live() == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    while let Some(done) = tasks.next().await {
        seen[done.task.index as usize] += 1;
    }
    assert!(seen.iter().all(|times| *times == 1));
}

#[tokio::test]
async fn the_failure_that_cancelled_the_rest_comes_out_before_what_it_induced() {
    let mut tasks = TaskGroup::<(), &str>::builder().stream();
    tasks.spawn(pending()).unwrap();
    tasks.spawn(async { Err("cause") }).unwrap();
    tasks.spawn(pending()).unwrap();
    assert!(matches!(tasks.next().await.unwrap().outcome, Outcome::Failed("cause")));
    assert!(matches!(tasks.next().await.unwrap().outcome, Outcome::Cancelled));
    assert!(matches!(tasks.next().await.unwrap().outcome, Outcome::Cancelled));
    assert!(tasks.next().await.is_none());
}

#[tokio::test]
async fn collect_gives_every_outcome_in_spawn_order() {
    let tasks = TaskGroup::<u32, u32>::builder().policy(Policy::CollectAll).stream();
    for n in 0..20_u32 {
        tasks
            .spawn(async move {
                for _ in n..20 {
                    tokio::task::yield_now().await;
                }
                if n % 2 == 0 { Ok(n) } else { Err(n) }
            })
            .unwrap();
    }
    let all = tasks.collect().await;
    assert_eq!(all.len(), 20);
    for (n, done) in (0..).zip(&all) {
        assert_eq!(done.task.index, n);
        assert_eq!(done.outcome.is_failure(), n % 2 == 1);
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_aborts_its_tasks() {
    let count = Count::default();
    let tasks = TaskGroup::<(), ()>::builder().stream();
    let alive = count.one();
    tasks
        .spawn(async move {
            pending::<()>().await;
            drop(alive);
            Ok(())
        })
        .unwrap();
    tokio::task::yield_now().await;
    drop(tasks);
    tokio::task::yield_now().await;
    assert_eq!(count.now(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_outstays_its_grace_comes_out_as_aborted_and_a_polite_one_with_its_value() {
    let grace = Duration::from_secs(3);
    let mut tasks = TaskGroup::<u8, ()>::builder().grace(grace).stream();
    tasks.spawn(pending()).unwrap();
    tasks
        .spawn_with(|group| async move {
            group.cancelled().await;
            Ok(1)
        })
        .unwrap();
    tokio::task::yield_now().await;
    let start = Instant::now();
    tasks.cancel();
    let polite = tasks.next().await.unwrap();
    assert!(matches!((polite.task.index, polite.outcome), (1, Outcome::Value(1))));
    assert_eq!(start.elapsed(), Duration::ZERO);
    let rude = tasks.next().await.unwrap();
    assert!(matches!((rude.task.index, rude.outcome), (0, Outcome::Aborted)));
    assert_eq!(start.elapsed().as_secs(), 3);
    assert!(tasks.next().await.is_none());
}

#[tokio::test]
async fn a_next_that_is_given_up_loses_no_outcome() {
    let mut tasks = TaskGroup::<u8, ()>::builder().stream();
    let (end, ended) = oneshot::channel::<u8>();
    tasks.spawn(async move { ended.await.map_err(drop) }).unwrap();
    {
        let mut next = std::pin::pin!(tasks.next());
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
    }
    end.send(7).unwrap();
    assert_eq!(tasks.next().await.unwrap().outcome.value(), Some(7));
    assert!(tasks.next().await.is_none());
}

#[tokio::test]
async fn the_reader_is_told_when_the_last_who_lived_was_a_child_group() {
    let mut tasks = TaskGroup::<(), ()>::builder().stream();
    let child: TaskGroup<(), ()> = tasks.child();
    let (end, ended) = oneshot::channel::<()>();
    child.spawn(async move { ended.await.map_err(drop) }).unwrap();
    let reading = tokio::spawn(async move { tasks.next().await.is_none() });
    tokio::task::yield_now().await;
    end.send(()).unwrap();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(reading.is_finished(), "nobody woke the reader");
    assert!(reading.await.unwrap());
    child.wait().await.unwrap();
}
