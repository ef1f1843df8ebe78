//! Turns work items that ended into the samples that a law asks for.

use std::time::Duration;

use crate::law::{Latency, Sample, Window};

/// Collects what ended until a law's [`Window`] is full. It reads no clock and holds no lock: [`Limiter`](crate::Limiter)
/// adds both, a simulator adds its own time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tidegate_limiter::{Aimd, Ended, Law, Meter, Outcome};
///
/// let mut law = Aimd::default();
/// let mut meter = Meter::new(Duration::ZERO, law.window());
/// let ended = Ended {
///     at: Duration::from_millis(30),
///     latency: Duration::from_millis(20),
///     in_flight: 20,
///     outcome: Outcome::Success,
///     backend_wait: None,
/// };
/// let sample = meter.ended(&ended).expect("each item is a sample for this law");
/// let limit = law.next(20, &sample);
/// meter.restart(ended.at, law.window(), limit != 20);
/// assert_eq!(limit, 21);
/// ```
#[derive(Debug)]
pub struct Meter {
    window: Window,
    /// When the limit last changed, if what began before is left out.
    since: Duration,
    /// When the first item that counts began.
    settles_from: Option<Duration>,
    opened: Duration,
    count: usize,
    sum: f64,
    squares: f64,
    min: Duration,
    max_in_flight: usize,
    overloads: usize,
    /// What the backend told, and how often.
    wait: Duration,
    waits: u32,
    /// The latest latencies, at most [`KEPT`], for the quantiles.
    kept: Vec<Duration>,
}

/// Quantiles go by this many latencies at most.
const KEPT: usize = 1024;

/// A work item that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// When, counted from any moment that stays the same.
    pub at: Duration,
    /// How long it took from admission.
    pub latency: Duration,
    /// How many were in flight when it began, itself included.
    pub in_flight: usize,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it waited inside the backend before it was served, if the backend tells.
    pub backend_wait: Option<Duration>,
}

/// How a work item ended, as far as a law cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its latency tells about the backend.
    Success,
    /// The backend refused it for lack of capacity, or it timed out.
    Overload,
}

impl Meter {
    /// A meter whose first window opens at `at`.
    pub fn new(at: Duration, window: Window) -> Self {
        Self {
            window,
            since: Duration::ZERO,
            settles_from: None,
            opened: at,
            count: 0,
            sum: 0.0,
            squares: 0.0,
            min: Duration::MAX,
            max_in_flight: 0,
            overloads: 0,
            wait: Duration::ZERO,
            waits: 0,
            kept: Vec::new(),
        }
    }

    /// Takes one in; a sample if that filled the window. Call [`restart`](Self::restart) then.
    pub fn ended(&mut self, item: &Ended) -> Option<Sample> {
        if !self.counts(item) {
            return None;
        }
        self.max_in_flight = self.max_in_flight.max(item.in_flight);
        match item.outcome {
            Outcome::Overload => self.overloads += 1,
            Outcome::Success => self.measure(item),
        }
        let measured = self.count + self.overloads;
        let passed = item.at.saturating_sub(self.opened);
        let is_full = self.window.count <= measured && self.window.at_least <= passed;
        (is_full || self.window.at_most <= passed).then(|| self.sample(item.at))
    }

    /// Opens the next window, after the law was asked and the limit set.
    pub fn restart(&mut self, at: Duration, window: Window, limit_changed: bool) {
        let mut kept = std::mem::take(&mut self.kept);
        kept.clear();
        let (since, settles_from) = match (window.settle.is_zero(), limit_changed) {
            (true, _) => (Duration::ZERO, None),
            (false, true) => (at, None),
            (false, false) => (self.since, self.settles_from),
        };
        *self = Self { since, settles_from, kept, ..Self::new(at, window) };
    }

    /// Whether it ended late enough, and began under this limit if that matters.
    fn counts(&mut self, item: &Ended) -> bool {
        if self.window.settle.is_zero() {
            return true;
        }
        let began = item.at.saturating_sub(item.latency);
        if self.settles_from.is_none() && self.since <= began {
            self.settles_from = Some(began);
        }
        let is_settled = self
            .settles_from
            .is_some_and(|from| self.window.settle <= item.at.saturating_sub(from));
        if !is_settled {
            self.opened = item.at;
        }
        is_settled && (!self.window.only_fresh || self.since <= began)
    }

    fn measure(&mut self, item: &Ended) {
        let seconds = item.latency.as_secs_f64();
        self.sum += seconds;
        self.squares += seconds * seconds;
        self.min = self.min.min(item.latency);
        if let Some(wait) = item.backend_wait {
            self.wait = self.wait.saturating_add(wait);
            self.waits = self.waits.saturating_add(1);
        }
        match self.kept.get_mut(self.count % KEPT) {
            Some(oldest) => *oldest = item.latency,
            None => self.kept.push(item.latency),
        }
        self.count += 1;
    }

    fn sample(&mut self, at: Duration) -> Sample {
        let measured = (self.count + self.overloads).max(1);
        let passed = at.saturating_sub(self.opened).as_secs_f64();
        Sample {
            throughput: (0.0 < passed).then(|| self.count as f64 / passed),
            at,
            error_rate: Some(self.overloads as f64 / measured as f64),
            max_in_flight: self.max_in_flight,
            overloads: self.overloads,
            latency: (0 < self.count).then(|| self.latency()),
            backend_wait: self.wait.checked_div(self.waits),
            ..Sample::default()
        }
    }

    fn latency(&mut self) -> Latency {
        let n = self.count as f64;
        let mean = self.sum / n;
        let variance = (self.squares / n - mean * mean).max(0.0);
        Latency {
            count: self.count,
            min: self.min,
            mean: seconds(mean),
            deviation: seconds(variance.sqrt()),
            p10: quantile(&mut self.kept, 0.1),
            p50: quantile(&mut self.kept, 0.5),
        }
    }
}

/// The longest there is, if it is longer.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// The one that a share of `share` lies below.
fn quantile(values: &mut [Duration], share: f64) -> Duration {
    let at = (share * values.len() as f64) as usize;
    *values.select_nth_unstable(at).1
}

#[cfg(test)]
mod tests;
