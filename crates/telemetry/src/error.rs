//! Why a metric was refused.

use std::fmt;

/// Why a metric was not registered: it would have spoilt a scrape, or contradicts what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The metric's name cannot be used.
    Name {
        /// The name as it would be exposed.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// One of the metric's labels cannot be used.
    Label {
        /// The metric.
        metric: String,
        /// The label.
        label: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The unit is not the end of the name, as OpenMetrics asks.
    Unit {
        /// The metric.
        metric: String,
        /// The unit.
        unit: String,
    },
    /// A sample of the metric would have the name of a sample of another metric.
    Taken {
        /// The metric that was refused.
        metric: String,
        /// The sample name that both would write.
        sample: String,
        /// The metric that has it.
        owner: String,
    },
    /// A metric of that name exists, but is not the same.
    Differs {
        /// The metric.
        metric: String,
        /// In what it differs.
        what: &'static str,
    },
    /// The histogram's bucket bounds cannot be used.
    Bounds {
        /// The histogram.
        metric: String,
        /// What is wrong with them.
        reason: String,
    },
    /// The process has no cells left (two million counters, or as many histogram buckets).
    Exhausted {
        /// The metric.
        metric: String,
    },
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name, reason } => write!(f, "metric name {name:?}: {reason}"),
            Self::Label { metric, label, reason } => {
                write!(f, "metric {metric:?}, label {label:?}: {reason}")
            }
            Self::Unit { metric, unit } => {
                write!(f, "metric {metric:?}: a unit must be the end of the name, here \"_{unit}\"")
            }
            Self::Taken { metric, sample, owner } if metric == owner && metric == sample => {
                write!(
                    f,
                    "metric {metric:?}: already registered; `or_existing` returns the one that is there"
                )
            }
            Self::Taken { metric, sample, owner } => {
                write!(
                    f,
                    "metric {metric:?}: its sample name {sample:?} belongs to metric {owner:?}"
                )
            }
            Self::Differs { metric, what } => {
                write!(f, "metric {metric:?}: already registered with another {what}")
            }
            Self::Bounds { metric, reason } => write!(f, "histogram {metric:?}: {reason}"),
            Self::Exhausted { metric } => {
                write!(f, "metric {metric:?}: no cells left in this process")
            }
        }
    }
}

impl std::error::Error for RegisterError {}
