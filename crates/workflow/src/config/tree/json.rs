//! JSON. A value's place is where its text stands in the whole text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{DEEPEST, Node, Place, Raw, SyntaxError, first_line};

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    if text.trim().is_empty() {
        return Ok(Node { place: Place { line: 1, column: 1 }, value: Raw::Null });
    }
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|error| told(&error, Place::default()))?;
    node(text, raw, 0)
}

fn node(text: &str, raw: &RawValue, depth: usize) -> Result<Node, SyntaxError> {
    let json = raw.get();
    let place = place(text, json);
    if depth > DEEPEST {
        return Err(SyntaxError { place, what: format!("nested deeper than {DEEPEST}") });
    }
    let value = match json.as_bytes().first() {
        Some(b'{') => {
            let entries: Entries<'_> =
                serde_json::from_str(json).map_err(|error| told(&error, place))?;
            let mut map: Vec<(String, Place, Node)> = Vec::new();
            for (key, value) in entries.0 {
                let value = node(text, value, depth + 1)?;
                if map.iter().any(|(other, ..)| *other == key) {
                    let what = format!("duplicate key `{key}`");
                    return Err(SyntaxError { place: value.place, what });
                }
                map.push((key, value.place, value));
            }
            Raw::Map(map)
        }
        Some(b'[') => Raw::List,
        Some(b'"') => Raw::Text(serde_json::from_str(json).map_err(|error| told(&error, place))?),
        Some(b't' | b'f') => Raw::Bool(json == "true"),
        Some(b'n') | None => Raw::Null,
        Some(_) => match json.parse() {
            Ok(int) => Raw::Int(int),
            // JSON has no numbers that are none of Rust's.
            Err(_) => Raw::Float(json.parse().unwrap_or(f64::NAN)),
        },
    };
    Ok(Node { place, value })
}

/// `part` is borrowed from `text`.
fn place(text: &str, part: &str) -> Place {
    Place::at(text, (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize))
}

fn told(error: &serde_json::Error, within: Place) -> SyntaxError {
    let place = match within.line {
        0 => Place { line: error.line().max(1), column: error.column().max(1) },
        _ => within,
    };
    let full = first_line(&error.to_string());
    let what = full.split(" at line ").next().unwrap_or(&full).to_owned();
    SyntaxError { place, what }
}

/// In the order of the text, twice what is there twice.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}
