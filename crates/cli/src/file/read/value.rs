//! Shapes, keys, names, numbers, durations: what every part of a workflow is made of.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Fields, Reader};
use crate::diagnostic::{Diagnostic, Pos, nearest};
use crate::file::{Text, parse_duration};
use crate::yaml::{Key, Node, Value};

impl Reader<'_> {
    pub(super) fn attempts(&mut self, node: &Node) -> Option<u32> {
        match node.value {
            Value::Int(v @ 1..=1000) => u32::try_from(v).ok(),
            _ => {
                self.wrong(node, "`attempts`", "a whole number from 1 to 1000");
                None
            }
        }
    }

    pub(super) fn flag(&mut self, node: &Node, what: &str) -> Option<bool> {
        match node.value {
            Value::Bool(v) => Some(v),
            _ => {
                self.wrong(node, &format!("`{what}`"), "true or false");
                None
            }
        }
    }

    pub(super) fn priority(&mut self, node: &Node) -> Option<i32> {
        match node.value {
            Value::Int(v @ -1000..=1000) => i32::try_from(v).ok(),
            _ => {
                self.wrong(node, "`priority`", "a whole number from -1000 to 1000, higher first");
                None
            }
        }
    }

    pub(super) fn count(&mut self, node: &Node, what: &str) -> Option<usize> {
        match node.value {
            Value::Int(v @ 1..=100_000) => usize::try_from(v).ok(),
            _ => {
                self.wrong(node, &format!("`{what}`"), "a whole number from 1 to 100000");
                None
            }
        }
    }

    pub(super) fn size(&mut self, node: &Node, what: &str) -> Option<u64> {
        let bytes = node.text().and_then(|text| {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let (number, unit) = text.split_at(end);
            let factor = match unit.trim() {
                "B" => 1,
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                _ => return None,
            };
            number.parse::<u64>().ok()?.checked_mul(factor).filter(|&b| b <= 1 << 30)
        });
        if bytes.is_none() {
            self.wrong(node, &format!("`{what}`"), "a size up to 1024 MiB, as `64 KiB` or `8 MiB`");
        }
        bytes
    }

    pub(super) fn duration(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let Some(text) = node.text() else {
            self.wrong(node, &format!("`{what}`"), "a duration, as `30s`");
            return None;
        };
        match parse_duration(&text) {
            Ok(duration) if !duration.is_zero() || what == "backoff" => Some(duration),
            Ok(_) => {
                self.found.push(
                    Diagnostic::at(node.at, format!("`{what}` is zero"))
                        .hint(format!("leave `{what}` out for none")),
                );
                None
            }
            Err(message) => {
                let hint = if text.chars().all(|c| c.is_ascii_digit()) {
                    format!("add a unit: `{text}s` is {text} seconds, `{text}m` {text} minutes")
                } else {
                    "write a number and a unit (ms, s, m, h, d), as `500ms`, `30s` or `1h30m`"
                        .to_owned()
                };
                self.found
                    .push(Diagnostic::at(node.at, format!("{message} (`{what}`)")).hint(hint));
                None
            }
        }
    }

    pub(super) fn string(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = node.text();
        if text.is_none() {
            let what = if what.contains(' ') { what } else { &format!("`{what}`") };
            self.wrong(node, what, "a string");
        }
        text
    }

    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<Text> {
        let source = self.string(node, what)?;
        if let Some(line) = node.block(&self.lines) {
            let at = Pos { line: line + 1, column: node.at.column };
            return Some(Text { at, source, block: true });
        }
        // A quote before the text moves it by one column.
        let mut at = node.at;
        let line = self.lines.get(at.line.saturating_sub(1)).copied().unwrap_or_default();
        if let Some('"' | '\'') = line.chars().nth(at.column.saturating_sub(1)) {
            at.column += 1;
        }
        Some(Text { at, source, block: false })
    }

    /// The entries of a mapping; a key that comes twice is told.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Vec<(&'n Key, &'n Node)> {
        let Value::Map(entries) = &node.value else {
            self.wrong(node, what, "a mapping");
            return Vec::new();
        };
        let mut first: BTreeMap<&str, Pos> = BTreeMap::new();
        let mut kept = Vec::new();
        for (key, node) in entries {
            if let Some(before) = first.get(key.name.as_str()) {
                self.found.push(
                    Diagnostic::at(key.at, format!("`{}` stands twice in {what}", key.name))
                        .hint(format!("the first one is on line {}", before.line)),
                );
                continue;
            }
            first.insert(&key.name, key.at);
            kept.push((key, node));
        }
        kept
    }

    /// The fields of a mapping of which only `known` exist.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        let Value::Map(_) = node.value else {
            self.wrong(node, what, &format!("a mapping with {}", known.join(", ")));
            return None;
        };
        let mut fields = Fields::new();
        for (key, node) in self.entries(node, what) {
            let name = key.name.as_str();
            if known.contains(&name) {
                fields.insert(name, (key, node));
                continue;
            }
            let hint = match (nearest(name, known.iter().copied()), synonym(name)) {
                (_, Some(right)) if known.contains(&right) => {
                    format!("it is called `{right}` here")
                }
                (Some(right), _) => format!("did you mean `{right}`?"),
                _ => format!("known here: {}", known.join(", ")),
            };
            let unknown = Diagnostic::at(key.at, format!("unknown key `{name}` in {what}"));
            self.found.push(unknown.hint(hint));
        }
        Some(fields)
    }

    pub(super) fn wrong(&mut self, node: &Node, what: &str, wanted: &str) {
        let kind = match &node.value {
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
                format!("`{}`", node.text().unwrap_or_default())
            }
            Value::Str(text) if text.len() <= 40 && !text.contains('\n') => format!("`{text}`"),
            _ => node.kind().to_owned(),
        };
        let message = format!("{what} is {kind}");
        self.found.push(Diagnostic::at(node.at, message).hint(format!("it must be {wanted}")));
    }

    /// Ids become file names and names in templates, so their alphabet is small.
    pub(super) fn name(&mut self, name: &str, at: Pos, what: &str) {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts || !name.chars().all(good) || name.len() > 64 {
            self.found.push(
                Diagnostic::at(at, format!("`{}` cannot be the name of {what}", clip(name))).hint(
                    "use letters, digits, `_` and `-`, a letter first, 64 characters at most",
                ),
            );
        }
    }

    /// Inputs are used as `inputs.name`, where a hyphen would be a minus.
    pub(super) fn identifier(&mut self, name: &str, at: Pos, what: &str) {
        if name.contains('-') {
            self.found.push(
                Diagnostic::at(at, format!("`{}` cannot be the name of {what}", clip(name)))
                    .hint(format!("write `{}`", clip(name).replace('-', "_"))),
            );
        } else {
            self.name(name, at, what);
        }
    }
}

