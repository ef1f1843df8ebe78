//! One attempt as a future that always reports its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use tracing::Span;

use super::entry::Entry;
use super::{Command, Link};

use crate::context::{Context, Shared};
use crate::journal::MAX_OUTPUT;
use crate::machine::TaskRef;
use crate::run::Run;
use crate::task::{Body, Extras, Output, TaskError, Work, panicked};

/// An attempt: what there is to do for it, and then what has come of it. It goes from the engine to who tries it and back in
/// one piece, whose memory then serves another attempt of the run.
pub(crate) struct Attempt {
    context: Context,
    /// Everything of the user's runs inside.
    span: Span,
    /// Given back for the next attempt, if there may be one.
    pub(super) body: Option<Body>,
    /// What the body has begun, or the memory of what an earlier one has.
    work: Option<Work>,
    grace_ms: u32,
    pub(super) extras: Option<Arc<Extras>>,
    /// Whether it will probably wait for something: then it is a task of the runtime from the start. At its end, whether it
    /// has.
    pub(super) waits: bool,
    /// Whether the body may be wanted after it has done its work.
    pub(super) keeps_work: bool,
    /// When it was begun and when it was over, by the engine's clock.
    pub(super) began: Duration,
    pub(super) ended: Duration,
    pub(super) result: Result<Option<Output>, Failure>,
    /// The output as the run's journal keeps it; empty if it does not.
    pub(super) encoded: Vec<u8>,
}

/// An attempt that is to be tried.
pub(crate) type Job = Box<Attempt>;

/// One that is over.
pub(crate) type Ended = Box<Attempt>;

impl Attempt {
    /// One of nothing yet.
    pub(super) fn new(context: Context) -> Job {
        Box::new(Self {
            context,
            span: Span::none(),
            body: None,
            work: None,
            grace_ms: 0,
            extras: None,
            waits: false,
            keeps_work: false,
            began: Duration::ZERO,
            ended: Duration::ZERO,
            result: Ok(None),
            encoded: Vec::new(),
        })
    }

    /// Takes what there is to do for a task.
    pub(super) fn take(&mut self, entry: &mut Entry, span: Span) {
        entry.running = Some(self.context.clone());
        self.body = entry.body.take();
        debug_assert!(self.body.is_some(), "an attempt gives the body back when it fails");
        self.grace_ms = entry.grace_ms;
        self.extras.clone_from(&entry.extras);
        self.span = span;
    }

    /// What it sees of its run.
    pub(super) fn context(&mut self) -> &mut Context {
        &mut self.context
    }

    pub(super) fn task(&self) -> TaskRef {
        let Run { of, by } = &self.context.0.run;
        TaskRef { run: of.id, node: by.expect("an attempt's handle is that of its task") }
    }

    /// How long it ran.
    pub(super) fn took(&self) -> Duration {
        self.ended.saturating_sub(self.began)
    }

    /// What has come of it.
    pub(super) fn take_result(&mut self) -> Result<Option<Output>, Failure> {
        std::mem::replace(&mut self.result, Ok(None))
    }

    fn idle_timeout(&self) -> Option<Duration> {
        self.extras.as_ref()?.idle_timeout
    }

    /// Whether time alone may end the attempt: it was asked to stop, or has to show progress.
    fn is_impatient(&self) -> bool {
        self.context.0.is_stopped() || self.idle_timeout().is_some()
    }

    /// Starts the work. What is the user's runs here, so that its panics are contained where it is polled.
    fn begin(&mut self) -> Result<(), Failure> {
        self.context.0.made_progress(self.began);
        if self.context.0.is_stopped() {
            return Err(Failure::of(TaskError::fatal("stopped before it began")));
        }
        let condition = self.extras.as_ref().and_then(|extras| extras.condition.as_ref());
        if condition.is_some_and(|condition| !condition(&self.context)) {
            return Err(Failure::Declined);
        }
        let body = self.body.as_ref().expect("it has not ended");
        body(self.context.clone(), &mut self.work);
        Ok(())
    }
}

impl Drop for Attempt {
    /// What is left in it is the user's, and each piece may panic.
    fn drop(&mut self) {
        super::drop_each(self.work.take());
        super::drop_each(self.body.take());
        super::drop_each(self.extras.take());
        super::drop_each(self.take_result());
    }
}

/// Why an attempt has no output.
pub(crate) enum Failure {
    /// The error has been read and dropped where its panics are contained.
    Error { message: Box<str>, retryable: bool, overload: Option<Duration> },
    /// It was stopped because it made no progress.
    Idle,
    /// Its condition said no.
    Declined,
}

impl Failure {
    pub(super) fn of(error: TaskError) -> Self {
        let (retryable, overload) = (error.is_retryable(), error.overload());
        let message = catch_unwind(AssertUnwindSafe(|| error.message()));
        let message = message.unwrap_or_else(|panic| {
            super::drop_contained(panic);
            "failed with an error whose text panicked".to_owned()
        });
        super::drop_contained(error);
        Self::Error { message: message.into(), retryable, overload }
    }

    /// Writes it into the attempt's span.
    fn mark(&self, span: &Span) {
        let error = match self {
            Self::Error { message, .. } => message,
            Self::Idle => "made no progress for too long",
            Self::Declined => return,
        };
        span.record("error", error);
        super::spans::failed(span, error);
    }
}

/// An attempt that is being tried. It can be polled from one task and then go on in another.
pub(super) struct Trying {
    job: Option<Job>,
    /// When it begins, if that is known.
    now: Option<Duration>,
    stage: Stage,
    /// Ends when the attempt is not waited for any longer.
    patience: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Begun,
    Over,
}

