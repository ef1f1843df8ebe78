//! A number known with some doubt.

/// A value and the variance of what is not known of it: a Kalman filter of one dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) variance: f64,
}

impl Estimate {
    pub(super) const fn new(value: f64, variance: f64) -> Self {
        Self { value, variance }
    }

    /// Takes in a measurement whose variance is `noise`, of a value that wanders by `drift` from one to the next. What is
    /// more than `jump` standard deviations off is taken for a change, and replaces what was known.
    pub(super) fn update(&mut self, seen: f64, noise: f64, drift: f64, jump: f64) {
        let variance = self.variance + drift;
        let off = seen - self.value;
        if jump * jump * (variance + noise) < off * off {
            *self = Self::new(seen, noise);
            return;
        }
        let gain = variance / (variance + noise).max(f64::MIN_POSITIVE);
        self.value += gain * off;
        self.variance = (1.0 - gain) * variance;
    }

    /// Whether `seen`, with variance `noise`, is above by no more than chance explains: three standard deviations.
    pub(super) fn admits(&self, seen: f64, noise: f64) -> bool {
        seen < self.value + 3.0 * (self.variance + noise).sqrt()
    }

    /// Whether this is below `other` by more than `deviations` standard deviations.
    pub(super) fn is_below(&self, other: &Self, deviations: f64) -> bool {
        self.value < other.value - deviations * self.doubt(other)
    }

    /// The standard deviation of the difference.
    pub(super) fn doubt(&self, other: &Self) -> f64 {
        (self.variance + other.variance).sqrt()
    }
}

#[cfg(test)]
mod tests;
