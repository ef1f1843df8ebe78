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
//! | inside `$((…))` | the digits, if it is a whole number |
//! | inside `` `…` ``, `${…}`, `$'…'`, a quoted here-document | an error |
//!
//! The variables are assigned, single-quoted, ahead of the script. This walk need not understand all of the shell's
//! grammar to be safe: the result of an expansion is never parsed again, so that the worst a misjudged place
//! can do is to split a value into words or to print it with its quotes.

use std::fmt::Write as _;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Code,
    Double,
    Single,
    AnsiC,
    Braces,
    Arithmetic,
    Backtick,
    Heredoc,
    QuotedHeredoc,
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
    let body = walk(rendered, |place, value, offset| {
        if value.contains('\0') {
            return Err(Refused::new(offset, "a value holds a NUL byte", "pass it through a file"));
        }
        let list = value.strip_prefix(LIST);
        let word = |value: &str, variable: &mut dyn FnMut(&str) -> String| match place {
            Place::Code => format!("\"{}\"", variable(value)),
            Place::Single => format!("'\"{}\"'", variable(value)),
            _ => variable(value),
        };
        match (place, list) {
            (Place::Arithmetic, None) => {
                let digits = value.trim().strip_prefix('-').unwrap_or(value.trim());
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    let why =
                        format!("`{}` stands in `$((…))` and is not a whole number", clip(value));
                    return Err(Refused::new(offset, &why, "assign it to a variable first"));
                }
                Ok(value.trim().to_owned())
            }
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
    let walked = walk(&text, |_, _, _| Ok(String::new()));
    // `walk` stops at the first: take marks away one after another to see them all.
    let mut outcome = walked;
    while let Err(mut refusal) = outcome {
        let at = refusal.offset;
        text.replace_range(at..at + OPEN.len_utf8() + CLOSE.len_utf8(), "      ");
        refusal.offset = offsets.iter().find(|&&(mark, _)| mark == at).map_or(0, |&(_, from)| from);
        found.push(refusal);
        outcome = walk(&text, |_, _, _| Ok(String::new()));
    }
    found
}

fn clip(value: &str) -> String {
    let mut clipped: String = value.chars().take(20).collect();
    if clipped.len() < value.len() {
        clipped.push('…');
    }
    clipped
}

/// Copies `text`, with each marked value replaced by what `put` makes of its place, itself and its offset.
fn walk(
    text: &str,
    mut put: impl FnMut(Place, &str, usize) -> Result<String, Refused>,
) -> Result<String, Refused> {
    let mut out = String::with_capacity(text.len() + 64);
    let mut stack = vec![Place::Code];
    let mut heredocs: Vec<(String, Place, bool)> = Vec::new();
    let mut at = 0;
    let mut word_start = true;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let place = stack.last().copied().unwrap_or(Place::Code);
        let mut step = c.len_utf8();
        let mut starts = false;
        match (place, c) {
            (_, OPEN) => {
                let end = rest.find(CLOSE).unwrap_or(rest.len());
                let value = &rest[OPEN.len_utf8()..end];
                out.push_str(&mark(place, value, at, &mut put)?);
                at += (end + CLOSE.len_utf8()).min(rest.len());
                word_start = false;
                continue;
            }
            (Place::Single, '\'') => drop(stack.pop()),
            (Place::Single, _) => {}
            (_, '\\') => {
                // The escaped character is copied with its backslash; an escaped mark is none of the shell's business.
                let next = rest[1..].chars().next().filter(|&next| next != OPEN);
                step += next.map_or(0, char::len_utf8);
            }
            (Place::AnsiC, '\'') | (Place::Double, '"') | (Place::Braces, '}') => {
                stack.pop();
            }
            (Place::AnsiC, _) => {}
            (Place::Backtick, '`') => drop(stack.pop()),
            (Place::Arithmetic, ')') => {
                stack.pop();
                if rest.starts_with("))") {
                    step = 2;
                }
            }
            (Place::Arithmetic, '(') => stack.push(Place::Arithmetic),
            (_, '$') if rest.starts_with("$((") => {
                stack.push(Place::Arithmetic);
                step = 3;
            }
            (_, '$') if rest.starts_with("$(") => {
                stack.push(Place::Code);
                step = 2;
                starts = true;
            }
            (_, '$') if rest.starts_with("${") => {
                stack.push(Place::Braces);
                step = 2;
            }
            (Place::Code, '$') if rest.starts_with("$'") => {
                stack.push(Place::AnsiC);
                step = 2;
            }
            (_, '`') => stack.push(Place::Backtick),
            (Place::Code | Place::Braces | Place::Backtick, '"') => stack.push(Place::Double),
            (Place::Code | Place::Backtick, '\'') => stack.push(Place::Single),
            (Place::Code, '#') if word_start => {
                // A value in a comment would end it at its first newline: it is left out with all that follows it.
                let line = line_end(rest);
                let end = rest[..line].find(OPEN).unwrap_or(line);
                out.push_str(&rest[..end]);
                at += line;
                continue;
            }
            (Place::Code, '<') if rest.starts_with("<<<") => step = 3,
            (Place::Code, '<') if rest.starts_with("<<") => {
                let (delimiter, place, tabs, length) = heredoc(rest);
                if !delimiter.is_empty() {
                    heredocs.push((delimiter, place, tabs));
                    step = length;
                }
            }
            (Place::Code, '\n') if !heredocs.is_empty() => {
                out.push('\n');
                at += 1;
                for (delimiter, place, tabs) in heredocs.drain(..) {
                    at = document(text, at, &delimiter, place, tabs, &mut out, &mut put)?;
                }
                word_start = true;
                continue;
            }
            (Place::Code, '(') => {
                stack.push(Place::Code);
                starts = true;
            }
            (Place::Code, ')') if stack.len() > 1 => drop(stack.pop()),
            _ => {}
        }
        out.push_str(&rest[..step]);
        at += step;
        word_start = starts || c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')');
    }
    Ok(out)
}

