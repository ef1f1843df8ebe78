//! The public behaviour of the orchestrator.

mod adaptivity;
mod agents;
mod alerts;
#[cfg(feature = "http")]
mod chat;
mod conduct;
#[cfg(feature = "config")]
mod config;
mod durable;
mod durations;
mod graphs;
#[cfg(feature = "http")]
mod keys;
mod live;
mod metrics;
mod names;
mod overload;
mod panics;
mod pipelines;
mod planner;
mod rerun;
mod routers;
#[cfg(feature = "http")]
mod server;
mod single_tasks;
mod sources;
mod spans;
mod sub;
mod typed;

use tidegate_workflow::{Task, TaskError};

/// A task that returns its own id.
fn echo(id: &'static str) -> Task {
    Task::new(id, move |_| async move { Ok::<_, TaskError>(id) })
}

/// A task that fails with this text.
fn failing(id: &'static str) -> Task {
    Task::new(id, |_| async { Err::<(), _>(TaskError::from("out of order")) })
}

/// A task that ends when it is told to stop.
fn until_stopped(id: &'static str) -> Task {
    Task::new(id, |cx| async move {
        cx.token().cancelled().await;
        Err::<(), _>(TaskError::from("stopped"))
    })
}

/// Does this while whatever the thread tells goes to this subscriber.
///
/// A second one is there meanwhile: with a single subscriber, `tracing` asks whichever thread comes to a span first whether
/// anybody cares, and another test's thread has none.
fn watched<T>(watcher: impl tracing::Subscriber + Send + Sync, work: impl FnOnce() -> T) -> T {
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    tracing::subscriber::with_default(watcher, work)
}
