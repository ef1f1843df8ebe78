//! What is wrong with a workflow file: where, what, and what would be right.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a file: line and column, both from 1, the column counted in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pos {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// One error, with its place and, where we have one, a hint.
#[derive(Clone, Debug)]
pub(crate) struct Diagnostic {
    pub(crate) at: Option<Pos>,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Diagnostic {
    /// An error at `at`.
    pub(crate) fn at(at: Pos, message: impl Into<String>) -> Self {
        Self { at: Some(at), message: message.into(), hint: None }
    }

    /// An error of the file as a whole.
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self { at: None, message: message.into(), hint: None }
    }

    /// The same error with a hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A file and its text, as diagnostics quote them.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The text found at `path`.
    pub(crate) fn new(path: &Path, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), text: text.into() }
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The path as the user gave it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Shows a diagnostic with the line it speaks of.
    pub(crate) fn show<'a>(&'a self, diagnostic: &'a Diagnostic) -> impl fmt::Display + 'a {
        Shown { source: self, diagnostic }
    }
}

/// The longest quote of a line, in characters: a file of one 10 MB line must not flood the screen.
const QUOTE: usize = 120;

struct Shown<'a> {
    source: &'a Source,
    diagnostic: &'a Diagnostic,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic { at, message, hint } = self.diagnostic;
        let path = self.source.path.display();
        writeln!(f, "error: {message}")?;
        let Some(Pos { line, column }) = *at else {
            writeln!(f, "  --> {path}")?;
            return hint.iter().try_for_each(|hint| writeln!(f, "  = hint: {hint}"));
        };
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{margin}--> {path}:{line}:{column}")?;
        if let Some(text) = self.source.text.lines().nth(line.saturating_sub(1)) {
            let from = column.saturating_sub(1).saturating_sub(QUOTE / 2);
            let quote: String = text.chars().skip(from).take(QUOTE).map(printable).collect();
            let caret = " ".repeat(column.saturating_sub(1).saturating_sub(from));
            writeln!(f, "{margin} |")?;
            writeln!(f, "{number} | {}", quote.trim_end())?;
            writeln!(f, "{margin} | {caret}^")?;
        }
        hint.iter().try_for_each(|hint| writeln!(f, "{margin} = hint: {hint}"))
    }
}

/// A character that cannot move the cursor or change the terminal's colours.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// The known name nearest to `name`, when one is near enough to be a slip of the finger.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let reach = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| {
            let (a, b) = (name.to_lowercase(), candidate.to_lowercase());
            (strsim::damerau_levenshtein(&a, &b), candidate)
        })
        .filter(|&(distance, _)| distance <= reach)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}
