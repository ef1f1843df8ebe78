//! What a rule looks at: a number for each label set.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::condition::{Comparison, Condition, Parts, Reading, Test};
use super::selector::{Labels, Selector, Vector, span};

/// A number for each label set, made from metrics.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tidegate_workflow::alert::{Expr, Rule, Rules};
///
/// let minutes = Duration::from_secs(300);
/// let failed = Expr::rate("errors_total", minutes).sum_by(["service"]);
/// let all = Expr::rate("requests_total", minutes).sum_by(["service"]);
/// let rules = Rules::new().with(Rule::new("Failing", failed.per(all).above(0.1)))?;
/// assert!(rules.to_prometheus_yaml("x").contains(
///     "'sum by (service) (rate(errors_total[5m])) / sum by (service) (rate(requests_total[5m])) > 0.1'"
/// ));
/// # Ok::<(), tidegate_workflow::alert::RuleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Expr(Node);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Metric(Selector),
    Rate(Selector, Duration),
    Sum(Box<Node>, Vec<String>),
    Per(Box<Node>, Box<Node>),
}

impl Expr {
    /// The values of a counter or a gauge; of a histogram with `_count` or `_sum` after its name.
    pub fn metric(name: impl Into<String>) -> Self {
        Self(Node::Metric(Selector::new(name)))
    }

    /// How fast a counter has grown, in units a second, over so long a time up to now. A counter that goes back has begun anew.
    /// A series that was not seen twice in that time has no rate.
    ///
    /// In this process it is the growth between the first and the last check of that time; a Prometheus server extends it to
    /// the whole window by its own rules, which makes little difference when there are many checks in a window.
    pub fn rate(name: impl Into<String>, over: Duration) -> Self {
        Self(Node::Rate(Selector::new(name), over))
    }

    /// Only series with this label, of every metric so far.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let label = (name.into(), value.into());
        self.0.each_mut(&mut |selector| selector.labels.push(label.clone()));
        self
    }

    /// The sum of the series that agree in these labels. A label that a series lacks is left out.
    pub fn sum_by<S: Into<String>>(self, labels: impl IntoIterator<Item = S>) -> Self {
        Self(Node::Sum(Box::new(self.0), labels.into_iter().map(Into::into).collect()))
    }

    /// This divided by the series of `other` that has the same labels. Nothing divided by nothing is no number, and true of
    /// nothing.
    pub fn per(self, other: Self) -> Self {
        Self(Node::Per(Box::new(self.0), Box::new(other.0)))
    }

    /// It is more.
    pub fn above(self, threshold: f64) -> Condition {
        self.compared(Comparison::Above, threshold)
    }

    /// It is as much, or more.
    pub fn at_least(self, threshold: f64) -> Condition {
        self.compared(Comparison::AtLeast, threshold)
    }

    /// It is less.
    pub fn below(self, threshold: f64) -> Condition {
        self.compared(Comparison::Below, threshold)
    }

    /// It is exactly this.
    pub fn equals(self, value: f64) -> Condition {
        self.compared(Comparison::Equals, value)
    }

    fn compared(self, comparison: Comparison, threshold: f64) -> Condition {
        Condition(vec![Test::Compare { node: self.0, comparison, threshold }])
    }
}

impl Node {
    fn each_mut(&mut self, change: &mut impl FnMut(&mut Selector)) {
        match self {
            Self::Metric(selector) | Self::Rate(selector, _) => change(selector),
            Self::Sum(of, _) => of.each_mut(change),
            Self::Per(one, other) => {
                one.each_mut(change);
                other.each_mut(change);
            }
        }
    }

    pub(super) fn parts(&self, parts: &mut Parts) {
        match self {
            Self::Metric(selector) => parts.metric(selector),
            Self::Rate(selector, over) => {
                parts.metric(selector);
                parts.windows.push((selector.clone(), *over));
            }
            Self::Sum(of, labels) => {
                parts.labels.extend(labels.iter().cloned());
                of.parts(parts);
            }
            Self::Per(one, other) => {
                one.parts(parts);
                other.parts(parts);
            }
        }
    }

    pub(super) fn read(&self, at: &Reading<'_>) -> Vector {
        match self {
            Self::Metric(selector) => selector.read(at.snapshot),
            Self::Rate(selector, over) => at.histories.rates(selector, at.now, *over),
            Self::Sum(of, by) => sum(of.read(at), by),
            Self::Per(one, other) => {
                let other: HashMap<Labels, f64> = other.read(at).into_iter().collect();
                let divided = one.read(at).into_iter().filter_map(|(labels, value)| {
                    let by = other.get(&labels)?;
                    Some((labels, value / by))
                });
                divided.collect()
            }
        }
    }

    pub(super) fn promql(&self) -> String {
        match self {
            Self::Metric(selector) => selector.promql(),
            Self::Rate(selector, over) => format!("rate({}[{}])", selector.promql(), span(*over)),
            Self::Sum(of, by) => format!("sum by ({}) ({})", by.join(", "), of.promql()),
            Self::Per(one, other) => {
                let inner = |node: &Self| match node {
                    Self::Per(..) => format!("({})", node.promql()),
                    _ => node.promql(),
                };
                format!("{} / {}", inner(one), inner(other))
            }
        }
    }
}

fn sum(vector: Vector, by: &[String]) -> Vector {
    let mut sums: BTreeMap<Labels, f64> = BTreeMap::new();
    for (mut labels, value) in vector {
        labels.retain(|(name, _)| by.contains(name));
        *sums.entry(labels).or_default() += value;
    }
    sums.into_iter().collect()
}
