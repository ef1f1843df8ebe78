//! Ours: keeps the limit at the knee, where the backend is just busy.

use std::time::Duration;

use super::{Latency, Law, Sample, Window};

/// Keeps the limit just above the point where work begins to queue inside the backend.
///
/// Of a mean latency R at limit L, a part W is waiting. By Little's law `L·(1 − W/R)` is the number that was being served:
/// the capacity, reached in one step from however far above (Newton's method, since R grows in proportion to L past the
/// knee). The limit is set to that plus a small headroom, so that the backend never runs dry. If the limit is used and
/// nothing waits, it grows, the faster the longer that lasts.
///
/// Where the backend reports the wait, that is all. From latency alone the wait must be told from the service time:
///
/// - It is read off the *tenth percentile*: waiting in line adds the same to short and long work alike, so the shortest tenth
///   shows it several times more clearly than the mean does, whose own variance hides it. (The minimum would collapse with
///   variance.) Where the mean contradicts it beyond doubt, the mean is believed: a backend that shares itself among
///   all slows everything down in proportion, which short work shows less.
/// - The latency without waiting is learned by *probes*: every now and then one short window at four fifths of the
///   limit. It follows a faster service at once. It cannot rise by a standing queue, because a probe shortens that.
/// - Two deep cuts in a row that did not shorten the latency were a mistake: the service has become slower, not scarcer. The limit goes back
///   to where it was, and the latency is the new normal.
///
/// After each change the law looks away for one round trip, and then decides on 48 latencies. See the simulator,
/// `cargo xtask laws`, for how it fares beside the published laws.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tidegate_limiter::{Knee, Latency, Law, Sample};
///
/// let mut law = Knee::default();
/// let sample = Sample {
///     max_in_flight: 40,
///     latency: Some(Latency { count: 48, ..Latency::of(Duration::from_millis(80)) }),
///     backend_wait: Some(Duration::from_millis(60)),
///     ..Sample::default()
/// };
/// // Three quarters of the time is waiting: ten of the forty are served, and a little headroom.
/// assert_eq!(law.next(40, &sample), 11);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Knee {
    /// The limit never goes below this; at least 1.
    pub min: usize,
    /// The limit never goes above this.
    pub max: usize,
    /// The limit before rounding.
    exact: f64,
    /// Latency without waiting.
    base: Option<Base>,
    phase: Phase,
    /// The mean latency over the last windows, in seconds, while they differ by chance alone.
    long: Option<f64>,
    /// For how many windows in a row the limit was used and nothing waited.
    flat: u32,
    probe_due: Duration,
    /// The mean latency of the last window.
    rtt: Duration,
}

/// Seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Base {
    mean: f64,
    p10: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Steady,
    /// The limit was lowered to see the latency without waiting; it was this before.
    Probing {
        back: f64,
    },
    /// A deep cut was made from this limit because of this wait, in seconds. Did it help?
    Checking {
        before: f64,
        wait: f64,
        again: bool,
    },
}

const COUNT: usize = 48;
/// A window with fewer says nothing.
const FEWEST: usize = 12;
/// What a probe leaves of the limit.
const PROBE: f64 = 0.8;
/// How much of what a probe saw is learned, if it differs from before by no more than chance would.
const LEARN: f64 = 0.3;
/// A share of the latency below this is not taken for waiting.
const DEAD: f64 = 0.03;
/// The mean may rise by this share of itself before it overrules the tenth percentile.
const SLACK: f64 = 0.06;

impl Default for Knee {
    /// Between 1 and 10,000.
    fn default() -> Self {
        Self::new(1, 10_000)
    }
}

impl Knee {
    /// A law that stays within these limits.
    pub const fn new(min: usize, max: usize) -> Self {
        Self {
            min,
            max,
            exact: 0.0,
            base: None,
            phase: Phase::Steady,
            long: None,
            flat: 0,
            probe_due: Duration::ZERO,
            rtt: Duration::ZERO,
        }
    }

    /// With a wait that is known.
    fn follow(&mut self, sample: &Sample, mean: f64, wait: f64) {
        let next = self.aim(sample, wait / mean, None);
        self.exact = next;
    }

