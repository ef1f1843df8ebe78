use std::pin::pin;
use std::task::{Context, Waker};
use std::thread;

use tidegate_pools::{
    BlockingPool, CpuPool, JobError, Kind, Offload, OffloadError, Priority, SubmitError,
};

use crate::gate;

fn thread_name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn each_kind_of_work_runs_where_it_belongs() {
    let cpu = CpuPool::builder().threads(1).name("computes").build().expect("a thread starts");
    let offload = Offload::with(cpu, BlockingPool::builder().threads(1).name("waits").build());
    let name = offload.run(Kind::Cpu(Priority::Normal), thread_name).await.expect("it runs");
    assert!(name.starts_with("computes"), "{name}");
    let name = offload.run(Kind::Blocking, thread_name).await.expect("it runs");
    assert!(name.starts_with("waits"), "{name}");
    let name = offload.run_async(async { thread_name() }).await.expect("it runs");
    assert_eq!(name, thread_name(), "this runtime has one thread");
}

#[tokio::test]
async fn a_panic_of_any_kind_of_work_is_an_error_that_says_what() {
    let offload = Offload::new().expect("threads start");
    let said = |message: &str| {
        Err::<(), _>(OffloadError::Failed(JobError::Panicked { message: message.to_owned() }))
    };
    let cpu = offload.run(Kind::Cpu(Priority::Low), || panic!("a")).await;
    let blocking = offload.run(Kind::Blocking, || panic!("b")).await;
    let soon = offload.run_async(async { panic!("c") }).await;
    assert_eq!([cpu, blocking, soon], [said("a"), said("b"), said("c")]);
}

#[tokio::test]
async fn a_full_cpu_pool_makes_wait_and_a_full_blocking_pool_refuses() {
    let cpu = CpuPool::builder().threads(1).queue(1).build().expect("a thread starts");
    let blocking = BlockingPool::builder().threads(1).queue(0).build();
    let offload = Offload::with(cpu, blocking);
    let (open, started, job) = gate();
    let held = offload.blocking().submit(job).expect("a thread starts");
    started.recv().expect("it starts");
    let refused = offload.run(Kind::Blocking, || ()).await;
    assert_eq!(refused, Err(OffloadError::Refused(SubmitError::Full { waiting: 0 })));
    drop(open);
    held.await.expect("it ends");

    let (open, started, job) = gate();
    let held = offload.cpu().try_submit(Priority::Normal, job).expect("there is room");
    started.recv().expect("it starts");
    let queued = offload.cpu().try_submit(Priority::Normal, || 1).expect("there is room");
    let mut waits = pin!(offload.run(Kind::Cpu(Priority::High), || 2));
    assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(open);
    assert_eq!((waits.await, queued.await, held.await), (Ok(2), Ok(1), Ok(())));
}

#[tokio::test]
async fn work_whose_caller_is_gone_is_dropped() {
    let offload = Offload::new().expect("threads start");
    let (dropped, was_dropped) = tokio::sync::oneshot::channel::<()>();
    {
        let mut work = pin!(offload.run_async(async {
            std::future::pending::<()>().await;
            drop(dropped);
        }));
        assert!(work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert!(was_dropped.await.is_err(), "the sender went with the work");
}

#[tokio::test]
async fn the_priority_goes_with_the_job() {
    let cpu = CpuPool::builder().threads(1).build().expect("a thread starts");
    let offload = Offload::with(cpu, BlockingPool::builder().build());
    let (open, started, job) = gate();
    let held = offload.cpu().try_submit(Priority::Normal, job).expect("there is room");
    started.recv().expect("it starts");
    let turns = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let ask = |priority| {
        let turns = std::sync::Arc::clone(&turns);
        offload.run(Kind::Cpu(priority), move || turns.lock().unwrap().push(priority))
    };
    let (low, normal, critical) =
        (ask(Priority::Low), ask(Priority::Normal), ask(Priority::Critical));
    let go = async { drop(open) };
    let (low, normal, critical, ()) = tokio::join!(low, normal, critical, go);
    assert_eq!([low, normal, critical], [const { Ok(()) }; 3]);
    assert_eq!(*turns.lock().unwrap(), [Priority::Critical, Priority::Normal, Priority::Low]);
    held.await.expect("it ends");
}
