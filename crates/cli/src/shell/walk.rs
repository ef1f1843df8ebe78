//! Reads a script as a shell would, as far as it matters for where its values stand.

use super::command::Command;
use super::{CLOSE, OPEN, Place, Refused};

/// What is written for a value, by its place, itself and its offset.
pub(super) type Put<'p> = dyn FnMut(Place, &str, usize) -> Result<String, Refused> + 'p;

/// Copies `text`, with each marked value replaced by what `put` makes of it.
///
/// # Errors
///
/// The first value that `put` refuses, or that stands where none can.
pub(super) fn walk(text: &str, put: &mut Put<'_>) -> Result<String, Refused> {
    let mut out = String::with_capacity(text.len() + 64);
    copy(text, 0, Place::Code, &mut out, put)?;
    Ok(out)
}

/// A place that is not over yet.
struct Frame {
    place: Place,
    /// Where it began.
    from: usize,
    /// The command that is being read, where the place is code.
    command: Command,
}

impl Frame {
    fn new(place: Place, from: usize) -> Self {
        Self { place, from, command: Command::default() }
    }
}

/// Copies `text` from `at` to its end.
fn copy(
    text: &str,
    mut at: usize,
    base: Place,
    out: &mut String,
    put: &mut Put<'_>,
) -> Result<(), Refused> {
    let mut stack = vec![Frame::new(base, at)];
    let mut heredocs: Vec<(String, Place, bool)> = Vec::new();
    let mut word_start = true;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let depth = stack.len();
        let Some(Frame { place, from, command }) = stack.last_mut() else { break };
        let (place, from) = (*place, *from);
        let mut step = c.len_utf8();
        let mut starts = false;
        if place == Place::Code && word_start && c != OPEN && !c.is_whitespace() {
            command.word(rest)?;
        }
        let brackets = command.brackets;
        let push = |stack: &mut Vec<Frame>, place| stack.push(Frame::new(place, at));
        match (place, c) {
            (_, OPEN) => {
                let end = rest.find(CLOSE).unwrap_or(rest.len());
                let value = &rest[OPEN.len_utf8()..end];
                out.push_str(&mark(text, &mut stack, value, at, put)?);
                at += (end + CLOSE.len_utf8()).min(rest.len());
                word_start = false;
                continue;
            }
            (Place::QuotedHeredoc, _) => {}
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
            (Place::Arithmetic, ')') | (Place::OldArithmetic, ']') => drop(stack.pop()),
            (Place::Arithmetic, '(') | (Place::OldArithmetic, '[') => push(&mut stack, place),
            (_, '$') if rest.starts_with("$((") => {
                push(&mut stack, Place::Arithmetic);
                push(&mut stack, Place::Arithmetic);
                step = 3;
            }
            (_, '$') if rest.starts_with("$(") => {
                push(&mut stack, Place::Code);
                step = 2;
                starts = true;
            }
            (_, '$') if rest.starts_with("$[") => {
                push(&mut stack, Place::OldArithmetic);
                step = 2;
            }
            (_, '$') if rest.starts_with("${") => {
                push(&mut stack, Place::Braces);
                step = 2;
            }
            (Place::Code, '$') if rest.starts_with("$'") => {
                push(&mut stack, Place::AnsiC);
                step = 2;
            }
            (_, '`') => push(&mut stack, Place::Backtick),
            (Place::Double | Place::Heredoc, _) => {}
            (_, '"') => push(&mut stack, Place::Double),
            (Place::Code | Place::Backtick | Place::Arithmetic | Place::OldArithmetic, '\'') => {
                push(&mut stack, Place::Single);
            }
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
                command.end(c);
                out.push('\n');
                at += 1;
                for (delimiter, place, tabs) in heredocs.drain(..) {
                    let end = document(text, at, &delimiter, tabs);
                    copy(&text[..end], at, place, out, put)?;
                    at = end;
                }
                word_start = true;
                continue;
            }
            (Place::Code, '(') if !brackets && rest.starts_with("((") => {
                push(&mut stack, Place::Arithmetic);
                push(&mut stack, Place::Arithmetic);
                step = 2;
            }
            (Place::Code, '(') if !brackets => {
                push(&mut stack, Place::Code);
                starts = true;
            }
            (Place::Code, ')') if !brackets && command.cases > 0 => command.end(c),
            (Place::Code, ')') if !brackets && depth > 1 => {
                stack.pop();
                // What a substitution gives is a part of its command; a subshell is one, and a pattern stands before one.
                if let (true, Some(outer)) = (text[from..].starts_with('('), stack.last_mut()) {
                    outer.command.end(c);
                }
            }
            (Place::Code, '\n' | ';' | '|' | ')') => command.end(c),
            (Place::Code, '&') if !text[..at].ends_with(['<', '>']) => command.end(c),
            _ => {}
        }
        out.push_str(&rest[..step]);
        at += step;
        word_start = starts || c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')');
    }
    Ok(())
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

