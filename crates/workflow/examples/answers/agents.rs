//! What the agents do: plain functions of the question and of what those before them found.

use std::collections::HashSet;
use std::path::Path;

use tidegate_workflow::TaskError;

use crate::corpus::{Kind, Passage, files, passages};
use crate::search::{Hit, best, by_score, words};

/// How many passages a searching agent hands on.
const FOUND: usize = 8;
/// How many quotes an answer has at most.
const QUOTES: usize = 4;

/// What a question asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    /// Its words, each once.
    pub(crate) words: Vec<String>,
    /// The names of code in it: those with `_`, `::`, a capital inside, or between backticks.
    pub(crate) names: Vec<String>,
    /// What stands before `::` in them, in lower case.
    pub(crate) homes: Vec<String>,
    /// Whether only what has a figure in it can answer.
    pub(crate) wants_figure: bool,
}

/// Lines of a file that were looked up again, and are there word for word.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quote {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) title: String,
    pub(crate) text: String,
}

/// What the checker leaves of what was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evidence {
    /// The best first.
    pub(crate) quotes: Vec<Quote>,
    /// How many were not in the files any more, say too little, or were there twice.
    pub(crate) rejected: usize,
    /// The words of the question that no quote has.
    pub(crate) uncovered: Vec<String>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) text: String,
    pub(crate) quotes: Vec<Quote>,
    /// Who wrote it.
    pub(crate) by: String,
}

/// Reads a question.
pub(crate) fn understand(question: &str) -> Result<Query, TaskError> {
    let mut seen = HashSet::new();
    let words: Vec<String> =
        words(question).into_iter().filter(|word| seen.insert(word.clone())).collect();
    if words.is_empty() {
        return Err(TaskError::fatal("the question has no word to search for"));
    }
    let ends = |c: char| c.is_whitespace() || "?!.,;()\"'".contains(c);
    let is_name = |text: &&str| {
        let inner = text.chars().skip(1).any(char::is_uppercase);
        (inner && text.chars().any(char::is_lowercase)) || text.contains(['_', '`', ':'])
    };
    let (mut names, mut homes) = (Vec::new(), Vec::new());
    for name in question.split(ends).filter(is_name).map(|name| name.trim_matches('`')) {
        let (home, name) = name.rsplit_once("::").unwrap_or(("", name));
        homes.extend((!home.is_empty()).then(|| home.to_lowercase()));
        names.extend((!name.is_empty()).then(|| name.to_owned()));
    }
    Ok(Query { words, names, homes, wants_figure: asks_for_a_figure(question) })
}

/// Whether a question is about a number.
pub(crate) fn asks_for_a_figure(question: &str) -> bool {
    let lower = question.to_lowercase();
    ["how many", "how much", "how fast", "how long", "how large", "faster"]
        .iter()
        .any(|text| lower.contains(text))
}

/// Whether a question is about a place in the code.
pub(crate) fn asks_for_a_place(question: &str) -> bool {
    let lower = question.to_lowercase();
    ["where ", "which file", "what file", "which module"].iter().any(|text| lower.contains(text))
}

/// Searches all passages of a kind.
pub(crate) fn find(root: &Path, kind: Kind, query: &Query) -> Result<Vec<Hit>, TaskError> {
    Ok(best(passages(root, kind)?, &query.words, FOUND))
}

/// Finds where the names of a question, or its words, are defined.
pub(crate) fn define(root: &Path, query: &Query) -> Result<Vec<Hit>, TaskError> {
    let mut hits = Vec::new();
    for path in files(root, "rs")? {
        let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        for (line, text) in text.lines().enumerate() {
            let Some((keyword, defined)) = definition(text) else { continue };
            let its_words = words(defined);
            let there = its_words.iter().filter(|word| query.words.contains(word)).count();
            let is_named = query.names.iter().any(|name| name == defined);
            if !is_named && (there == 0 || there < its_words.len()) {
                continue;
            }
            let is_public = text.trim_start().starts_with("pub ");
            // `Run::submit` is looked for in `run.rs` first.
            let is_home = query
                .homes
                .iter()
                .any(|home| path.file_stem().is_some_and(|stem| stem == home.as_str()));
            let marks = 10 * u8::from(is_named) + 5 * u8::from(is_public) + 5 * u8::from(is_home);
            let score = there as f64 + f64::from(marks);
            let (lines, title) = (vec![text.trim().to_owned()], format!("{keyword} {defined}"));
            let passage = Passage { path: name.clone(), line: line + 1, title, lines };
            hits.push(Hit { passage, score });
        }
    }
    hits.sort_by(by_score);
    hits.truncate(FOUND);
    Ok(hits)
}

