//! A text of settings as a tree in which every key and value knows its place: YAML, JSON, TOML.

mod json;
mod toml;
mod yaml;

use std::path::Path;

/// Longest text that is read, in bytes.
pub(super) const LONGEST: u64 = 1 << 20;
/// Deepest nesting.
const DEEPEST: usize = 32;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2.
    Yaml,
    /// JSON.
    Json,
    /// TOML 1.
    Toml,
}

impl Format {
    /// By the end of a file's name: `yaml`, `yml`, `json` or `toml`.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

/// Line and column, from 1; the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    /// Of a byte of the text.
    fn at(text: &str, byte: usize) -> Self {
        let mut end = byte.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        Self { line: before.matches('\n').count() + 1, column: before[begin..].chars().count() + 1 }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Raw,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Raw {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List,
    Map(Vec<(String, Place, Node)>),
}

impl Raw {
    /// What it is, as an error calls it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// What is wrong with a text, and where.
#[derive(Debug, PartialEq)]
pub(super) struct SyntaxError {
    pub(super) place: Place,
    pub(super) what: String,
}

/// Reads a text. One without anything in it is an empty mapping.
pub(super) fn parse(text: &str, format: Format) -> Result<Node, SyntaxError> {
    let node = match format {
        Format::Yaml => yaml::parse(text),
        Format::Json => json::parse(text),
        Format::Toml => toml::parse(text),
    }?;
    match node.value {
        Raw::Null => Ok(Node { value: Raw::Map(Vec::new()), ..node }),
        _ => Ok(node),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests;