/// Where the line ends; newlines inside values do not count.
fn line_end(text: &str) -> usize {
    let mut inside = false;
    let newline = text.char_indices().find(|&(_, c)| {
        inside = c == OPEN || inside && c != CLOSE;
        c == '\n' && !inside
    });
    newline.map_or(text.len(), |(at, _)| at)
}

fn mark(
    place: Place,
    value: &str,
    at: usize,
    put: &mut impl FnMut(Place, &str, usize) -> Result<String, Refused>,
) -> Result<String, Refused> {
    let refuse = |why, hint| Err(Refused::new(at, why, hint));
    match place {
        Place::Backtick => refuse("a value stands inside backquotes", "write `$(…)` instead"),
        Place::Braces => {
            refuse("a value stands inside `${…}`", "assign it to a variable first, or use `env:`")
        }
        Place::AnsiC => refuse("a value stands inside `$'…'`", "use plain quotes"),
        Place::QuotedHeredoc => refuse(
            "a value stands in a here-document with a quoted delimiter",
            "take the quotes from the delimiter, or pass the text by `stdin:`",
        ),
        _ => put(place, value, at),
    }
}

/// The delimiter after `<<`, the kind of its document, whether tabs are stripped, and the length of it all.
fn heredoc(rest: &str) -> (String, Place, bool, usize) {
    let tabs = rest[2..].starts_with('-');
    let start = 2 + usize::from(tabs);
    let blank = rest[start..].len() - rest[start..].trim_start_matches([' ', '\t']).len();
    let word = &rest[start + blank..];
    let mut delimiter = String::new();
    let mut quoted = false;
    let mut quote = None;
    let mut length = word.len();
    let mut letters = word.char_indices();
    while let Some((i, c)) = letters.next() {
        match (quote, c) {
            (_, OPEN) => {
                length = i;
                break;
            }
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => delimiter.push(c),
            (None, '\'' | '"') => (quote, quoted) = (Some(c), true),
            (None, '\\') => {
                quoted = true;
                delimiter.extend(letters.next().map(|(_, c)| c));
            }
            (None, c) if c.is_whitespace() || ";&|<>()".contains(c) => {
                length = i;
                break;
            }
            (None, c) => delimiter.push(c),
        }
    }
    let place = if quoted { Place::QuotedHeredoc } else { Place::Heredoc };
    (delimiter, place, tabs, start + blank + length)
}

/// Copies a here-document from `at` to the end of its delimiter's line; gives where it ends.
fn document(
    text: &str,
    mut at: usize,
    delimiter: &str,
    place: Place,
    tabs: bool,
    out: &mut String,
    put: &mut impl FnMut(Place, &str, usize) -> Result<String, Refused>,
) -> Result<usize, Refused> {
    // A value may span lines: the next line starts after the newline that is outside of any value.
    while at < text.len() {
        let mut line = String::new();
        let start = at;
        while let Some(c) = text[at..].chars().next() {
            if c == OPEN {
                let end = text[at..].find(CLOSE).map_or(text.len(), |end| at + end);
                line.push_str(&mark(place, &text[at + OPEN.len_utf8()..end], at, put)?);
                at = (end + CLOSE.len_utf8()).min(text.len());
                continue;
            }
            line.push(c);
            at += c.len_utf8();
            if c == '\n' {
                break;
            }
        }
        out.push_str(&line);
        let bare = text[start..at].trim_end_matches('\n');
        if (if tabs { bare.trim_start_matches('\t') } else { bare }) == delimiter {
            break;
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests;
