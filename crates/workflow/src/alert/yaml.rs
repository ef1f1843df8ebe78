//! Rules as a file for a Prometheus server.

use std::fmt::Write as _;

use super::rule::{Piece, Rule, Rules, pieces};
use super::selector::span;

const HEAD: &str = "\
# Alerts for a program whose metrics come from tidegate-telemetry. Load it with
#   rule_files: [tidegate.rules.yml]
# and change thresholds to taste: they are the numbers after the comparison.
groups:
";

impl Rules {
    /// These rules as a rule file of a Prometheus server, in one group of that name.
    ///
    /// `promtool check rules` takes it. Metrics that only the server knows, such as `up`, may be among the rules: in this process
    /// they are true of nothing.
    pub fn to_prometheus_yaml(&self, group: &str) -> String {
        let mut yaml = HEAD.to_owned();
        let empty = if self.iter().next().is_none() { " []" } else { "" };
        // Nothing fails to be written into a string.
        let _ = writeln!(yaml, "  - name: {}\n    rules:{empty}", name(group));
        self.iter().for_each(|rule| write(rule, &mut yaml));
        yaml
    }
}

fn write(rule: &Rule, yaml: &mut String) {
    let _ = writeln!(yaml, "      - alert: {}", rule.name);
    let _ = writeln!(yaml, "        expr: {}", single(&rule.condition.promql()));
    if !rule.lasting.is_zero() {
        let _ = writeln!(yaml, "        for: {}", span(rule.lasting));
    }
    let _ = writeln!(yaml, "        labels: {{ severity: {} }}", rule.severity);
    if !rule.summary.is_empty() {
        let summary = double(&template(&rule.summary));
        let _ = writeln!(yaml, "        annotations:\n          summary: {summary}");
    }
}

/// A summary as Prometheus' template.
fn template(summary: &str) -> String {
    let mut text = String::new();
    for piece in pieces(summary) {
        match piece {
            Piece::Text(plain) => text.push_str(&plain.replace('{', "{{ \"{\" }}")),
            Piece::Name("value") => text.push_str("{{ $value }}"),
            Piece::Name(name) => {
                let _ = write!(text, "{{{{ $labels.{name} }}}}");
            }
        }
    }
    text
}

/// A plain name stays plain.
fn name(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        && !matches!(text, "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    if is_plain { text.to_owned() } else { double(text) }
}

/// What we write in it has no line break.
fn single(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A JSON string is a YAML string.
fn double(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