    /// From latency alone.
    fn infer(&mut self, sample: &Sample, latency: &Latency) {
        let seen = Base { mean: latency.mean.as_secs_f64(), p10: latency.p10.as_secs_f64() };
        let error = latency.deviation.as_secs_f64() / (latency.count as f64).sqrt();
        if let Phase::Probing { back } = self.phase {
            self.phase = Phase::Steady;
            self.exact = back;
            let fell = self.long.is_some_and(|long| seen.mean + 2.0 * error < 0.95 * long);
            if fell {
                // There was a queue at the limit, and there may be one here: look further down soon.
                self.probe_due = sample.at;
            }
            self.base = Some(match self.base {
                Some(base) if !fell && (seen.mean - base.mean).abs() < 3.0 * error => {
                    base.toward(seen, LEARN)
                }
                _ => seen,
            });
            return;
        }
        let base = *self.base.get_or_insert(seen);
        self.long = Some(match self.long {
            Some(long) if (seen.mean - long).abs() < 3.0 * error && self.flat < 2 => {
                long + 0.15 * (seen.mean - long)
            }
            _ => seen.mean,
        });
        let wait = base.wait(seen, error, self.long.unwrap_or(seen.mean));
        let mut first = self.exact;
        let mut again = false;
        if let Phase::Checking { before, wait: then, again: twice } = self.phase {
            self.phase = Phase::Steady;
            if 0.6 * then < wait {
                if twice {
                    self.base = Some(seen);
                    self.exact = before;
                    self.flat = 0;
                    return;
                }
                (first, again) = (before, true);
            }
        }
        if seen.mean < base.mean - 5.0 * error {
            self.base = Some(seen);
            self.flat = 0;
        }
        let before = self.exact;
        let slower = 1.15 * base.mean + 0.5 * error < seen.mean;
        let next = self.aim(sample, wait / seen.mean - DEAD, Some(slower));
        let is_used = self.is_used(sample);
        self.exact = next;
        if next < PROBE * before {
            self.phase = Phase::Checking { before: first, wait, again };
        } else if self.probe_due <= sample.at && is_used && 2.0 <= next {
            self.phase = Phase::Probing { back: next };
            self.exact = PROBE * next;
            let half = latency.mean / 2;
            let cost =
                latency.mean + half.max(latency.mean * (COUNT as u32) / (self.exact as u32).max(1));
            self.probe_due = sample.at + (cost * 16).max(Duration::from_millis(500));
        }
    }

    fn is_used(&self, sample: &Sample) -> bool {
        self.exact as usize <= sample.max_in_flight
    }

    /// Where to go if this share of the latency is waiting.
    fn aim(&mut self, sample: &Sample, waiting: f64, slower: Option<bool>) -> f64 {
        let is_used = self.is_used(sample);
        let in_flight = self.exact.min(sample.max_in_flight as f64);
        let headroom = 0.03 * in_flight + 0.5;
        let served = in_flight * (1.0 - waiting.clamp(0.0, 1.0));
        if !is_used {
            self.flat = 0;
            let queues = 4.0 * headroom < in_flight - served;
            return if queues { served + headroom } else { self.exact };
        }
        let flat = if slower.is_none() { 0.5 * headroom } else { headroom };
        if waiting * in_flight < flat && slower != Some(true) {
            let growth = [1.06, 1.12, 1.25, 1.5][self.flat.min(3) as usize];
            self.flat += 1;
            return (served + headroom).max(self.exact * growth);
        }
        self.flat = 0;
        served + headroom
    }
}

impl Base {
    fn toward(self, seen: Self, share: f64) -> Self {
        Self {
            mean: self.mean + share * (seen.mean - self.mean),
            p10: self.p10 + share * (seen.p10 - self.p10),
        }
    }

    /// How much of what was `seen` is waiting, in seconds, given the standard error of its mean.
    fn wait(self, seen: Self, error: f64, long: f64) -> f64 {
        let by_mean = seen.mean - self.mean;
        let doubt = 2.8 * error;
        let least = (by_mean - doubt).max(long - self.mean - error)
            - (SLACK + 0.2 * error / seen.mean) * self.mean;
        (seen.p10 - self.p10).max(least).min(by_mean + doubt).max(0.0)
    }
}

impl Law for Knee {
    fn next(&mut self, limit: usize, sample: &Sample) -> usize {
        if self.exact as usize != limit {
            self.exact = limit as f64; // someone else set it
            self.phase = Phase::Steady;
        }
        let refused = sample.error_rate.unwrap_or(0.0);
        if 0 < sample.overloads && 0.05 < refused {
            self.exact *= 0.9;
            self.flat = 0;
            self.phase = Phase::Steady;
        } else if let Some(latency) = sample.latency.filter(|l| FEWEST <= l.count) {
            let is_first = self.rtt.is_zero();
            self.rtt = latency.mean;
            if is_first && sample.backend_wait.is_none() {
                return limit; // of what began with the law, only the short has ended
            }
            match sample.backend_wait {
                Some(wait) => {
                    self.follow(sample, latency.mean.as_secs_f64().max(1e-9), wait.as_secs_f64());
                }
                None => self.infer(sample, &latency),
            }
        }
        self.exact = self.exact.min(self.max as f64).max(self.min.max(1) as f64);
        self.exact as usize
    }

    fn window(&self) -> Window {
        let unknown =
            Window { settle: Duration::from_nanos(1), ..Window::every(Duration::ZERO, COUNT) };
        if self.rtt.is_zero() {
            return unknown;
        }
        let unloaded = self.base.map_or(self.rtt, |base| Duration::from_secs_f64(1.25 * base.mean));
        let count = if matches!(self.phase, Phase::Checking { .. }) { COUNT / 2 } else { COUNT };
        let expected = self.rtt.mul_f64(count as f64 / self.exact.max(1.0));
        Window {
            settle: self.rtt.min(unloaded),
            count,
            at_least: (self.rtt / 2).max(Duration::from_millis(1)),
            at_most: (expected * 2).max(self.rtt.mul_f64(1.5)),
            ..unknown
        }
    }
}

#[cfg(test)]
mod tests;
