//! The loop that follows live metrics: read, ask the law, resize.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use tidegate_limiter::{Law, Sample};
use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::agent::Adaptive;
use crate::engine::{AgentChange, Command, Link, Shared};
use crate::source::{Reading, Source};

/// Steers until the engine is gone. A panic of the source or of the law changes nothing.
pub(crate) async fn steer(
    mut source: impl Source,
    mut law: Box<dyn Law>,
    interval: Duration,
    shared: Arc<Shared>,
    link: Arc<Link>,
) -> Result<(), Infallible> {
    let clock = Instant::now();
    let mut ticks = ticks(interval);
    loop {
        ticks.tick().await;
        let read = AssertUnwindSafe(source.read()).catch_unwind().await;
        let panicked = |_| Some("the source panicked".to_owned());
        let trouble = match &read {
            Ok(_) => std::panic::catch_unwind(AssertUnwindSafe(|| source.trouble()))
                .unwrap_or_else(panicked),
            Err(_) => panicked(Box::new(())),
        };
        shared.troubles.read(link.now(), trouble);
        let reading = read.unwrap_or_default();
        let Reading { queue_depth, gpu_wait, error_rate } = reading;
        let sample =
            Sample { at: clock.elapsed(), queue_depth, gpu_wait, error_rate, ..Sample::default() };
        // ORDERING: Relaxed; the engine alone writes it, and a stale value is corrected an interval later.
        let limit = shared.limit.load(Ordering::Relaxed);
        let next = chosen(&mut *law, limit, &sample);
        if next != limit && link.send(Command::SetLimit(next)).is_err() {
            return Ok(());
        }
    }
}

/// Steers the limit of one agent by what the engine measures of its attempts.
pub(crate) async fn steer_agent(
    agent: Arc<str>,
    adaptive: Adaptive,
    link: Arc<Link>,
) -> Result<(), Infallible> {
    let Adaptive { mut law, interval } = adaptive;
    let mut ticks = ticks(interval);
    loop {
        ticks.tick().await;
        let (reply, answer) = oneshot::channel();
        if link.send(Command::Observe { agent: Arc::clone(&agent), reply }).is_err() {
            return Ok(());
        }
        let Ok(observed) = answer.await else { return Ok(()) };
        let sample = observed.sample(link.now());
        let limit = observed.limit;
        let next = chosen(&mut *law, limit, &sample);
        if next != limit {
            let change = AgentChange::Concurrency(next);
            let _ = link.send(Command::ChangeAgent { agent: Arc::clone(&agent), change });
        }
    }
}

/// What the law makes of it: at least 1, since nothing would be measured any more, and nothing of a limit of 0, which is a
/// pause that somebody else ends.
fn chosen(law: &mut dyn Law, limit: usize, sample: &Sample) -> usize {
    if limit == 0 {
        return 0;
    }
    let next = std::panic::catch_unwind(AssertUnwindSafe(|| law.next(limit, sample)));
    next.map_or(limit, |next| next.max(1))
}

fn ticks(interval: Duration) -> Interval {
    // A timer of no length would panic, and so would one that ends after all time.
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
    let interval = interval.clamp(Duration::from_millis(1), LONGEST);
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}
