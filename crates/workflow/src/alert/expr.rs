//! What a rule looks at: a number for each label set, and when it is too much.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tidegate_telemetry::{HistogramSnapshot, Snapshot, Value};

use super::history::Histories;

/// Names and values, by name.
pub(super) type Labels = Vec<(String, String)>;

/// A number for each label set.
pub(super) type Vector = Vec<(Labels, f64)>;

/// The series of a metric that have some labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Selector {
    pub(super) name: String,
    pub(super) labels: Labels,
}

impl Selector {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), labels: Vec::new() }
    }

    /// The values now.
    pub(super) fn read(&self, snapshot: &Snapshot) -> Vector {
        let part = |suffix| self.name.strip_suffix(suffix).and_then(|name| snapshot.family(name));
        type Number = fn(&HistogramSnapshot) -> f64;
        let count: Number = |histogram| histogram.count() as f64;
        let found = snapshot.family(&self.name).map(|family| (family, None));
        let found = found.or_else(|| Some((part("_count")?, Some(count))));
        let found = found.or_else(|| Some((part("_sum")?, Some(HistogramSnapshot::sum))));
        let Some((family, of)) = found else { return Vector::new() };
        let series = family.series.iter().filter_map(|series| {
            let value = match (&series.value, of) {
                (Value::Histogram(histogram), Some(of)) => of(histogram),
                (value, None) => value.number()?,
                _ => return None,
            };
            let is_of = self.labels.iter().all(|label| series.labels.contains(label));
            is_of.then(|| (sorted(series.labels.clone()), value))
        });
        series.collect()
    }
}

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
enum Node {
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

    fn parts(&self, parts: &mut Parts) {
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

    fn read(&self, at: &Reading<'_>) -> Vector {
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

    fn promql(&self) -> String {
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
    fn metric(&mut self, selector: &Selector) {
        self.metrics.push(selector.name.clone());
        self.labels.extend(selector.labels.iter().map(|(name, _)| name.clone()));
    }
}

/// When a rule is true, and of which label sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition(Vec<Test>);

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Compare { node: Node, comparison: Comparison, threshold: f64 },
    Grown(Selector, Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
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
    /// The counter is above 0 and more than it was so long ago, or was not there then. Unlike a [rate](Expr::rate), it sees a
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

impl Selector {
    fn promql(&self) -> String {
        if self.labels.is_empty() {
            return self.name.clone();
        }
        let labels: Vec<String> =
            self.labels.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
        format!("{}{{{}}}", self.name, labels.join(","))
    }
}

/// A string of PromQL.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '\\' | '"' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A time as Prometheus writes it, in the largest unit that divides it.
pub(super) fn span(time: Duration) -> String {
    let millis = time.as_millis();
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] {
        if millis > 0 && millis.is_multiple_of(unit) {
            return format!("{}{name}", millis / unit);
        }
    }
    if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") }
}

pub(super) fn sorted(mut labels: Labels) -> Labels {
    labels.sort_unstable();
    labels
}
