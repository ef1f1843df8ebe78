//! Rules on snapshots, without a clock: inactive → pending → firing → inactive.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use tidegate_telemetry::Snapshot;

use super::condition::Reading;
use super::history::Histories;
use super::rule::{Rule, Rules, Severity};
use super::selector::Labels;

/// Where an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlertState {
    /// The condition is true, and has not been so for long enough.
    Pending,
    /// It has been true for as long as the rule says.
    Firing,
    /// It fired, and is not true any more.
    Resolved,
    /// It was pending, and is not true any more.
    Withdrawn,
}

/// A rule that is true of a label set, or was until now.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The rule's name.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// Of which series, by name.
    pub labels: Vec<(String, String)>,
    /// Where it is.
    pub state: AlertState,
    /// The value that was last true of it.
    pub value: f64,
    /// Since when it has been true, counted from the making of [`Alerts`](super::Alerts).
    pub since: Duration,
    /// What to tell people.
    pub summary: String,
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
            AlertState::Resolved => "resolved",
            AlertState::Withdrawn => "withdrawn",
        };
        write!(f, "{} {} ({}): {}", self.rule, state, self.severity, self.summary)
    }
}

/// Evaluates rules; time comes in from outside.
#[derive(Debug)]
pub(super) struct Evaluator {
    rules: Vec<Rule>,
    histories: Histories,
    active: HashMap<(usize, Labels), Alert>,
}

impl Evaluator {
    pub(super) fn new(rules: Rules) -> Self {
        let rules: Vec<Rule> = rules.iter().cloned().collect();
        let histories = Histories::of(rules.iter().flat_map(|rule| rule.condition.parts().windows));
        Self { rules, histories, active: HashMap::new() }
    }

    /// What is pending or firing, by rule and labels.
    pub(super) fn active(&self) -> Vec<Alert> {
        let mut active: Vec<_> = self.active.iter().collect();
        active.sort_unstable_by(|a, b| a.0.cmp(b.0));
        active.into_iter().map(|(_, alert)| alert.clone()).collect()
    }

    /// What has changed by this snapshot.
    pub(super) fn check(&mut self, now: Duration, snapshot: &Snapshot) -> Vec<Alert> {
        self.histories.push(now, snapshot);
        let mut changed = Vec::new();
        for (at, rule) in self.rules.iter().enumerate() {
            let reading = Reading { now, snapshot, histories: &self.histories };
            let found = rule.condition.read(&reading);
            let mut over: Vec<Labels> =
                self.active.keys().filter(|key| key.0 == at).map(|key| key.1.clone()).collect();
            let still: HashSet<&Labels> = found.iter().map(|(labels, _)| labels).collect();
            over.retain(|labels| !still.contains(labels));
            over.sort_unstable();
            for labels in over {
                let Some(mut alert) = self.active.remove(&(at, labels)) else { continue };
                alert.state = match alert.state {
                    AlertState::Firing => AlertState::Resolved,
                    _ => AlertState::Withdrawn,
                };
                changed.push(alert);
            }
            for (labels, value) in found {
                let summary = rule.summarise(&labels, value);
                let before = self.active.get(&(at, labels.clone()));
                let since = before.map_or(now, |alert| alert.since);
                let state = if now.saturating_sub(since) >= rule.lasting {
                    AlertState::Firing
                } else {
                    AlertState::Pending
                };
                let is_news = before.is_none_or(|alert| alert.state != state);
                let alert = Alert {
                    rule: rule.name.clone(),
                    severity: rule.severity,
                    labels: labels.clone(),
                    state,
                    value,
                    since,
                    summary,
                };
                if is_news {
                    changed.push(alert.clone());
                }
                self.active.insert((at, labels), alert);
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests;