/// The keyword and the name that a line of Rust defines.
fn definition(line: &str) -> Option<(&str, &str)> {
    let mut words = line
        .split_whitespace()
        .skip_while(|word| word.starts_with("pub") || ["async", "const", "unsafe"].contains(word));
    let keyword = words.next()?;
    let is_keyword = ["fn", "struct", "enum", "trait", "type", "mod"].contains(&keyword);
    let name = words.next().filter(|_| is_keyword)?;
    let name = name.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    Some((keyword, name)).filter(|_| !name.is_empty())
}

/// Looks every passage up in its file again, and leaves those that are there and have something to say.
///
/// Lists are taken in turns, the best of each first: scores of different searches say nothing of each other.
pub(crate) fn check(root: &Path, query: &Query, found: &[&[Hit]]) -> Evidence {
    let longest = found.iter().map(|hits| hits.len()).max().unwrap_or(0);
    let in_turns = (0..longest).flat_map(|at| found.iter().filter_map(move |hits| hits.get(at)));
    let (mut quotes, mut rejected, mut covered) = (Vec::<Quote>::new(), 0, HashSet::new());
    for Hit { passage, .. } in in_turns {
        let text = passage.text();
        let has: HashSet<String> =
            words(&format!("{} {text}", passage.title)).into_iter().collect();
        let there: Vec<&String> = query.words.iter().filter(|word| has.contains(*word)).collect();
        let is_named = query.names.iter().any(|name| passage.title.ends_with(name.as_str()));
        let says_enough = is_named || 2 * there.len() >= query.words.len();
        let has_figure = text.chars().any(|c| c.is_ascii_digit());
        let is_known = quotes.iter().any(|quote| quote.text == text);
        if is_known
            || !says_enough
            || (query.wants_figure && !has_figure)
            || !is_there(root, passage)
        {
            rejected += 1;
            continue;
        }
        if quotes.len() < QUOTES {
            covered.extend(there.into_iter().cloned());
            let Passage { path, line, title, .. } = passage.clone();
            quotes.push(Quote { path, line, title, text });
        }
    }
    let uncovered = query.words.iter().filter(|word| !covered.contains(*word)).cloned().collect();
    Evidence { quotes, rejected, uncovered }
}

/// Whether the file has these lines where the passage says.
fn is_there(root: &Path, passage: &Passage) -> bool {
    let Ok(text) = std::fs::read(root.join(&passage.path)) else { return false };
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().skip(passage.line - 1);
    passage.lines.iter().all(|line| lines.next().is_some_and(|there| there.contains(line.as_str())))
}

/// Writes the answer by rules: what the best quote says, what the others add, and what nobody speaks of.
pub(crate) fn write(evidence: &Evidence) -> Reply {
    let mut text = String::new();
    for (at, quote) in evidence.quotes.iter().enumerate() {
        let said = shortened(&quote.text, if at == 0 { 420 } else { 240 });
        let about = if quote.title.is_empty() { "" } else { " — " };
        text.push_str(&format!("{said}{about}{} [{}]\n", quote.title, at + 1));
    }
    if evidence.quotes.is_empty() {
        text.push_str("Nothing in the repository answers this.\n");
    } else if !evidence.uncovered.is_empty() {
        let words = evidence.uncovered.join("`, `");
        text.push_str(&format!("No quote has a word like `{words}`.\n"));
    }
    Reply { text, quotes: evidence.quotes.clone(), by: "rules".to_owned() }
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_code_are_told_from_words() {
        let query = understand("How does Run::submit use `Limiter` or set_limit, in Tidegate?")
            .expect("it has words");
        assert_eq!(query.names, ["submit", "Limiter", "set_limit"]);
        assert_eq!(query.homes, ["run"]);
        assert!(understand("what is it?").is_err());
        assert!(understand("How many waiters?").expect("it has words").wants_figure);
    }

    #[test]
    fn definitions_are_found_by_name() {
        assert_eq!(definition("    pub(crate) async fn submit<K>(&self)"), Some(("fn", "submit")));
        assert_eq!(definition("pub struct Report {"), Some(("struct", "Report")));
        assert_eq!(definition("let fn_ = 1;"), None);
    }

    #[test]
    fn what_is_not_in_the_file_is_no_quote() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let query = understand("adaptive orchestrator").expect("it has words");
        let lines = |text: &str| {
            let (path, title) = ("src/lib.rs".to_owned(), String::new());
            let passage = Passage { path, line: 1, title, lines: vec![text.to_owned()] };
            Hit { passage, score: 1.0 }
        };
        let there = lines("Adaptive orchestrator");
        let found = [there.clone(), lines("An adaptive orchestrator that flies"), there];
        let evidence = check(root, &query, &[&found]);
        assert_eq!((evidence.quotes.len(), evidence.rejected), (1, 2));
        assert!(evidence.uncovered.is_empty());
    }
}
