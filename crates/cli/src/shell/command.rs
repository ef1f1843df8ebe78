//! The simple command that a value is a part of: whether it takes its words for numbers.

use super::Refused;

/// Words after which a command begins, or goes on to begin.
const BEFORE: &[&str] = &[
    "if", "while", "until", "elif", "then", "else", "do", "!", "{", "time", "command", "builtin",
    "function", "in",
];
/// Operators of `[`, `[[` and `test` whose operands are computed, or are the name of what may have a subscript.
const COMPUTING: &[&str] = &["-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R", "-t"];

/// What is known of the command so far.
#[derive(Debug, Default)]
pub(super) struct Command {
    /// Its first word was there.
    begun: bool,
    /// It is `[`, `[[` or `test`.
    tests: bool,
    /// Between `[[` and `]]`, where what ends other commands does not end this.
    pub(super) brackets: bool,
    /// Of its words some are computed.
    computes: bool,
    /// The first value that must not be.
    text: Option<Refused>,
    /// How many `case … esac` we are in, where a `)` may end a pattern.
    pub(super) cases: usize,
}

impl Command {
    /// Takes note of the word that `rest` begins with.
    ///
    /// # Errors
    ///
    /// The word shows that a value before it is computed, and it is no number.
    pub(super) fn word(&mut self, rest: &str) -> Result<(), Refused> {
        let ends = |c: char| c.is_whitespace() || ";&|<>()".contains(c);
        let word = rest.split(ends).next().unwrap_or_default();
        if self.brackets && word == "]]" {
            let cases = self.cases;
            *self = Self { begun: true, cases, ..Self::default() };
        } else if word == "{" {
            self.end('{');
        } else if !self.begun && !BEFORE.contains(&word) && !word.contains('=') {
            self.begun = true;
            self.brackets = word == "[[";
            self.tests = self.brackets || word == "[" || word == "test";
            self.computes = word == "let";
            match word {
                "case" => self.cases += 1,
                "esac" => self.cases = self.cases.saturating_sub(1),
                _ => {}
            }
        } else if self.tests && COMPUTING.contains(&word) {
            self.computes = true;
            return self.text.take().map_or(Ok(()), Err);
        }
        Ok(())
    }

    /// Takes note of a value, with why it is no number.
    ///
    /// # Errors
    ///
    /// It has to be one.
    pub(super) fn value(&mut self, refused: Option<Refused>) -> Result<(), Refused> {
        self.begun = true;
        match refused {
            Some(refused) if self.computes => Err(refused),
            refused => {
                self.text = self.text.take().or(refused);
                Ok(())
            }
        }
    }

    /// Takes note of what ends a command, or between `[[` and `]]` a comparison.
    pub(super) fn end(&mut self, by: char) {
        if !self.brackets {
            *self = Self { cases: self.cases, ..Self::default() };
        } else if matches!(by, '&' | '|') {
            (self.computes, self.text) = (false, None);
        }
    }
}
