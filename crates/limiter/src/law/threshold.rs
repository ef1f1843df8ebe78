//! Steps up when work waits, down when the backend suffers.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::{Law, Sample, Window};
use crate::Semaphore;

/// What [`Threshold`] goes by. Every value may be set; [`Threshold::new`] checks them together.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdConfig {
    /// The limit to start from.
    pub base_limit: usize,
    /// The limit never goes below this.
    pub min_limit: usize,
    /// The limit never goes above this.
    pub max_limit: usize,
    /// By how much one step up raises the limit.
    pub increase_step: usize,
    /// By how much one step down lowers the limit.
    pub decrease_step: usize,
    /// A queue this deep, or deeper, is a reason to step up; 0 turns the reason off.
    pub queue_high_watermark: f64,
    /// A GPU wait above this is a reason to step down; 0 turns the reason off.
    pub gpu_wait_high: f64,
    /// An error rate above this is a reason to step down; 0 turns the reason off.
    pub error_rate_high: f64,
    /// How often the law is asked: by a timer of yours, since it reads no clock itself, or by a [`Limiter`](crate::Limiter).
    pub adaptation_interval: Duration,
}

impl Default for ThresholdConfig {
    /// Base 2, between 1 and 5, steps +1 and −2, watermark 10, GPU wait 4, error rate 0.2, every 2 s.
    fn default() -> Self {
        Self {
            base_limit: 2,
            min_limit: 1,
            max_limit: 5,
            increase_step: 1,
            decrease_step: 2,
            queue_high_watermark: 10.0,
            gpu_wait_high: 4.0,
            error_rate_high: 0.2,
            adaptation_interval: Duration::from_secs(2),
        }
    }
}

impl ThresholdConfig {
    /// Whether the values make sense together.
    ///
    /// # Errors
    /// When min ≤ base ≤ max does not hold, when max is above [`Semaphore::MAX_PERMITS`], when a threshold is negative or not a
    /// number, or when the interval is zero.
    pub fn check(&self) -> Result<(), ThresholdConfigError> {
        let Self { base_limit: base, min_limit: min, max_limit: max, .. } = *self;
        if !(min <= base && base <= max) {
            return Err(ThresholdConfigError::Limits { min, base, max });
        }
        if Semaphore::MAX_PERMITS < max {
            return Err(ThresholdConfigError::TooMany { max });
        }
        let thresholds = [
            ("queue_high_watermark", self.queue_high_watermark),
            ("gpu_wait_high", self.gpu_wait_high),
            ("error_rate_high", self.error_rate_high),
        ];
        let is_bad = |value: f64| value.is_nan() || value < 0.0;
        if let Some((name, value)) = thresholds.into_iter().find(|(_, value)| is_bad(*value)) {
            return Err(ThresholdConfigError::Threshold { name, value });
        }
        if self.adaptation_interval.is_zero() {
            return Err(ThresholdConfigError::Interval);
        }
        Ok(())
    }
}

/// Why a [`ThresholdConfig`] makes no sense.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ThresholdConfigError {
    /// min ≤ base ≤ max does not hold.
    Limits {
        /// `min_limit`.
        min: usize,
        /// `base_limit`.
        base: usize,
        /// `max_limit`.
        max: usize,
    },
    /// No semaphore has so many permits.
    TooMany {
        /// `max_limit`.
        max: usize,
    },
    /// A threshold is negative or not a number.
    Threshold {
        /// Which one.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// The interval is zero.
    Interval,
}

impl fmt::Display for ThresholdConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limits { min, base, max } => write!(
                f,
                "limits must satisfy min ≤ base ≤ max, but min_limit is {min}, base_limit {base}, max_limit {max}"
            ),
            Self::TooMany { max } => {
                write!(f, "max_limit must be {} or less, but is {max}", Semaphore::MAX_PERMITS)
            }
            Self::Threshold { name, value } => {
                write!(f, "{name} must be 0 (off) or more, but is {value}")
            }
            Self::Interval => f.write_str("adaptation_interval must be longer than zero"),
        }
    }
}

impl Error for ThresholdConfigError {}

/// Steps down when GPU wait or error rate is above its threshold, else up when the queue is deep enough.
///
/// The result is within `[min_limit, max_limit]`. A sample that lacks a reading whose threshold is on, or has one that is
/// not a number, changes nothing: a rule that steps up because it could not read the errors would be worse than none.
/// Where there is no GPU to watch, say so by `gpu_wait_high: 0.0`.
///
/// In a [`Limiter`](crate::Limiter) the GPU wait is the seconds that
/// [`success_after_wait`](crate::Ticket::success_after_wait) tells, and the error rate the share of overloads.
///
/// # Examples
///
/// ```
/// use tidegate_limiter::{Law, Sample, Threshold, ThresholdConfig};
///
/// let mut law = Threshold::new(ThresholdConfig::default())?;
/// let calm = Sample {
///     queue_depth: Some(0.0),
///     gpu_wait: Some(0.0),
///     error_rate: Some(0.0),
///     ..Sample::default()
/// };
/// assert_eq!(law.next(2, &Sample { queue_depth: Some(20.0), ..calm }), 3);
/// assert_eq!(law.next(3, &Sample { gpu_wait: Some(6.0), ..calm }), 1);
/// assert_eq!(law.next(1, &calm), 1);
/// # Ok::<(), tidegate_limiter::ThresholdConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    config: ThresholdConfig,
}

impl Threshold {
    /// The rule that goes by `config`.
    ///
    /// # Errors
    /// Those of [`ThresholdConfig::check`].
    pub fn new(config: ThresholdConfig) -> Result<Self, ThresholdConfigError> {
        config.check()?;
        Ok(Self { config })
    }

    /// What it goes by.
    pub fn config(&self) -> &ThresholdConfig {
        &self.config
    }

    /// The step for these readings, without the clamp; `None` if one that is needed is missing.
    fn step(&self, limit: usize, sample: &Sample) -> Option<usize> {
        let config = &self.config;
        let suffers = is_above(sample.gpu_wait, config.gpu_wait_high)?
            | is_above(sample.error_rate, config.error_rate_high)?;
        let is_deep = reaches(sample.queue_depth, config.queue_high_watermark)?;
        Some(if suffers {
            limit.saturating_sub(config.decrease_step)
        } else if is_deep {
            limit.saturating_add(config.increase_step)
        } else {
            limit
        })
    }
}

impl Law for Threshold {
    fn next(&mut self, limit: usize, sample: &Sample) -> usize {
        let (min, max) = (self.config.min_limit, self.config.max_limit);
        self.step(limit, sample).map_or(limit, |stepped| stepped.clamp(min, max))
    }

    fn window(&self) -> Window {
        Window::every(self.config.adaptation_interval, 1)
    }
}

/// `None`: it matters and cannot be read.
fn is_above(reading: Option<f64>, threshold: f64) -> Option<bool> {
    compared(reading, threshold, |value| threshold < value)
}

fn reaches(reading: Option<f64>, threshold: f64) -> Option<bool> {
    compared(reading, threshold, |value| threshold <= value)
}

fn compared(reading: Option<f64>, threshold: f64, holds: impl FnOnce(f64) -> bool) -> Option<bool> {
    if threshold == 0.0 {
        return Some(false);
    }
    reading.filter(|value| !value.is_nan()).map(holds)
}

#[cfg(test)]
mod tests;
