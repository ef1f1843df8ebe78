//! The text of the repository, read from disk anew for each question, as passages that can be quoted.

use std::io;
use std::path::{Path, PathBuf};

/// A few lines of one file that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passage {
    /// Below the root, with `/`.
    pub(crate) path: String,
    /// The first of its lines, counted from 1.
    pub(crate) line: usize,
    /// The heading above it, or the item that it documents.
    pub(crate) title: String,
    /// Its lines as they stand in the file, without the signs of a comment.
    pub(crate) lines: Vec<String>,
}

impl Passage {
    /// Its lines as one.
    pub(crate) fn text(&self) -> String {
        self.lines.join(" ")
    }
}

/// What kind of file, and how it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Paragraphs of Markdown under their heading.
    Prose,
    /// Rows of tables in Markdown.
    Rows,
    /// Comments of Rust items.
    Docs,
}

/// All passages of a kind below the root.
pub(crate) fn passages(root: &Path, kind: Kind) -> io::Result<Vec<Passage>> {
    let extension = if kind == Kind::Docs { "rs" } else { "md" };
    let mut passages = Vec::new();
    for path in files(root, extension)? {
        let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        passages.extend(match kind {
            Kind::Prose => prose(&name, &text),
            Kind::Rows => rows(&name, &text),
            Kind::Docs => docs(&name, &text),
        });
    }
    Ok(passages)
}

/// The files with this extension, but for those that were built or are hidden.
pub(crate) fn files(root: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let (mut files, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder)? {
            let (path, kind) = {
                let entry = entry?;
                (entry.path(), entry.file_type()?)
            };
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if kind.is_dir() && name != "target" && !name.starts_with('.') {
                open.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|of| of == extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    if files.is_empty() {
        let why = format!("there is no `.{extension}` file below {}", root.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    Ok(files)
}

/// Paragraphs and items of lists; no code and no tables.
fn prose(path: &str, text: &str) -> Vec<Passage> {
    let mut passages = Passages::new(path);
    let (mut title, mut is_code) = (String::new(), false);
    for (line, text) in text.lines().enumerate() {
        let trimmed = text.trim();
        if trimmed.starts_with("```") {
            is_code = !is_code;
            passages.end();
        } else if is_code || trimmed.is_empty() || trimmed.starts_with('|') {
            passages.end();
        } else if let Some(heading) = trimmed.strip_prefix('#') {
            passages.end();
            title = heading.trim_start_matches('#').trim().to_owned();
        } else {
            if trimmed.starts_with("- ") || trimmed.starts_with("* ") {
                passages.end();
            }
            passages.push(line + 1, &title, trimmed);
        }
    }
    passages.all()
}

/// Each row of a table, under the table's heads.
fn rows(path: &str, text: &str) -> Vec<Passage> {
    let mut passages = Passages::new(path);
    let mut heads: Option<String> = None;
    for (line, text) in text.lines().enumerate() {
        let trimmed = text.trim();
        let is_rule = trimmed.chars().all(|c| "|-: ".contains(c));
        if !trimmed.starts_with('|') {
            heads = None;
        } else if heads.is_none() {
            heads = Some(trimmed.replace('|', " ").trim().to_owned());
        } else if !is_rule {
            passages.push(line + 1, heads.as_deref().unwrap_or_default(), trimmed);
            passages.end();
        }
    }
    passages.all()
}

/// The comments `///` and `//!`, but for their code, with the line that follows them.
fn docs(path: &str, text: &str) -> Vec<Passage> {
    let mut passages = Passages::new(path);
    let (mut is_code, mut open) = (false, 0);
    for (line, text) in text.lines().enumerate() {
        let trimmed = text.trim();
        let comment = trimmed.strip_prefix("///").or_else(|| trimmed.strip_prefix("//!"));
        match comment.map(str::trim) {
            Some(comment) if comment.starts_with("```") => is_code = !is_code,
            Some(comment) if is_code || comment.is_empty() || comment.starts_with('#') => {
                passages.end();
            }
            Some(comment) => passages.push(line + 1, "", comment),
            None if trimmed.starts_with("#[") => {}
            None => {
                is_code = false;
                passages.end();
                let item = trimmed.trim_end_matches(['{', '(', ';', ',']).trim();
                passages.done[open..].iter_mut().for_each(|of| of.title = item.to_owned());
                open = passages.done.len();
            }
        }
    }
    passages.all()
}

/// Passages of one file, and the one that is not at its end yet.
struct Passages<'a> {
    path: &'a str,
    done: Vec<Passage>,
    open: Option<Passage>,
}

impl<'a> Passages<'a> {
    fn new(path: &'a str) -> Self {
        Self { path, done: Vec::new(), open: None }
    }

    fn push(&mut self, line: usize, title: &str, text: &str) {
        let (path, title) = (self.path.to_owned(), title.to_owned());
        let open = self.open.get_or_insert(Passage { path, line, title, lines: Vec::new() });
        open.lines.push(text.to_owned());
    }

    fn end(&mut self) {
        self.done.extend(self.open.take());
    }

    fn all(mut self) -> Vec<Passage> {
        self.end();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(passages: &[Passage]) -> Vec<(usize, &str, String)> {
        passages.iter().map(|of| (of.line, of.title.as_str(), of.text())).collect()
    }

    #[test]
    fn markdown_is_cut_into_paragraphs_items_and_rows() {
        let text = "# Head\none\ntwo\n\n- item\n- other\n\n| a | b |\n|---|---|\n| 1 | 2 |\n```\ncode\n```\nend";
        let expected = [
            (2, "Head", "one two".to_owned()),
            (5, "Head", "- item".to_owned()),
            (6, "Head", "- other".to_owned()),
            (14, "Head", "end".to_owned()),
        ];
        assert_eq!(told(&prose("a.md", text)), expected);
        assert_eq!(told(&rows("a.md", text)), [(10, "a   b", "| 1 | 2 |".to_owned())]);
    }

    #[test]
    fn comments_belong_to_the_item_below_them() {
        let text = "/// One.\n///\n/// # Examples\n/// ```\n/// code\n/// ```\n/// Two.\n#[must_use]\npub fn f() {\n    // no\n}";
        let expected = [(1, "pub fn f()", "One.".to_owned()), (7, "pub fn f()", "Two.".to_owned())];
        assert_eq!(told(&docs("a.rs", text)), expected);
    }
}