impl Trying {
    /// `now` is the time if it has just been read.
    pub(super) fn new(mut job: Job, now: Option<Duration>) -> Self {
        job.waits = false;
        Self { job: Some(job), now, stage: Stage::New, patience: None }
    }

    pub(super) fn link(&self) -> Option<Arc<Link>> {
        Some(Arc::clone(&self.job.as_ref()?.context.0.run.of.link))
    }

    /// Drops the work and makes a report of it: whoever hears of the end finds nothing running.
    fn report(&mut self, result: Result<Option<Output>, Failure>) -> Option<Ended> {
        let mut job = self.job.take()?;
        let result = if self.stage == Stage::Begun {
            let work = job.work.take();
            match catch_unwind(AssertUnwindSafe(|| drop(work))) {
                Ok(()) => result,
                Err(panic) => {
                    super::drop_contained(panic);
                    super::drop_contained(result);
                    Err(Failure::of(TaskError::fatal("the task's destructor panicked")))
                }
            }
        } else {
            result
        };
        let (result, encoded) = match result {
            Err(Failure::Error { .. }) if job.context.0.was_idle() => {
                (Err(Failure::Idle), Vec::new())
            }
            result => match job.extras.as_deref() {
                Some(extras) => encoded(result, &job.context, extras),
                None => (result, Vec::new()),
            },
        };
        if let Err(failure) = &result {
            failure.mark(&job.span);
        }
        self.patience = None;
        job.ended = job.context.0.run.of.link.now();
        job.span = Span::none();
        if result.is_ok() && !job.keeps_work {
            super::drop_contained(job.body.take());
        }
        (job.result, job.encoded) = (result, encoded);
        Some(job)
    }

    /// Polls the attempt; at its end, what is to be told to the engine.
    pub(super) fn poll_end(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<Ended>> {
        self.poll_work(cx).map(|result| self.report(result))
    }

    fn poll_work(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<Option<Output>, Failure>> {
        let Self { job: Some(job), now, stage, patience } = self else {
            return Poll::Ready(Ok(None));
        };
        let span = job.span.clone();
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let _inside = span.enter();
            if *stage == Stage::New {
                job.began = now.unwrap_or_else(|| job.context.0.run.of.link.now());
                job.begin()?;
                *stage = Stage::Begun;
            }
            let polled = job.work.as_mut().expect("it has begun").poll(cx);
            if polled.is_ready() {
                *stage = Stage::Over;
            }
            Ok(polled.map(|result| result.map(Some).map_err(Failure::of)))
        }));
        Poll::Ready(match polled {
            Ok(Ok(Poll::Ready(result))) => result,
            Ok(Err(failure)) => Err(failure),
            Ok(Ok(Poll::Pending)) => {
                job.waits = true;
                job.context.0.watch(cx.waker());
                if !job.is_impatient() {
                    return Poll::Pending;
                }
                let patience = patience.get_or_insert_with(|| Box::pin(self::patience(job)));
                match patience.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => Err(Failure::of(TaskError::fatal(
                        "dropped: it did not stop within its grace period",
                    ))),
                }
            }
            Err(panic) => Err(Failure::of(panicked(panic))),
        })
    }
}

/// The output as the run's journal keeps it, if it has one. An output that cannot be kept is none.
fn encoded(
    result: Result<Option<Output>, Failure>,
    context: &Context,
    extras: &Extras,
) -> (Result<Option<Output>, Failure>, Vec<u8>) {
    let codec = extras.codec.filter(|_| context.0.run.of.name.is_some());
    let (Ok(Some(output)), Some(codec)) = (&result, codec) else { return (result, Vec::new()) };
    // The user's `Serialize` may panic.
    let error = match catch_unwind(AssertUnwindSafe(|| (codec.encode)(&**output))) {
        Ok(Ok(bytes)) if bytes.len() <= MAX_OUTPUT => return (result, bytes),
        Ok(Ok(bytes)) => format!("{} bytes, at most {MAX_OUTPUT}", bytes.len()),
        Ok(Err(error)) => error,
        Err(panic) => {
            super::drop_contained(panic);
            "encoding it panicked".to_owned()
        }
    };
    super::drop_contained(result);
    let error = TaskError::fatal(format!("its output cannot be kept: {error}"));
    (Err(Failure::of(error)), Vec::new())
}

impl Drop for Trying {
    /// After a panic elsewhere, and when the attempt is aborted.
    fn drop(&mut self) {
        if let Some(link) = self.link()
            && let Some(ended) = self.report(Err(Failure::of(TaskError::fatal("aborted"))))
        {
            // The engine may have gone, and with it whoever would want to know.
            let _ = link.send(Command::Ended(ended));
        }
    }
}

/// Waits until the attempt was asked to stop and its grace period is over. Asks it to stop when it makes no progress.
fn patience(job: &Attempt) -> impl Future<Output = ()> + Send + 'static {
    let shared = Arc::clone(&job.context.0);
    let idle = job.idle_timeout();
    let grace = Duration::from_millis(u64::from(job.grace_ms));
    async move {
        if let Some(idle) = idle {
            stopped_or_idle(&shared, idle).await;
        }
        tokio::time::sleep(grace).await;
    }
}

async fn stopped_or_idle(shared: &Shared, idle: Duration) {
    let link = &shared.run.of.link;
    loop {
        if shared.is_waiting() {
            shared.made_progress(link.now());
        }
        let due = shared.last_progress().saturating_add(idle);
        if due <= link.now() {
            return shared.stop_as_idle();
        }
        tokio::select! {
            () = shared.token().cancelled() => return,
            () = tokio::time::sleep_until(link.at(due)) => {}
        }
    }
}
