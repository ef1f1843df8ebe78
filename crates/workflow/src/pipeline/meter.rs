//! What came of requests: counts, times, and how much ran at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Counts the requests of one pipeline or of several, in the same few bytes however many there are. Cheap to clone; clones
/// count together.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<Tally>>);

/// What a [`Meter`] has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// How many requests came.
    pub asked: u64,
    /// How many were answered by all stages.
    pub complete: u64,
    /// How many were answered without some stage.
    pub degraded: u64,
    /// How many were not answered.
    pub failed: u64,
    /// How many were dropped by who asked.
    pub dropped: u64,
    /// How many ran stage after stage in the end because of load; they are among the others.
    pub fell_back: u64,
    /// The shortest time from a request to its answer, or to there being none.
    pub fastest: Duration,
    /// The longest.
    pub slowest: Duration,
    /// All these times together.
    pub took: Duration,
    /// For how long at least one request was under way.
    pub elapsed: Duration,
    /// How many attempts of stages began.
    pub attempts: u64,
    /// How long these ran, all together: what one after another would have taken.
    pub busy: Duration,
    /// For how long at least one of them ran.
    pub working: Duration,
    /// For how long at least two of them ran.
    pub parallel: Duration,
    /// The most of them that ran at once.
    pub peak: usize,
}

impl Statistics {
    /// How many requests are over, in whatever way, and were not dropped.
    pub fn ended(&self) -> u64 {
        self.complete + self.degraded + self.failed
    }

    /// The share of the requests that were answered, degraded or not, 0 to 1; 1 if none is over.
    pub fn success_rate(&self) -> f64 {
        let answered = self.complete + self.degraded;
        if self.ended() == 0 { 1.0 } else { answered as f64 / self.ended() as f64 }
    }

    /// The mean time from a request to its answer, or to there being none.
    pub fn mean(&self) -> Duration {
        self.took.checked_div(u32::try_from(self.ended()).unwrap_or(u32::MAX)).unwrap_or_default()
    }

    /// How many requests were answered in a second in which there was one to answer.
    pub fn throughput(&self) -> f64 {
        let answered = (self.complete + self.degraded) as f64;
        if self.elapsed.is_zero() { 0.0 } else { answered / self.elapsed.as_secs_f64() }
    }

    /// The share of the time in which agents worked that at least two did, 0 to 1.
    pub fn parallel_share(&self) -> f64 {
        if self.working.is_zero() { 0.0 } else { self.parallel.div_duration_f64(self.working) }
    }

    /// How many times as fast as one attempt after another, each of which takes as long as it did here: the mean number of
    /// attempts at once. Where they wait for each other's processor they would take less time alone: what is gained then, the
    /// [`elapsed`](Self::elapsed) time of a [sequential](super::Mode::Sequential) run tells.
    pub fn speed_up(&self) -> f64 {
        if self.elapsed.is_zero() { 1.0 } else { self.busy.div_duration_f64(self.elapsed) }
    }
}

/// The statistics in a few lines, for people.
impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, complete, degraded, failed, dropped, fell_back, .. } = *self;
        writeln!(
            f,
            "{asked} requests: {complete} complete, {degraded} degraded, {failed} failed, {dropped} dropped; {:.0} % answered, \
             {fell_back} fell back to one stage after another",
            100.0 * self.success_rate()
        )?;
        let Self { fastest, slowest, elapsed, .. } = self;
        let mean = self.mean();
        writeln!(
            f,
            "each took {fastest:.3?} to {slowest:.3?}, {mean:.3?} on average; {:.1} a second in {elapsed:.3?}",
            self.throughput()
        )?;
        writeln!(
            f,
            "{} pieces of work by agents took {:.3?}: {:.2} at once on average, at most {}, {:.0} % of the time in parallel",
            self.attempts,
            self.busy,
            self.speed_up(),
            self.peak,
            100.0 * self.parallel_share()
        )
    }
}

impl Meter {
    /// A meter that has counted nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What it has counted up to now.
    pub fn statistics(&self) -> Statistics {
        let mut tally = self.0.lock();
        tally.pass(Instant::now());
        tally.sums
    }

    /// A request that begins now.
    pub(super) fn asking(&self) -> Asking {
        let now = Instant::now();
        self.0.lock().ask(now);
        Asking { meter: self.clone(), began: now, ended: false }
    }

