//! YAML, by a reader that knows where things stand. Its budgets make a hostile text an error in bounded time and memory.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};

use super::{DEEPEST, Node, Place, Raw, SyntaxError, first_line};

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Read>>(text, options) {
        Ok(read) => Ok(node(read)),
        Err(error) => {
            let place = error.location().map(Place::from).filter(|place| place.line > 0);
            let full = first_line(&error.without_snippet().to_string());
            // The place is told apart.
            let what =
                full.split(" at line ").next().unwrap_or(&full).trim_end_matches([',', ':', ' ']);
            let place = place.unwrap_or(Place { line: 1, column: 1 });
            Err(SyntaxError { place, what: what.to_owned() })
        }
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Self { line: number(location.line()), column: number(location.column()) }
    }
}

fn node(read: Spanned<Read>) -> Node {
    let place = Place::from(read.referenced);
    let value = match read.value {
        Read::Plain(value) => value,
        Read::Map(entries) => Raw::Map(
            entries
                .into_iter()
                .map(|(key, value)| (key.value, Place::from(key.referenced), node(value)))
                .collect(),
        ),
    };
    Node { place, value }
}

/// What the reader hands over, before places are attached.
enum Read {
    Plain(Raw),
    Map(Vec<(Spanned<String>, Spanned<Read>)>),
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadVisitor)
    }
}

struct ReadVisitor;

impl<'de> Visitor<'de> for ReadVisitor {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Read, E> {
        Ok(Read::Plain(Raw::Null))
    }

    fn visit_none<E>(self) -> Result<Read, E> {
        Ok(Read::Plain(Raw::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Read, D::Error> {
        Read::deserialize(deserializer)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Read, E> {
        Ok(Read::Plain(Raw::Bool(v)))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Read, E> {
        Ok(Read::Plain(Raw::Int(v.into())))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Read, E> {
        Ok(Read::Plain(Raw::Int(v.into())))
    }

    fn visit_i128<E>(self, v: i128) -> Result<Read, E> {
        Ok(Read::Plain(Raw::Int(v)))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Read, E> {
        Ok(Read::Plain(Raw::Float(v)))
    }

    fn visit_str<E>(self, v: &str) -> Result<Read, E> {
        Ok(Read::Plain(Raw::Text(v.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Read, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Read::Plain(Raw::List))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key()? {
            entries.push((key, map.next_value()?));
        }
        Ok(Read::Map(entries))
    }
}