/// Whether a key of the mapping is a known slip for `right`.
pub(super) fn fields_named(node: &Node, right: &str) -> bool {
    let Value::Map(entries) = &node.value else { return false };
    entries
        .iter()
        .any(|(key, _)| synonym(&key.name) == Some(right) || nearest(&key.name, [right]).is_some())
}

fn clip(name: &str) -> String {
    name.chars().take(64).collect()
}

/// The key that users of other tools reach for.
fn synonym(name: &str) -> Option<&'static str> {
    Some(match name {
        "cmd" | "cmds" | "command" | "commands" | "script" | "exec" | "shell_command" => "run",
        "depends" | "depends_on" | "dependsOn" | "deps" | "dependencies" | "after" => "needs",
        "dir" | "workdir" | "working-directory" | "working_directory" | "workingDir" => "cwd",
        "environment" | "vars" => "env",
        "steps" | "jobs" => "tasks",
        "matrix" | "for" | "for_each" | "with_items" | "loop" | "parallel" | "items" => "foreach",
        "retries" | "retryPolicy" | "retry_policy" => "retry",
        "timeout-minutes" | "timeout_minutes" | "timeoutSec" | "time_limit" => "timeout",
        "max_concurrency" | "max-parallel" | "max_parallel" | "maxActiveSteps" | "parallelism"
        | "limit" => "concurrency",
        "pool" | "queue" | "runs-on" | "runs_on" => "agent",
        "params" | "parameters" | "args" => "inputs",
        "interval" | "delay" | "wait" => "backoff",
        "max_attempts" | "count" | "times" => "attempts",
        "input" => "stdin",
        _ => return None,
    })
}

/// An item as templates see it.
pub(super) fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(v) => (*v).into(),
        // Numbers keep their spelling: an item is put into a command, not computed with.
        Value::Int(_) | Value::Float(_) => node.text().unwrap_or_default().into(),
        Value::Str(v) => v.as_str().into(),
        Value::Seq(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            entries.iter().map(|(key, value)| (key.name.clone(), json(value))).collect()
        }
    }
}
