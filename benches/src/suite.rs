//! The groups of one crate, and the flags of the bench executable.

use std::io::Write as _;

use crate::{Figure, Group, Row};

/// All groups of one crate: `cargo bench -p tidegate-benches --features NAME --bench NAME -- [FILTER] [--quick] [--json]`.
#[derive(Debug)]
pub struct Suite {
    name: &'static str,
    pub(crate) quick: bool,
    json: bool,
    filter: Option<String>,
    rows: Vec<Row>,
}

impl Suite {
    /// A suite that obeys the command line: `--quick` (fewer, shorter rounds), `--json` (a line of JSON a group), and a
    /// word that a group's id must contain to run.
    pub fn from_args(name: &'static str) -> Self {
        let (flags, words): (Vec<_>, Vec<_>) =
            std::env::args().skip(1).partition(|arg| arg.starts_with("--"));
        let has = |flag: &str| flags.iter().any(|given| given == flag);
        Self {
            name,
            quick: has("--quick"),
            json: has("--json"),
            filter: words.into_iter().next(),
            rows: Vec::new(),
        }
    }

    /// A suite of short rounds that ignores the command line.
    pub fn quick(name: &'static str) -> Self {
        Self { name, quick: true, json: false, filter: None, rows: Vec::new() }
    }

    /// Whether rounds are short, for groups that choose their own size.
    pub fn is_quick(&self) -> bool {
        self.quick
    }

    /// Starts a timed group; nothing happens until [`Group::run`].
    pub fn group(&mut self, id: &str) -> Group<'_> {
        Group::new(self, id)
    }

    /// Starts a group whose figures were measured by other means (bytes, a percentile), in `unit`.
    pub fn figure(&mut self, id: &str, unit: &str) -> Figure<'_> {
        Figure::new(self, id, unit)
    }

    /// Whether the filter lets this group run; an expensive set-up asks first.
    pub fn wants(&self, id: &str) -> bool {
        self.filter.as_ref().is_none_or(|word| id.contains(word.as_str()))
    }

    /// What has been measured so far.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Says how many promises were kept. Printing of the rows happened as they came.
    pub fn finish(self) {
        if !self.json {
            let promised =
                self.rows.iter().filter(|row| row.target.is_some() || !row.targets.is_empty());
            let (promised, met) =
                promised.fold((0, 0), |(n, met), row| (n + 1, met + usize::from(row.met)));
            print_line(&format!("{}: {met} of {promised} promises met", self.name));
        }
    }

    /// A line for people, that a group was left out for instance; not among JSON.
    pub fn remark(&self, words: &str) {
        if !self.json {
            print_line(words);
        }
    }

    pub(crate) fn push(&mut self, row: Row) {
        let line = if self.json {
            serde_json::to_string(&row).expect("a row holds only numbers and strings")
        } else {
            row.to_line()
        };
        print_line(&line);
        self.rows.push(row);
    }
}

fn print_line(line: &str) {
    // A closed pipe (`| head`) is no reason to panic: the figures that were wanted have been read.
    let _ = writeln!(std::io::stdout(), "{line}");
}
