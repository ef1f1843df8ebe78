//! The loop that follows live metrics: read, ask the law, resize.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use tidegate_limiter::{Law, Sample};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use crate::engine::{Command, Shared};
use crate::source::{Reading, Source};

/// Steers until the engine is gone. A panic of the source or of the law changes nothing.
pub(crate) async fn steer(
    mut source: impl Source,
    mut law: Box<dyn Law>,
    interval: Duration,
    shared: Arc<Shared>,
    commands: mpsc::WeakUnboundedSender<Command>,
) -> Result<(), Infallible> {
    let clock = Instant::now();
    let mut ticks = tokio::time::interval_at(clock + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let reading = AssertUnwindSafe(source.read()).catch_unwind().await.unwrap_or_else(|_| {
            tracing::warn!("the metrics source panicked; the limit stays");
            Reading::default()
        });
        let Reading { queue_depth, gpu_wait, error_rate } = reading;
        let sample =
            Sample { at: clock.elapsed(), queue_depth, gpu_wait, error_rate, ..Sample::default() };
        // ORDERING: Relaxed; the engine alone writes it, and a stale value is corrected an interval later.
        let limit = shared.limit.load(Ordering::Relaxed);
        let next = std::panic::catch_unwind(AssertUnwindSafe(|| law.next(limit, &sample)))
            .unwrap_or(limit);
        let Some(commands) = commands.upgrade() else { return Ok(()) };
        if next != limit && commands.send(Command::SetLimit(next)).is_err() {
            return Ok(());
        }
    }
}
