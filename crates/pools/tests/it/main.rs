//! The public behaviour of the pools.
#![cfg(not(loom))]

mod batcher;
mod blocking;
mod cpu;
mod offload;
mod workers;

use std::sync::mpsc;

/// A job that runs until the sender is dropped or used, and a receiver that learns when it has started.
fn gate() -> (mpsc::Sender<()>, mpsc::Receiver<()>, impl FnOnce() + Send + 'static) {
    let (open, wait) = mpsc::channel::<()>();
    let (started, has_started) = mpsc::channel();
    let job = move || {
        started.send(()).expect("the test waits for it");
        // An error means that the test is over.
        let _ = wait.recv();
    };
    (open, has_started, job)
}

/// How many threads of this process have a name that begins so; the kernel keeps 15 bytes of it.
#[cfg(target_os = "linux")]
fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs").flatten();
    // A thread may go meanwhile.
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|found| found.starts_with(name)).count()
}
