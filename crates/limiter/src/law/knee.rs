//! Ours: keeps the limit at the knee, where the backend is just busy.

use std::time::Duration;

use super::{Latency, Law, Sample, Window};
use capacity::{Capacity, Headroom};
use ground::Ground;
use shape::{Lens, Shape};

mod capacity;
mod estimate;
mod ground;
mod infer;
mod shape;

/// Keeps the limit just above the point where work begins to queue inside the backend.
///
/// Of a mean latency R at limit L, a part W is waiting. By Little's law `L·(1 − W/R)` is the number that was being served:
/// the capacity, reached in one step from however far above (Newton's method, since R grows in proportion to L past the
/// knee). A Kalman filter follows it, so that noise moves the limit little and a change moves it at once; the limit is a
/// small headroom above, so that the backend never runs dry. It grows when it is used and, by a likelihood ratio, less
/// waits than this capacity explains: the faster the longer that lasts.
///
/// Where the backend reports the wait, that is all, but that every fourth window is at the limit rounded up: a headroom that is not a whole
/// one would never show whether there is room for more. From latency alone the wait must be told from the service time:
///
/// - It is read off the *tenth percentile*: waiting in line adds the same to short and long work alike, so the shortest
///   tenth shows it several times more clearly than the mean does, whose own variance hides it. (The minimum would collapse
///   with variance.)
/// - The latency without waiting is learned by *probes*: every now and then one short window at four fifths of the limit.
///   It follows a faster service at once. A standing queue does not raise it: a probe shortens the queue, and what a queue
///   adds leaves the *spread*, the mean less the tenth percentile, as it was. In turn with these, one window at five fourths
///   shows whether there is more capacity than is used.
/// - If the spread grows, everything has become slower: work takes longer, or the backend shares itself among all that is in
///   flight. One deep cut tells which. If the spread falls with it, the limit stays down, and is steered from then on so that
///   a probe takes a tenth of the latency away. If not, it goes back up, and the latency is the new normal.
/// - At first nothing tells whether the first latencies hold a queue already, a neighbour's perhaps. So the limit is halved for
///   as long as that shortens the latency; what is left is the latency without waiting.
/// - Growth that does not pay is taken back: throughput must grow by half as much as the limit. That is where Kleinrock's *power*,
///   throughput over latency, is at its most (L. Kleinrock, *Power and deterministic rules of thumb for probabilistic
///   problems in computer communications*, ICC 1979), and needs no latency to compare with: one that was learned too high, or a
///   backend that slows down under load, cannot make the limit run away.
/// - Cuts that do not shorten the wait were a mistake of the same kind, and are taken back.
///
/// Where round trips are long, probes follow each other more closely, since a backend changes in its own time. Still, from latency alone the
/// law needs many probes, seconds rather than round trips, where fewer than ten or so are in flight; and it stays
/// below the best limit of a large backend that slows down evenly under load.
///
/// What it owes to others: comparing latency with the one without waiting is TCP Vegas (Brakmo and Peterson, 1995) and, for
/// servers, Netflix's concurrency-limits and Envoy's adaptive concurrency; short probes below the limit are BBR's (Cardwell et al., 2016)
/// and LEDBAT++'s slowdowns (draft-irtf-iccrg-ledbat-plus-plus), whose problem of the late-comer, who takes a neighbour's queue for the
/// latency without waiting, the first descent answers; that throughput must follow the limit is what Uber's Cinnamon
/// reads off a covariance.
///
/// After each change the law looks away for one round trip, and then decides on 24 to 40 latencies. See the simulator,
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
///     latency: Some(Latency { count: 40, ..Latency::of(Duration::from_millis(80)) }),
///     backend_wait: Some(Duration::from_millis(60)),
///     ..Sample::default()
/// };
/// // Three quarters of the time is waiting: ten of the forty are served. The headroom of 0.8 is not a whole one.
/// assert_eq!(law.next(40, &sample), 10);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Knee {
    /// The limit never goes below this; at least 1.
    pub min: usize,
    /// The limit never goes above this.
    pub max: usize,
    /// The limit before rounding.
    exact: f64,
    capacity: Capacity,
    /// The most the capacity was since the limit last fell or rose at once.
    peak: f64,
    lens: Lens,
    /// Latency without waiting.
    base: Option<Shape>,
    /// Latency at the limit.
    now: Option<Shape>,
    phase: Phase,
    /// Log-likelihood that the backend shares itself among all, rather than serving some and letting the others wait.
    shared: f64,
    /// Where the limit last began to grow.
    ground: Option<Ground>,
    probe_due: Duration,
    /// Whether the last probe was one above the limit.
    reached: bool,
    /// The mean latency of the last window.
    rtt: Duration,
    is_told: bool,
    /// Counts the windows in which it was, in turns of [`ROUNDED_UP`].
    told: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Steady,
    /// At first: halved from this limit, where the latency had this mean. Did that shorten it?
    Descending {
        from: f64,
        mean: f64,
    },
    /// The limit was lowered to see the latency without waiting; it was this before.
    Probing {
        back: f64,
    },
    /// It was lowered from here because of this wait, in seconds. Does that help? The last time it did not if `again`.
    Emptying {
        before: f64,
        wait: f64,
        again: bool,
    },
    /// It was lowered from here because of this spread, in seconds. Does that help?
    Thinning {
        before: f64,
        spread: f64,
    },
}

