//! A rule, and lists of rules that make sense.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::condition::Condition;
use super::selector::Labels;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look at it in time.
    Warning,
    /// Somebody should look at it now; it makes [unhealthy](super::Alerts::is_healthy).
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

/// What is wrong, and when.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Rule {
    pub(super) name: String,
    pub(super) condition: Condition,
    pub(super) lasting: Duration,
    pub(super) severity: Severity,
    pub(super) summary: String,
}

impl Rule {
    /// A warning that fires as soon as the condition is true.
    pub fn new(name: impl Into<String>, condition: Condition) -> Self {
        Self {
            name: name.into(),
            condition,
            lasting: Duration::ZERO,
            severity: Severity::Warning,
            summary: String::new(),
        }
    }

    /// It fires once the condition has been true for so long, at every check.
    pub fn lasting(mut self, time: Duration) -> Self {
        self.lasting = time;
        self
    }

    /// How bad it is.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// What to tell people. `{label}` stands for the value of a label, `{value}` for the value; `{instance}` is this process,
    /// where a Prometheus server has an address to name.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The summary for a label set.
    pub(super) fn summarise(&self, labels: &Labels, value: f64) -> String {
        let mut text = String::new();
        for piece in pieces(&self.summary) {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Name("value") => text.push_str(&value.to_string()),
                Piece::Name(name) => {
                    let known = labels.iter().find(|(label, _)| label == name);
                    let missing = if name == "instance" { "this process" } else { "" };
                    text.push_str(known.map_or(missing, |(_, value)| value.as_str()));
                }
            }
        }
        text
    }

    fn check(&self) -> Result<(), RuleError> {
        let parts = self.condition.parts();
        let bad = |what: String| Err(RuleError { rule: self.name.clone(), what });
        if !is_name(&self.name, false) {
            return bad(
                "its name must be of letters, digits and `_`, and begin with no digit".to_owned()
            );
        }
        if let Some(metric) = parts.metrics.iter().find(|name| !is_name(name, true)) {
            return bad(format!("`{metric}` is no name of a metric"));
        }
        if let Some(label) = parts.labels.iter().find(|name| !is_name(name, false)) {
            return bad(format!("`{label}` is no name of a label"));
        }
        if parts.thresholds.iter().any(|threshold| threshold.is_nan()) {
            return bad("nothing can be compared with NaN".to_owned());
        }
        if parts.windows.iter().any(|(_, over)| over.as_millis() == 0) {
            return bad("a window must be a millisecond or longer".to_owned());
        }
        Ok(())
    }
}

/// A part of a summary.
pub(super) enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// The parts of a summary: `{name}` is one; any other brace is text.
pub(super) fn pieces(summary: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = summary;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        pieces.push(Piece::Text(before));
        let name =
            from[1..].split_once('}').map(|(name, _)| name).filter(|name| is_name(name, false));
        let length = match name {
            Some(name) => {
                pieces.push(Piece::Name(name));
                name.len() + 2
            }
            None => {
                pieces.push(Piece::Text("{"));
                1
            }
        };
        rest = &from[length..];
    }
    pieces.push(Piece::Text(rest));
    pieces
}

fn is_name(name: &str, colons: bool) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || colons && c == ':';
    name.chars().next().is_some_and(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

/// Rules that make sense, each with a name of its own.
#[derive(Debug, Clone, PartialEq, Default)]
#[must_use]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn of(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// These and one more; in the place of the one that has its name, if there is one.
    ///
    /// # Errors
    /// When a name in it could not be that of an alert, a metric or a label, a threshold is no number, or a window has no
    /// length.
    pub fn with(mut self, rule: Rule) -> Result<Self, RuleError> {
        rule.check()?;
        match self.0.iter_mut().find(|other| other.name == rule.name) {
            Some(other) => *other = rule,
            None => self.0.push(rule),
        }
        Ok(self)
    }

    /// These without the one of that name.
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|rule| rule.name != name);
        self
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    /// The names of the metrics that they look at.
    pub fn metrics(&self) -> BTreeSet<String> {
        self.iter().flat_map(|rule| rule.condition.parts().metrics).collect()
    }
}

/// A rule that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// Its name.
    pub rule: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule `{}`: {}", self.rule, self.what)
    }
}

impl std::error::Error for RuleError {}
