use std::thread;

use tidegate_pools::{BlockingPool, CpuPool, JobError, Kind, Offload, OffloadError, Priority};

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
