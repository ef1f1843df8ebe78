//! A YAML text as a tree in which each value and each key knows its place.
//!
//! Reading stops at the first syntax error, as it must; everything else is judged on the tree, so that one
//! pass over a file can report all of its errors. The reader's budgets make a small hostile file (alias bomb, deep
//! nesting) as harmless as a large one: both end in an error, in bounded time and memory.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};

use crate::diagnostic::{Diagnostic, Pos};

/// Largest file that is read, in bytes: 4 MiB, some 50,000 tasks.
pub(crate) const MAX_BYTES: u64 = 4 << 20;
/// Deepest nesting of lists and mappings.
const MAX_DEPTH: usize = 32;
/// Most values that aliases may copy in all.
const MAX_ALIASED: usize = 20_000;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Pos,
    pub(crate) value: Value,
    /// The text as written, for a plain scalar: `1.10` stays `1.10` where a string is wanted.
    written: Option<String>,
}

/// A YAML value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(String),
    Seq(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) at: Pos,
    pub(crate) name: String,
}

impl Node {
    /// What the value is, as an error would call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Str(_) => "a string",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The text of a string, number or boolean, as written in the file.
    pub(crate) fn text(&self) -> Option<String> {
        match &self.value {
            Value::Str(text) => Some(text.clone()),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => self.written.clone(),
            Value::Null | Value::Seq(_) | Value::Map(_) => None,
        }
    }

    /// For a block scalar (`|` or `>`), the line of its header; its text starts on the next one.
    pub(crate) fn block(&self, lines: &[&str]) -> Option<usize> {
        let above = lines.get(..self.at.line.saturating_sub(1))?;
        let (index, header) =
            above.iter().enumerate().rfind(|(_, line)| !line.trim().is_empty())?;
        let header = header.split(" #").next().unwrap_or_default().trim_end();
        let mark = header.trim_end_matches(|c: char| "+-".contains(c) || c.is_ascii_digit());
        ((mark.ends_with(" |") || mark.ends_with(" >"))
            || mark.ends_with(['|', '>']) && mark.len() == 1)
            .then_some(index + 1)
    }
}

/// Reads the one document of `text`.
///
/// # Errors
///
/// The first syntax error, or the budget that the text exceeds.
pub(crate) fn parse(text: &str) -> Result<Node, Diagnostic> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_documents: 1,
            max_total_scalar_bytes: 4 << 20,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_ALIASED,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Ok(Node::from_raw(raw, text)),
        Err(error) => Err(explain(&error)),
    }
}

/// Says a reader's error in one line, with its place and, for a budget, what the bound is for.
fn explain(error: &serde_saphyr::Error) -> Diagnostic {
    let full = error.without_snippet().to_string();
    let mut message = full.lines().next().unwrap_or("not YAML").trim().to_owned();
    // The place is told by the diagnostic.
    if let Some((head, _)) = message.split_once(" at line ") {
        message = head.trim_end_matches([',', ':', ' ']).to_owned();
    }
    let lower = message.to_lowercase();
    let hint = if lower.contains("alias") || lower.contains("anchor") {
        Some(format!("aliases may copy {MAX_ALIASED} values in all; write the repeated part once"))
    } else if lower.contains("depth") || lower.contains("nest") || lower.contains("recursion") {
        Some(format!("lists and mappings may nest {MAX_DEPTH} deep"))
    } else if lower.contains("tab") {
        Some("indent with spaces; YAML does not allow tabs".to_owned())
    } else if lower.contains("budget breached: documents") {
        message = "a second document begins here".to_owned();
        Some("a file holds one workflow; put the other into a file of its own".to_owned())
    } else if lower.contains("non-finite float") {
        message = message.replace(" rejected by the configured policy", "");
        Some("write a finite number, or a text in quotes".to_owned())
    } else if lower.contains("mapping values are not allowed") {
        Some("quote a value that contains `: `".to_owned())
    } else {
        None
    };
    let at = error.location().map(Pos::from).filter(|pos| pos.line > 0);
    Diagnostic { at: Some(at.unwrap_or(Pos { line: 1, column: 1 })), message, hint }
}

impl From<Location> for Pos {
    fn from(location: Location) -> Self {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Self { line: number(location.line()), column: number(location.column()) }
    }
}

impl Node {
    fn from_raw(raw: Spanned<Raw>, text: &str) -> Self {
        let location = raw.referenced;
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Bool(v) => Value::Bool(v),
            Raw::Int(v) => Value::Int(v),
            Raw::Float(v) => Value::Float(v),
            Raw::Str(v) => Value::Str(v),
            Raw::Seq(items) => {
                Value::Seq(items.into_iter().map(|item| Self::from_raw(item, text)).collect())
            }
            Raw::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| {
                        let key = Key { at: key.referenced.into(), name: key.value };
                        (key, Self::from_raw(value, text))
                    })
                    .collect(),
            ),
        };
        // The definition, not the alias: that is where the text of the value stands.
        let span = raw.defined.span();
        let written = match value {
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => span
                .byte_offset()
                .zip(span.byte_len())
                .and_then(|(from, len)| text.get(from as usize..(from + len) as usize))
                .map(|written| written.trim().to_owned()),
            _ => None,
        };
        Self { at: location.into(), value, written }
    }
}

/// What the reader hands over, before places are attached.
enum Raw {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(String),
    Seq(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Raw, E> {
        Ok(Raw::Int(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Raw, E> {
        Ok(Raw::Int(v.into()))
    }

    fn visit_i128<E>(self, v: i128) -> Result<Raw, E> {
        Ok(Raw::Int(v))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Raw, E> {
        Ok(Raw::Float(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Raw, E> {
        Ok(Raw::Str(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Raw, E> {
        Ok(Raw::Str(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key()? {
            entries.push((key, map.next_value()?));
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests;