/// What is written for a value, by all that it stands in.
fn mark(
    text: &str,
    stack: &mut [Frame],
    value: &str,
    at: usize,
    put: &mut Put<'_>,
) -> Result<String, Refused> {
    let refuse = |why, hint| Err(Refused::new(at, why, hint));
    let Some(top) = stack.last() else { return put(Place::Code, value, at) };
    let (place, from) = (top.place, top.from);
    // Quotes guard a text against being split, and not against being computed.
    let quotes = |frame: &&mut Frame| matches!(frame.place, Place::Double | Place::Single);
    let outer = stack.iter_mut().rev().find(|frame| !quotes(frame));
    let around = outer.as_ref().map_or(place, |frame| frame.place);
    match around {
        Place::Backtick => {
            return refuse("a value stands inside backquotes", "write `$(…)` instead");
        }
        Place::Braces => {
            let hint = "assign it to a variable first, or use `env:`";
            return refuse("a value stands inside `${…}`", hint);
        }
        Place::AnsiC => return refuse("a value stands inside `$'…'`", "use plain quotes"),
        Place::QuotedHeredoc => {
            return refuse(
                "a value stands in a here-document with a quoted delimiter",
                "take the quotes from the delimiter, or pass the text by `stdin:`",
            );
        }
        Place::Arithmetic | Place::OldArithmetic => return put(around, value, at),
        _ => {}
    }
    let code = if place == Place::Code { at } else { from };
    if place != Place::Single && subscript(&text[..at], false)
        || around == Place::Code && subscript(&text[..code], true)
    {
        return put(Place::Subscript, value, at);
    }
    if let (Place::Code, Some(frame)) = (around, outer) {
        frame.command.value(put(Place::Operand, value, at).err())?;
    }
    put(place, value, at)
}

/// Whether what follows `before` on its line is a subscript: of `$NAME`, or also of a `NAME` or an element at the start
/// of a word.
fn subscript(before: &str, words: bool) -> bool {
    let mut closed = 0_usize;
    let mut inside = false;
    for (at, c) in before.char_indices().rev() {
        // Backwards, a value ends where it began.
        inside = c == CLOSE || inside && c != OPEN;
        match c {
            _ if inside => {}
            '\n' if !before[..at].ends_with('\\') => return false,
            ']' => closed += 1,
            '[' if closed > 0 => closed -= 1,
            '[' => {
                let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let head = before[..at].trim_end_matches(name);
                let named = head.len() < at;
                let bare = head.is_empty() || head.ends_with([' ', '\t', '\n', ';', '&', '|', '(']);
                let element = before[at + 1..].chars().next().is_none_or(|c| !c.is_whitespace())
                    && in_list(head);
                if named && head.ends_with('$') || words && bare && (named || element) {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

/// Whether the words that `before` ends in are those of a list that is assigned: `NAME=(…`.
fn in_list(before: &str) -> bool {
    before.rfind('(').is_some_and(|open| before[..open].ends_with('='))
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

/// Where the here-document that begins at `at` ends: after its delimiter's line.
fn document(text: &str, mut at: usize, delimiter: &str, tabs: bool) -> usize {
    while at < text.len() {
        let end = at + line_end(&text[at..]);
        let line = &text[at..end];
        at = (end + 1).min(text.len());
        if (if tabs { line.trim_start_matches('\t') } else { line }) == delimiter {
            break;
        }
    }
    at
}
