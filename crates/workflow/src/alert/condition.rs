//! When a rule is true: comparisons, and what they read.

use std::time::Duration;

use tidegate_telemetry::Snapshot;

use super::expr::Node;
use super::history::Histories;
use super::selector::{Selector, Vector, span};

/// When a rule is true, and of which label sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition(pub(super) Vec<Test>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Compare { node: Node, comparison: Comparison, threshold: f64 },
    Grown(Selector, Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Above,
    AtLeast,
    Below,
    Equals,
}

impl Comparison {
    fn is_true(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::AtLeast => value >= threshold,
            Self::Below => value < threshold,
            Self::Equals => value == threshold,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::Equals => "==",
        }
    }
}

impl Condition {
    /// The counter is above 0 and more than it was so long ago, or was not there then. Unlike a [rate](super::Expr::rate), it sees a
    /// counter that begins with its first event.
    pub fn grown(counter: impl Into<String>, within: Duration) -> Self {
        Self(vec![Test::Grown(Selector::new(counter), within)])
    }

    /// Both are true of the same label set. The value is that of the first.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(super) fn parts(&self) -> Parts {
        let mut parts = Parts::default();
        for test in &self.0 {
            match test {
                Test::Compare { node, threshold, .. } => {
                    node.parts(&mut parts);
                    parts.thresholds.push(*threshold);
                }
                Test::Grown(selector, within) => {
                    parts.metric(selector);
                    parts.windows.push((selector.clone(), *within));
                }
            }
        }
        parts
    }

    /// Of which label sets it is true, with the value.
    pub(super) fn read(&self, at: &Reading<'_>) -> Vector {
        let mut tests = self.0.iter().map(|test| test.read(at));
        let mut result = tests.next().unwrap_or_default();
        for vector in tests {
            result.retain(|(labels, _)| vector.iter().any(|(of, _)| of == labels));
        }
        result
    }

    /// As Prometheus writes it.
    pub(super) fn promql(&self) -> String {
        let tests: Vec<String> = self.0.iter().map(Test::promql).collect();
        match tests.as_slice() {
            [one] => one.clone(),
            tests => {
                let group = |test: &String| {
                    if test.contains(" unless ") { format!("({test})") } else { test.clone() }
                };
                tests.iter().map(group).collect::<Vec<_>>().join(" and ")
            }
        }
    }
}

impl Test {
    fn read(&self, at: &Reading<'_>) -> Vector {
        match self {
            Self::Compare { node, comparison, threshold } => {
                let mut vector = node.read(at);
                vector.retain(|(_, value)| comparison.is_true(*value, *threshold));
                vector
            }
            Self::Grown(selector, within) => {
                let mut vector = selector.read(at.snapshot);
                vector.retain(|(labels, value)| {
                    let then = at.histories.at(selector, labels, at.now.checked_sub(*within));
                    *value > 0.0 && !then.is_some_and(|then| then >= *value)
                });
                vector
            }
        }
    }

    fn promql(&self) -> String {
        match self {
            Self::Compare { node, comparison, threshold } => {
                format!("{} {} {threshold}", node.promql(), comparison.sign())
            }
            Self::Grown(selector, within) => {
                let (metric, within) = (selector.promql(), span(*within));
                format!("{metric} > 0 unless {metric} offset {within} >= {metric}")
            }
        }
    }
}

/// What there is to evaluate.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) now: Duration,
    pub(super) snapshot: &'a Snapshot,
    pub(super) histories: &'a Histories,
}

/// The names and windows in a condition.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) metrics: Vec<String>,
    pub(super) labels: Vec<String>,
    pub(super) windows: Vec<(Selector, Duration)>,
    pub(super) thresholds: Vec<f64>,
}

impl Parts {
    pub(super) fn metric(&mut self, selector: &Selector) {
        self.metrics.push(selector.name.clone());
        self.labels.extend(selector.labels.iter().map(|(name, _)| name.clone()));
    }
}
