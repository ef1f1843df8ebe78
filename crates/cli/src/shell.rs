//! Puts values into a shell script so that no value can become code.
//!
//! A template is rendered with each value between two marks. [`script`] then walks the result as a shell would read
//! it and replaces each value by a reference to a shell variable, quoted as its surroundings want:
//!
//! | where the value stands | what is written |
//! |---|---|
//! | plain | `"${TIDEGATE_1}"`, a list as several words |
//! | inside `"…"` or a here-document | `${TIDEGATE_1}` |
//! | inside `'…'` | `'"${TIDEGATE_1}"'` |
//! | inside `$((…))`, `((…))`, `$[…]`, a subscript, `let`, beside `-gt` and its kin in `[ … ]` | the digits, if it is a whole number |
//! | inside `` `…` ``, `${…}`, `$'…'`, a quoted here-document | an error |
//!
//! The variables are assigned, single-quoted, ahead of the script. The walk need not understand all of the shell's
//! grammar: the result of an expansion is not parsed again, so that the worst a misjudged place can do is to split a
//! value into words or to print it with its quotes. There is one exception, and the fifth row is about it: where a shell
//! computes, an expansion's result is an expression, and `a[$(…)]` in an expression is a command.

mod command;
mod walk;

use std::fmt::Write as _;

use walk::walk;

/// Stands before a value in a rendered template: a code point that no text may contain (a Unicode noncharacter).
pub(crate) const OPEN: char = '\u{fdd0}';
/// Stands after a value.
pub(crate) const CLOSE: char = '\u{fdd1}';
/// Stands between the elements of a list.
pub(crate) const NEXT: char = '\u{fdd2}';
/// Stands after [`OPEN`] when the value is a list.
pub(crate) const LIST: char = '\u{fdd3}';

/// Takes the marks out of a text, so that a value cannot forge them.
pub(crate) fn unmarked(text: &str) -> String {
    text.chars().filter(|c| !('\u{fdd0}'..='\u{fdd3}').contains(c)).collect()
}

/// A value that stands where it cannot be quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Byte offset of the mark in the text.
    pub(crate) offset: usize,
    /// What is wrong, as a fragment.
    pub(crate) why: String,
    /// What would be right.
    pub(crate) hint: String,
}

impl Refused {
    fn new(offset: usize, why: &str, hint: &str) -> Self {
        Self { offset, why: why.to_owned(), hint: hint.to_owned() }
    }
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Code,
    Double,
    Single,
    AnsiC,
    Braces,
    /// Inside `$((…))` or `((…))`.
    Arithmetic,
    /// Inside `$[…]`, the old way to write it.
    OldArithmetic,
    Subscript,
    /// Part of a command that compares or computes numbers.
    Operand,
    Backtick,
    Heredoc,
    QuotedHeredoc,
}

impl Place {
    /// What to call a place where a text would be taken as an expression.
    fn computes(self) -> Option<&'static str> {
        match self {
            Self::Arithmetic => Some("in `$((…))`"),
            Self::OldArithmetic => Some("in `$[…]`"),
            Self::Subscript => Some("in a subscript"),
            Self::Operand => Some("where numbers are compared or computed"),
            _ => None,
        }
    }
}

/// The script to run for a rendered template.
///
/// # Errors
///
/// The first value that stands where it cannot be quoted.
pub(crate) fn script(rendered: &str) -> Result<String, Refused> {
    let mut assignments = String::new();
    let mut count = 0;
    let mut variable = |value: &str| {
        count += 1;
        let quoted = value.replace('\'', r"'\''");
        let _ = writeln!(assignments, "TIDEGATE_{count}='{quoted}'");
        format!("${{TIDEGATE_{count}}}")
    };
    let body = walk(rendered, &mut |place, value, offset| {
        if value.contains('\0') {
            return Err(Refused::new(offset, "a value holds a NUL byte", "pass it through a file"));
        }
        let list = value.strip_prefix(LIST);
        let word = |value: &str, variable: &mut dyn FnMut(&str) -> String| match place {
            Place::Code => format!("\"{}\"", variable(value)),
            Place::Single => format!("'\"{}\"'", variable(value)),
            _ => variable(value),
        };
        if let Some(computes) = place.computes() {
            let digits = value.trim().strip_prefix('-').unwrap_or(value.trim());
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                // Without the value, which may be a secret.
                let why = format!("a value stands {computes} that is not a whole number");
                let hint = "a shell takes a text there for an expression, which may be a command";
                return Err(Refused::new(offset, &why, hint));
            }
            return Ok(value.trim().to_owned());
        }
        match (place, list) {
            (Place::Code, Some("")) => Ok(String::new()),
            (Place::Code, Some(list)) => {
                let words: Vec<String> =
                    list.split(NEXT).map(|value| word(value, &mut variable)).collect();
                Ok(words.join(" "))
            }
            (_, Some(_)) => Err(Refused::new(
                offset,
                "a list stands inside quotes",
                "take the quotes away to get one word for each element, or use `| join(\" \")`",
            )),
            (_, None) => Ok(word(value, &mut variable)),
        }
    })?;
    Ok(assignments + &body)
}

/// Every value of a template's source that stands where it cannot be quoted, as far as the source alone tells.
///
/// `source` is the template with each `{{ … }}` left as it is and each `{% … %}` kept in place.
pub(crate) fn refused(source: &str) -> Vec<Refused> {
    // Marks of the same length as what they replace keep the offsets right.
    let mut text = String::with_capacity(source.len());
    let mut offsets = Vec::new();
    let mut rest = source;
    while let Some(from) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let (head, tail) = rest.split_at(from);
        let (close, value) = if tail.starts_with("{{") { ("}}", true) } else { ("%}", false) };
        let Some(to) = tail.find(close).map(|to| to + 2) else { break };
        text.push_str(head);
        if value {
            offsets.push((text.len(), source.len() - tail.len()));
            text.push(OPEN);
            text.push(CLOSE);
        }
        rest = &tail[to..];
    }
    text.push_str(rest);
    let mut found = Vec::new();
    let walked = walk(&text, &mut |_, _, _| Ok(String::new()));
    // `walk` stops at the first: take marks away one after another to see them all.
    let mut outcome = walked;
    while let Err(mut refusal) = outcome {
        let at = refusal.offset;
        text.replace_range(at..at + OPEN.len_utf8() + CLOSE.len_utf8(), "      ");
        refusal.offset = offsets.iter().find(|&&(mark, _)| mark == at).map_or(0, |&(_, from)| from);
        found.push(refusal);
        outcome = walk(&text, &mut |_, _, _| Ok(String::new()));
    }
    found
}

#[cfg(test)]
mod tests;
