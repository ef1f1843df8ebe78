//! What to do where only latency is known.

use std::mem;
use std::time::Duration;

use super::capacity::Headroom;
use super::ground::Ground;
use super::shape::Shape;
use super::{Knee, Phase};
use crate::law::{Latency, Sample};

/// What a probe leaves of the limit, and what one above makes of it.
const PROBE: f64 = 0.8;
const REACH: f64 = 1.25;
/// The next probe comes after this many times as long as the last one takes; sooner while it is in doubt what kind of backend it is.
const REST: f64 = 8.0;
const REST_IN_DOUBT: f64 = 4.0;
/// The rest need not be longer than this, unless that is less than so many times as long as a probe: a backend changes in its own time,
/// not in round trips, so that where these are long it must be looked at more often.
const LONGEST_REST: Duration = Duration::from_secs(1);
const LEAST_REST: f64 = 1.5;
const HEADROOM: Headroom = Headroom { share: 0.03, more: 0.8 };
/// When a backend counts as one that shares itself, and how sure of it to be at most: the opposite can still be learned.
const SURE: f64 = 2.0;
const SUREST: f64 = 6.0;
/// The share of its latency that a probe shall take away from a backend that shares itself.
const ELASTIC: f64 = 0.1;
/// By how much the spread falls in a probe if the backend shares itself.
const LESS: f64 = 0.12;
/// What is done per second varies at least so much, over the number that ended.
const LEAST_NOISE: f64 = 0.2;
/// Of the limit where growth began, so much must still be served for growth, and not the backend, to be at fault.
const SHRUNK: f64 = 0.7;
/// Half as many in flight have shortened the latency if it is less than this share of what it was: nearer to a half than to one.
const SHORTER: f64 = 0.7;

impl Knee {
    /// From latency alone.
    pub(super) fn infer(&mut self, sample: &Sample, latency: &Latency) {
        let seen = self.lens.shape(latency, &mut self.capacity.jitter);
        if self.base.is_none() && !self.descend(sample, &seen) {
            return;
        }
        if let Phase::Probing { back } = self.phase {
            self.phase = Phase::Steady;
            self.exact = back;
            self.learn(&seen);
            return;
        }
        if self.is_vain(sample, &seen, latency.count) {
            return;
        }
        let mut base = self.base.unwrap_or(seen);
        let mut now = self.now.unwrap_or(seen);
        now.follow(&seen);
        base.lower(&now);
        (self.base, self.now) = (Some(base), Some(now));
        if let Some(cut) = self.judge(&seen, &base, &now) {
            let now = self.now.unwrap_or(now);
            self.steer(sample, latency, &Sight { seen, base, now }, cut);
        }
    }

    /// At first nothing tells whether what is seen holds a queue. The limit is halved for as long as that shortens the latency;
    /// whether it is known, then.
    fn descend(&mut self, sample: &Sample, seen: &Shape) -> bool {
        let (from, fell) = match self.phase {
            Phase::Descending { from, mean } => (from, seen.mean() < SHORTER * mean),
            _ => (self.exact, true),
        };
        self.phase = Phase::Steady;
        if fell && 2.0 <= self.exact && self.is_used(sample) {
            self.phase = Phase::Descending { from: self.exact, mean: seen.mean() };
            self.exact = (self.exact / 2.0).floor();
            return false;
        }
        self.base = Some(*seen);
        if !fell {
            self.exact = from;
        }
        fell
    }

    /// Whether the limit has grown in vain; if so, it is back where it began to grow.
    fn is_vain(&mut self, sample: &Sample, seen: &Shape, count: usize) -> bool {
        let Some(rate) = sample.throughput.filter(|_| self.is_used(sample)) else { return false };
        let noise = (seen.noise() / seen.mean().powi(2)).max(LEAST_NOISE / count as f64);
        let ground = self.ground.get_or_insert_with(|| Ground::new(self.exact, rate, noise));
        // A cut that is being judged came from a limit further up.
        if ground.pays(self.exact, rate, noise) || self.phase != Phase::Steady {
            return false;
        }
        let back = ground.limit;
        // If far fewer are served than where growth began, it is the backend that has shrunk.
        let served = self.base.map(|base| self.exact * (1.0 - base.added(seen) / seen.mean()));
        if served.is_some_and(|served| served < SHRUNK * back) {
            return false;
        }
        self.exact = back;
        self.capacity.forget();
        true
    }

    /// What a probe saw: the latency without waiting, and whether the spread is less there than at the limit.
    fn learn(&mut self, seen: &Shape) {
        let Some(base) = &mut self.base else { return };
        // Where all work takes about the same time, the spread is that of the queue.
        if let Some(now) = self.now.filter(|_| base.is_wide()) {
            let mean = now.spread.value + base.p10.value;
            let fell = (now.spread.value - seen.spread.value) / mean;
            let doubt = (seen.spread.variance + now.spread.variance) / (mean * mean) + 1e-3;
            let likelihood = LESS * (2.0 * fell - LESS) / (2.0 * doubt);
            self.shared = (self.shared + likelihood.clamp(-1.0, 1.0)).clamp(-SUREST, SUREST);
        }
        base.learn(seen);
    }

