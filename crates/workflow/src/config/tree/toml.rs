//! TOML.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Node, Place, Raw, SyntaxError, first_line};

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    match DeTable::parse(text) {
        Ok(table) => {
            let place = Place { line: 1, column: 1 };
            Ok(Node { place, value: map(text, table.get_ref())? })
        }
        Err(error) => {
            let byte = error.span().map_or(0, |span| span.start);
            Err(SyntaxError { place: Place::at(text, byte), what: first_line(error.message()) })
        }
    }
}

fn map(text: &str, table: &DeTable<'_>) -> Result<Raw, SyntaxError> {
    let entries = table.iter().map(|(key, value)| {
        let place = Place::at(text, key.span().start);
        Ok((key.get_ref().to_string(), place, node(text, value)?))
    });
    Ok(Raw::Map(entries.collect::<Result<_, SyntaxError>>()?))
}

fn node(text: &str, value: &Spanned<DeValue<'_>>) -> Result<Node, SyntaxError> {
    let place = Place::at(text, value.span().start);
    let value = match value.get_ref() {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(int) => match i128::from_str_radix(int.as_str(), int.radix()) {
            Ok(int) => Raw::Int(int),
            Err(_) => {
                let what = format!("`{}` is too large", int.as_str());
                return Err(SyntaxError { place, what });
            }
        },
        // TOML writes infinity and NaN as Rust reads them.
        DeValue::Float(float) => Raw::Float(float.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(is_true) => Raw::Bool(*is_true),
        DeValue::Datetime(time) => Raw::Text(time.to_string()),
        DeValue::Array(_) => Raw::List,
        DeValue::Table(table) => map(text, table)?,
    };
    Ok(Node { place, value })
}
