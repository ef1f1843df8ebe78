//! One attempt as a future that always reports its end.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{AttemptOutput, Command, Ended};
use crate::context::Context;
use crate::machine::TaskRef;
use crate::task::{Body, TaskError};

/// Runs the body until it ends, or until its token was cancelled and the grace period is over.
pub(super) async fn attempt(
    task: TaskRef,
    context: Context,
    body: Body,
    grace: Duration,
    commands: mpsc::UnboundedSender<Command>,
) -> Result<(), Infallible> {
    let mut report = Reporting {
        task,
        commands,
        result: Err(TaskError::fatal("the task's destructor panicked")),
    };
    let token = context.token.clone();
    // The body is called inside, so that a panic before its first await is contained as well.
    let work = AssertUnwindSafe(async move { body(context).await }).catch_unwind();
    report.result = tokio::select! {
        biased;
        ended = work => match ended {
            Ok(result) => result.map(AttemptOutput),
            Err(panic) => Err(TaskError::from(format!("panicked: {}", message(&*panic)))),
        },
        () = given_up(&token, grace) => Err(TaskError::fatal("dropped: it did not stop within its grace period")),
    };
    Ok(())
}

async fn given_up(token: &CancellationToken, grace: Duration) {
    token.cancelled().await;
    tokio::time::sleep(grace).await;
}

/// Reports when it is dropped: after the end, after a panic in a destructor, and when the attempt is aborted.
struct Reporting {
    task: TaskRef,
    commands: mpsc::UnboundedSender<Command>,
    result: Ended,
}

impl Drop for Reporting {
    fn drop(&mut self) {
        let result = std::mem::replace(&mut self.result, Err(TaskError::fatal("aborted")));
        // The engine may have gone, and with it whoever would want to know.
        let _ = self.commands.send(Command::Ended { task: self.task, result });
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a value that is no text")
}