    /// Did the last cut help? If not, it is taken back, and there is no more to decide in this window.
    fn judge(&mut self, seen: &Shape, base: &Shape, now: &Shape) -> Option<Cut> {
        let mut cut = Cut { from: self.exact, again: false };
        match mem::replace(&mut self.phase, Phase::Steady) {
            Phase::Emptying { before, wait, again } if 0.6 * wait < base.added(seen) => {
                if again {
                    return self.was_slower(before, *seen);
                }
                cut = Cut { from: before, again: true };
            }
            // The geometric mean of both: what is nearer to the old one did not help.
            Phase::Thinning { before, spread }
                if spread * base.spread.value <= seen.spread.value.powi(2) =>
            {
                let wider = spread / base.spread.value.max(1e-9);
                let mut slower = *seen;
                slower.p10.value = slower.p10.value.min(wider * base.p10.value);
                return self.was_slower(before, slower);
            }
            Phase::Thinning { .. } => {
                self.shared = SUREST;
                self.now = Some(Shape { spread: seen.spread, ..*now });
            }
            _ => {}
        }
        if let Some(capacity) = self.capacity.value() {
            self.peak = self.peak.max(capacity);
            // It fell step by step, and still something waits.
            if capacity < 0.6 * self.peak && 0.05 * seen.mean() < base.added(now) {
                return self.was_slower(self.peak, *now);
            }
        }
        Some(cut)
    }

    /// The service has become slower, not scarcer: back to the limit before the cut.
    pub(super) fn was_slower(&mut self, limit: f64, base: Shape) -> Option<Cut> {
        (self.base, self.now) = (Some(base), Some(base));
        self.shared = (self.shared - 3.0).max(-SUREST);
        self.exact = limit;
        self.peak = 0.0;
        self.capacity.forget();
        None
    }

    fn steer(&mut self, sample: &Sample, latency: &Latency, sight: &Sight, cut: Cut) {
        let Sight { seen, base, now } = sight;
        let mean = seen.mean();
        let before = self.exact;
        let waiting = base.wait(seen) / mean;
        let is_wide = base.is_wide() && 0.2 * seen.p10.value < now.spread.value;
        if self.reached && !is_wide {
            self.compare(waiting);
        }
        let is_used = self.is_used(sample);
        let is_shared = SURE < self.shared;
        self.exact = self.aim(sample, waiting, HEADROOM, !is_shared);
        if is_shared && is_used && (!is_wide || waiting < 0.1) {
            let falls =
                (now.spread.value - base.spread.value) / (now.spread.value + base.p10.value);
            let step = 0.2 * (ELASTIC - if is_wide { falls } else { waiting });
            self.exact = before * (1.0 + step.clamp(-0.05, 0.03));
        }
        let added = base.added(seen);
        if self.exact < 0.8 * before && 0.15 * mean < added {
            self.phase = Phase::Emptying { before: cut.from, wait: added, again: cut.again };
            self.peak = 0.0;
        } else if is_wide && sight.is_slower(if is_shared { 0.3 } else { 0.0 }) {
            self.phase = Phase::Thinning { before, spread: now.spread.value };
            let left = (base.spread.value / now.spread.value).max(0.3);
            self.exact = self.exact.min(before * left);
        } else if self.probe_due <= sample.at && is_used && 2.0 <= self.exact {
            self.probe(sample.at, latency.mean, !is_shared);
        }
    }

    /// Where all work takes about the same time, a backend that shares itself shows by latency that rises, above the limit, half
    /// as much as a queue would make it rise; otherwise it rises fully or not at all.
    pub(super) fn compare(&mut self, waiting: f64) {
        let expected = self.capacity.expected(self.exact);
        if expected < 0.15 {
            return;
        }
        let half = (waiting - 0.5 * expected).powi(2);
        let ends = waiting.powi(2).min((waiting - expected).powi(2));
        let likelihood = (ends - half) / (2.0 * self.capacity.jitter.max(1e-4));
        self.shared = (self.shared + likelihood.clamp(-1.0, 1.0)).clamp(-SUREST, SUREST);
    }

    /// One window below the limit, or, if it `may` and in turn, above it.
    pub(super) fn probe(&mut self, at: Duration, rtt: Duration, may: bool) {
        let limit = self.exact;
        self.reached = may && !self.reached;
        if self.reached {
            self.exact = (REACH * limit).max(limit + 1.0);
            self.capacity.expect_growth();
        } else {
            self.exact = PROBE * limit;
            self.phase = Phase::Probing { back: limit };
        }
        let lasts = rtt + rtt.mul_f64((self.count() / self.exact).max(0.5));
        let rest = lasts.mul_f64(if self.shared.abs() < SURE { REST_IN_DOUBT } else { REST });
        let rest = rest.min(LONGEST_REST.max(lasts.mul_f64(LEAST_REST)));
        self.probe_due = at + rest.max(Duration::from_millis(500));
    }
}

/// What is known when a steady window ends.
struct Sight {
    seen: Shape,
    base: Shape,
    now: Shape,
}

impl Sight {
    /// Whether the spread has grown beyond doubt, and by more than this share of the latency; and waiting does not explain it.
    fn is_slower(&self, share: f64) -> bool {
        let Self { seen, base, now } = self;
        let doubt = 3.0 * now.spread.doubt(&base.spread);
        let rise = now.spread.value - base.spread.value - doubt - 0.2 * base.mean();
        share * seen.mean() < rise && base.added(seen) < 0.5 * (seen.mean() - base.mean())
    }
}

/// Where a series of cuts began, and whether one of them did not help.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    from: f64,
    again: bool,
}
