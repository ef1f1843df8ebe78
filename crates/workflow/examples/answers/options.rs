//! The command line.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) questions: Vec<String>,
    pub(crate) root: PathBuf,
    pub(crate) without: BTreeSet<String>,
    /// Whether to ask one question, and one agent, after another.
    pub(crate) alone: bool,
    /// Whether to ask everything at once.
    pub(crate) together: bool,
}

pub(crate) const USAGE: &str = "\
usage: answers [--sequential | --concurrent] [--without AGENT]... [--root DIR] [QUESTION]...

Answers questions over the Markdown and the Rust documentation below DIR, which is this repository if it is not given. Without
--sequential and --concurrent it does both, and tells how much faster the second was. With OPENAI_BASE_URL set, a model
(OPENAI_MODEL, OPENAI_API_KEY) chooses the pipeline and writes the answers.";

/// What is asked if nobody asks anything.
const QUESTIONS: &[&str] = &[
    "What happens to running holders when the limit of the semaphore shrinks?",
    "Where is Run::submit defined?",
    "How many bytes does a waiter take?",
    "Which tasks start first when many are ready?",
    "How does a pipeline fall back to sequential?",
    "What does a run do after kill -9?",
    "Where is the circuit breaker?",
    "How fast is the counter with two threads?",
];

impl Options {
    /// Reads the arguments; `agents` are the names that there are.
    pub(crate) fn read(
        arguments: impl IntoIterator<Item = String>,
        agents: &[&str],
    ) -> Result<Self, String> {
        let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let (questions, without) = (Vec::new(), BTreeSet::new());
        let mut options = Self { questions, root, without, alone: true, together: true };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = |what: &str| {
                arguments.next().ok_or_else(|| format!("`{argument}` wants {what} after it"))
            };
            match argument.as_str() {
                "--sequential" => options.together = false,
                "--concurrent" => options.alone = false,
                "--root" => options.root = PathBuf::from(value("a folder")?),
                "--without" => {
                    let agent = value("an agent")?;
                    if !agents.contains(&agent.as_str()) {
                        let there = agents.join(", ");
                        return Err(format!("there is no agent `{agent}`; there are: {there}"));
                    }
                    options.without.insert(agent);
                }
                "--help" | "-h" => return Err(String::new()),
                unknown if unknown.starts_with('-') => {
                    return Err(format!("there is no option `{unknown}`"));
                }
                _ => options.questions.push(argument),
            }
        }
        if !options.alone && !options.together {
            return Err("`--sequential` and `--concurrent` do not go together".to_owned());
        }
        if !options.root.is_dir() {
            return Err(format!("`{}` is no folder", options.root.display()));
        }
        if options.questions.is_empty() {
            options.questions = QUESTIONS.iter().map(|text| (*text).to_owned()).collect();
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        Options::read(line.split(' ').map(str::to_owned), &["docs", "code"])
    }

    #[test]
    fn what_is_wrong_with_the_command_line_is_told() {
        let options = read("--without docs --sequential why").expect("nothing is wrong");
        assert_eq!((options.questions, options.together), (vec!["why".to_owned()], false));
        for (line, why) in [
            ("--without", "`--without` wants an agent after it"),
            ("--without doc", "there is no agent `doc`; there are: docs, code"),
            ("--fast", "there is no option `--fast`"),
            ("--sequential --concurrent", "`--sequential` and `--concurrent` do not go together"),
            ("--root /no/such", "`/no/such` is no folder"),
        ] {
            assert_eq!(read(line), Err(why.to_owned()));
        }
    }
}
