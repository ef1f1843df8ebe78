use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use tokio::sync::oneshot;

use super::*;
use crate::machine::RunId;
use crate::orchestrator::Orchestrator;
use crate::task::{Grown, Task, TaskError};

/// Panics when somebody wakes it.
struct Rash;

impl Wake for Rash {
    fn wake(self: Arc<Self>) {
        panic!("in wake");
    }
}

/// Is counted and panics when it is dropped.
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        // ORDERING: Relaxed; there is one thread.
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("in drop");
    }
}

#[tokio::test]
async fn what_came_with_what_breaks_the_engine_is_dropped_piece_by_piece() {
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    let dropped = Arc::<AtomicUsize>::default();
    let tasks = ["a", "b"].map(|id| {
        let bomb = Bomb(Arc::clone(&dropped));
        let task = Task::new(id, move |_| {
            let _captured = &bomb;
            async { Ok::<(), TaskError>(()) }
        });
        Grown { task, before: Vec::new() }
    });
    let (breaks, mut answer) = oneshot::channel();
    let rash = Waker::from(Arc::new(Rash));
    assert!(Pin::new(&mut answer).poll(&mut Context::from_waker(&rash)).is_pending());
    let (reply, answer) = oneshot::channel();
    let submit = Command::Submit { run: RunId(0), by: None, tasks: tasks.into(), reply };
    let link = &orchestrator.link;
    assert!(link.send_all([Command::Durations(breaks), submit], link.now()).is_err());
    assert!(answer.await.is_err(), "it hears that there is no answer");
    // ORDERING: Relaxed; there is one thread.
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}