    /// An attempt that begins now and ends when this is dropped.
    pub(super) fn working(&self) -> Working {
        self.0.lock().begin(Instant::now());
        Working(self.clone())
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Answered { degraded: bool },
    Failed,
    Dropped,
}

/// A request under way. Dropping it says that who asked has gone.
#[derive(Debug)]
pub(super) struct Asking {
    meter: Meter,
    began: Instant,
    ended: bool,
}

impl Asking {
    /// The request is over; how long it took.
    pub(super) fn end(mut self, ending: Ending, fell_back: bool) -> Duration {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.began);
        let mut tally = self.meter.0.lock();
        tally.end(now, ending, took);
        tally.sums.fell_back += u64::from(fell_back);
        drop(tally);
        self.ended = true;
        took
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.ended {
            self.meter.0.lock().end(Instant::now(), Ending::Dropped, Duration::ZERO);
        }
    }
}

/// An attempt under way.
#[derive(Debug)]
pub(super) struct Working(Meter);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.0.lock().finish(Instant::now());
    }
}

/// The sums so far, and what is under way. Time comes in as a parameter.
#[derive(Debug, Default)]
struct Tally {
    sums: Statistics,
    asking: usize,
    running: usize,
    /// Up to when the sums of times are right.
    at: Option<Instant>,
}

impl Tally {
    /// Brings the sums of times up to now.
    fn pass(&mut self, now: Instant) {
        let at = self.at.unwrap_or(now);
        // Two threads may come in another order than their clocks were read.
        self.at = Some(at.max(now));
        let time = now.saturating_duration_since(at);
        let counts = |yes: bool| if yes { time } else { Duration::ZERO };
        self.sums.elapsed += counts(self.asking > 0);
        self.sums.working += counts(self.running > 0);
        self.sums.parallel += counts(self.running > 1);
        self.sums.busy += time * u32::try_from(self.running).unwrap_or(u32::MAX);
    }

    fn ask(&mut self, now: Instant) {
        self.pass(now);
        self.asking += 1;
        self.sums.asked += 1;
    }

    fn end(&mut self, now: Instant, ending: Ending, took: Duration) {
        self.pass(now);
        self.asking -= 1;
        let sums = &mut self.sums;
        match ending {
            Ending::Dropped => {
                sums.dropped += 1;
                return;
            }
            Ending::Answered { degraded: false } => sums.complete += 1,
            Ending::Answered { degraded: true } => sums.degraded += 1,
            Ending::Failed => sums.failed += 1,
        }
        let is_first = sums.ended() == 1;
        sums.fastest = if is_first { took } else { sums.fastest.min(took) };
        sums.slowest = sums.slowest.max(took);
        sums.took += took;
    }

    fn begin(&mut self, now: Instant) {
        self.pass(now);
        self.running += 1;
        self.sums.attempts += 1;
        self.sums.peak = self.sums.peak.max(self.running);
    }

    fn finish(&mut self, now: Instant) {
        self.pass(now);
        self.running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_come_late_with_their_time_count_none_twice() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut tally = Tally::default();
        tally.ask(at(10));
        tally.begin(at(20));
        tally.finish(at(15));
        tally.end(at(30), Ending::Failed, Duration::from_secs(20));
        assert_eq!((tally.sums.elapsed, tally.sums.working).0, Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn statistics_are_of_now_and_nothing_asked_is_nothing_failed() {
        let meter = Meter::new();
        assert_eq!(meter.statistics().success_rate(), 1.0);
        let asking = meter.asking();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(meter.statistics().elapsed, Duration::from_secs(5));
        drop(asking);
    }

    #[test]
    fn times_are_those_with_a_request_with_an_agent_and_with_two() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut tally = Tally::default();
        tally.ask(at(10));
        tally.begin(at(11));
        tally.begin(at(12));
        tally.ask(at(13));
        tally.finish(at(15));
        tally.finish(at(16));
        tally.end(at(18), Ending::Answered { degraded: true }, Duration::from_secs(8));
        tally.end(at(19), Ending::Dropped, Duration::ZERO);
        tally.ask(at(30));
        tally.end(at(31), Ending::Failed, Duration::from_secs(1));
        let expected = Statistics {
            asked: 3,
            degraded: 1,
            failed: 1,
            dropped: 1,
            fastest: Duration::from_secs(1),
            slowest: Duration::from_secs(8),
            took: Duration::from_secs(9),
            elapsed: Duration::from_secs(10),
            attempts: 2,
            busy: Duration::from_secs(8),
            working: Duration::from_secs(5),
            parallel: Duration::from_secs(3),
            peak: 2,
            ..Statistics::default()
        };
        assert_eq!(tally.sums, expected);
        assert_eq!((expected.success_rate(), expected.mean().as_millis()), (0.5, 4500));
        assert_eq!((expected.throughput(), expected.speed_up()), (0.1, 0.8));
        assert_eq!(expected.parallel_share(), 0.6);
    }
}