/// A window with fewer says nothing.
const FEWEST: usize = 12;
/// A window has twice the limit, but no fewer and no more than this; or so many if the wait is told, which has no noise.
const COUNT: (f64, f64) = (24.0, 40.0);
const COUNT_TOLD: f64 = 16.0;
const HEADROOM_TOLD: Headroom = Headroom { share: 0.03, more: 0.5 };
/// Where few are served, the headroom is not a whole one, and a limit rounded down never shows whether there is room for more: one window
/// in so many, it is rounded up.
const ROUNDED_UP: u32 = 4;

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
            capacity: Capacity::unknown(),
            peak: 0.0,
            lens: Lens::new(),
            base: None,
            now: None,
            phase: Phase::Steady,
            shared: 0.0,
            ground: None,
            probe_due: Duration::ZERO,
            reached: false,
            rtt: Duration::ZERO,
            is_told: false,
            told: 0,
        }
    }

    /// With a wait that is known.
    fn follow(&mut self, sample: &Sample, latency: &Latency, wait: Duration) {
        let waiting = wait.as_secs_f64() / latency.mean.as_secs_f64().max(1e-9);
        self.exact = self.aim(sample, waiting, HEADROOM_TOLD, true);
        self.told = (self.told + 1) % ROUNDED_UP;
        if self.told == 0 && self.is_used(sample) {
            self.exact = self.exact.ceil();
        }
    }

    fn aim(&mut self, sample: &Sample, waiting: f64, headroom: Headroom, may_grow: bool) -> f64 {
        if self.is_used(sample) {
            self.capacity.aim(self.exact, waiting, headroom, may_grow)
        } else {
            self.capacity.aim_unused(self.exact, sample.max_in_flight, waiting, headroom)
        }
    }

    fn is_used(&self, sample: &Sample) -> bool {
        self.exact as usize <= sample.max_in_flight
    }

    /// How many latencies a window has.
    fn count(&self) -> f64 {
        if self.is_told { COUNT_TOLD } else { (2.0 * self.exact).max(COUNT.0).min(COUNT.1) }
    }
}

impl Law for Knee {
    fn next(&mut self, limit: usize, sample: &Sample) -> usize {
        if self.exact as usize != limit {
            self.exact = limit as f64; // someone else set it
            self.phase = Phase::Steady;
            self.capacity.forget();
            self.ground = None;
        }
        let refused = sample.error_rate.unwrap_or(0.0);
        if 0 < sample.overloads && 0.05 < refused {
            self.exact *= 0.9;
            self.phase = Phase::Steady;
            self.capacity.forget();
        } else if let Some(latency) = sample.latency.filter(|l| FEWEST <= l.count) {
            let is_first = self.rtt.is_zero();
            self.rtt = latency.mean;
            self.is_told = sample.backend_wait.is_some();
            match sample.backend_wait {
                Some(wait) => self.follow(sample, &latency, wait),
                None if is_first => {} // of what began with the law, only the short has ended
                None => self.infer(sample, &latency),
            }
        }
        self.exact = self.exact.min(self.max as f64).max(self.min.max(1) as f64);
        self.exact as usize
    }

    fn window(&self) -> Window {
        let count = self.count();
        let unknown = Window {
            settle: Duration::from_nanos(1),
            ..Window::every(Duration::ZERO, count as usize)
        };
        if self.rtt.is_zero() {
            return unknown;
        }
        let unloaded = self
            .base
            .map_or(self.rtt, |base| Duration::from_secs_f64(1.25 * base.mean().max(1e-9)));
        let is_checking = matches!(self.phase, Phase::Emptying { .. } | Phase::Thinning { .. });
        let count = if is_checking { count / 2.0 } else { count };
        let expected = self.rtt.mul_f64(count / self.exact.max(1.0));
        Window {
            settle: self.rtt.min(unloaded),
            count: count as usize,
            at_least: (self.rtt / 2).max(Duration::from_millis(1)),
            at_most: (expected * 2).max(self.rtt.mul_f64(1.5)),
            ..unknown
        }
    }
}

#[cfg(test)]
mod tests;
