//! How many the backend serves at a time, from what share of the latency is waiting.

use super::estimate::Estimate;

/// Follows the capacity, and says which limit is just above it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Capacity {
    known: Option<Estimate>,
    /// Variance of the waiting share from one window to the next.
    pub(super) jitter: f64,
    /// The same between windows at about one limit: less than `jitter`, which growth and probes are part of.
    calm: f64,
    windows: u32,
    /// The limit of the last window, and its waiting share.
    before: (f64, f64),
    /// How often in a row the limit grew and nothing waited.
    flat: u32,
    /// Log-likelihood that the capacity is above the limit.
    evidence: f64,
}

/// How far the limit is above the capacity: this share of it, and so many more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Headroom {
    pub(super) share: f64,
    pub(super) more: f64,
}

impl Headroom {
    fn above(self, capacity: f64) -> f64 {
        capacity * (1.0 + self.share) + self.more
    }
}

/// What growth begins with, and what it comes to if nothing waits for some time.
const GROWTH: [f64; 3] = [1.12, 1.12, 1.5];
/// Enough to grow: twenty to one.
const ENOUGH: f64 = 3.0;
/// Variance of the waiting share below which it is not believed to be.
const LEAST_JITTER: f64 = 1e-4;
/// Limits that differ by less than this, as a logarithm, are the same.
const SAME: f64 = 0.1;
/// Variance by which the capacity is expected to wander from window to window, relative.
const DRIFT: f64 = 3e-4;

impl Capacity {
    pub(super) const fn unknown() -> Self {
        Self {
            known: None,
            jitter: 0.0,
            calm: 0.0,
            windows: 0,
            before: (0.0, 0.0),
            flat: 0,
            evidence: 0.0,
        }
    }

    pub(super) fn value(&self) -> Option<f64> {
        self.known.map(|known| known.value)
    }

    /// The limit was changed for another reason than this one.
    pub(super) fn forget(&mut self) {
        self.known = None;
        self.rest();
    }

    /// Grows fast from the next window on in which nothing waits.
    pub(super) fn expect_growth(&mut self) {
        self.flat = self.flat.max(2);
    }

    /// The share of the latency that waiting must be if the capacity is what it was, with `in_flight` in flight.
    pub(super) fn expected(&self, in_flight: f64) -> f64 {
        self.known.map_or(0.0, |known| 1.0 - known.value / in_flight.max(1.0))
    }

    /// Where to go from `limit`, all of which was in flight while a share of `waiting` of the latency was waiting. It grows
    /// only if it `may`.
    pub(super) fn aim(&mut self, limit: f64, waiting: f64, headroom: Headroom, may: bool) -> f64 {
        let noise = self.noise(limit, waiting);
        let in_flight = limit.floor().max(1.0);
        // Little's law: of what is in flight, the share that does not wait is served.
        let served = in_flight * (1.0 - waiting.min(1.0));
        let scale = in_flight * in_flight;
        let known = self.known.get_or_insert(Estimate::new(served, noise * scale));
        let expected = (1.0 - known.value / in_flight).max(0.02);
        let likelihood = expected * (expected - 2.0 * waiting) / (2.0 * noise);
        self.evidence = (self.evidence + likelihood).max(0.0);
        if ENOUGH < self.evidence && may {
            self.evidence = 0.0;
            let growth = GROWTH[self.flat.min(2) as usize];
            self.flat += 1;
            known.value = known.value.max(served.min(in_flight));
            return headroom.above(known.value).max(limit * growth);
        }
        if expected < 2.0 * waiting {
            self.flat = 0;
        }
        known.update(served, noise * scale, DRIFT * scale, 4.0);
        headroom.above(known.value.min(in_flight))
    }

    /// Where to go from `limit` if only `in_flight` were: down if even those were too many, nowhere otherwise.
    pub(super) fn aim_unused(
        &mut self,
        limit: f64,
        in_flight: usize,
        waiting: f64,
        headroom: Headroom,
    ) -> f64 {
        self.noise(limit, waiting);
        self.rest();
        let in_flight = (in_flight as f64).min(limit.floor()).max(1.0);
        let served = in_flight * (1.0 - waiting.min(1.0));
        let next = headroom.above(served);
        if next + 3.0 * (next - served) < in_flight { next } else { limit }
    }

    fn rest(&mut self) {
        self.flat = 0;
        self.evidence = 0.0;
    }

    /// Learns from differences between neighbours, which a slow change hardly touches; a jump counts as little more than noise.
    fn noise(&mut self, limit: f64, waiting: f64) -> f64 {
        if 0 < self.windows {
            let (limit_before, waiting_before) = self.before;
            let seen = (waiting - waiting_before).powi(2) / 2.0;
            let weight = (1.0 / f64::from(self.windows + 1)).max(0.05);
            if self.calm == 0.0 {
                self.calm = self.jitter;
            }
            if (limit / limit_before).ln().abs() < SAME {
                approach(&mut self.calm, seen, weight);
            }
            approach(&mut self.jitter, seen, weight);
        }
        self.windows = self.windows.saturating_add(1);
        self.before = (limit, waiting);
        self.calm.max(LEAST_JITTER)
    }
}

/// Moves a variance towards what was `seen`, or what little of it is believed.
fn approach(variance: &mut f64, seen: f64, weight: f64) {
    let most = if *variance == 0.0 { 0.01 } else { 9.0 * *variance };
    *variance += weight * (seen.min(most) - *variance);
}

#[cfg(test)]
mod tests;
