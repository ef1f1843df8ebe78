//! Whether growth pays.

use super::estimate::Estimate;

/// The limit that growth began from, and what was done per second there.
///
/// Kleinrock's power, throughput over latency, is by Little's law throughput squared over the number in flight. It rises for as
/// long as the logarithm of what is done grows by half as much as that of the limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ground {
    pub(super) limit: f64,
    /// The logarithm of what is done per second.
    rate: Estimate,
}

/// Less growth than this, as a logarithm, is the same limit; and no verdict is passed before so much.
const SAME: f64 = 0.05;
const VERDICT: f64 = 0.15;

impl Ground {
    /// At `limit` so many were done per second; `noise` is the variance of its logarithm.
    pub(super) fn new(limit: f64, rate: f64, noise: f64) -> Self {
        Self { limit, rate: Estimate::new(rate.max(1e-9).ln(), noise) }
    }

    /// Takes in what is done at `limit`. Does the growth up to there pay, for all that is known? If so beyond doubt, the ground is
    /// here from now on.
    pub(super) fn pays(&mut self, limit: f64, rate: f64, noise: f64) -> bool {
        let now = Self::new(limit, rate, noise);
        let grown = (limit / self.limit).ln();
        if grown < -2.0 * SAME {
            *self = now;
        } else if grown < SAME {
            self.rate.update(now.rate.value, noise, 0.05 * noise, 4.0);
        } else {
            let more = now.rate.value - self.rate.value - 0.5 * grown;
            let doubt = now.rate.doubt(&self.rate);
            if doubt < more {
                *self = now;
            }
            return grown < VERDICT || -2.0 * doubt < more;
        }
        true
    }
}

#[cfg(test)]
mod tests;
