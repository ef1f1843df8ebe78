//! FEATURES.md: every feature has its line, and every proof that a line names is there.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{file, root};

/// The areas and how many features each has.
const AREAS: [(&str, usize); 6] = [("G", 10), ("P", 10), ("K", 9), ("D", 13), ("Q", 7), ("X", 6)];

/// A line of one of the tables: id, what, and what shows it.
fn rows() -> Vec<(String, String, String)> {
    let text = file("FEATURES.md");
    let cells = |line: &str| {
        let cells: Vec<String> =
            line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        <[String; 3]>::try_from(cells).ok()
    };
    let is_id = |id: &str| {
        let mut chars = id.chars();
        chars.next().is_some_and(|area| "GPKDQX".contains(area))
            && id.len() > 1
            && chars.all(|digit| digit.is_ascii_digit())
    };
    let rows = text.lines().filter(|line| line.starts_with('|')).filter_map(cells);
    rows.filter(|[id, ..]| is_id(id)).map(|[id, what, shown]| (id, what, shown)).collect()
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The names of all tests of the workspace.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["crates", "benches", "xtask"] {
        collect(&root().join(folder), &mut names);
    }
    names
}

fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                collect(&path, names);
            }
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source file");
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            let word = |text: &str| {
                let end = |c: char| !(c.is_alphanumeric() || c == '_');
                text.split(end).next().unwrap_or_default().to_owned()
            };
            let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if line.starts_with("#[") {
                is_test |= line.contains("test");
            } else if let Some(rest) = function {
                if std::mem::take(&mut is_test) {
                    names.insert(word(rest));
                }
            } else if let Some(name) = line.trim_start_matches('(').strip_prefix('"') {
                // Tests with a harness of their own stand in lists, by their names.
                let name = word(name);
                // Not in this file, which has such names as well.
                if text.contains(concat!("TESTS", ": &[Test]")) && name.matches('_').count() > 1 {
                    names.insert(name);
                }
            }
        }
    }
}

/// Why a quoted proof is none; nothing if it is one.
fn fault(proof: &str, tests: &BTreeSet<String>) -> Option<String> {
    let words: Vec<&str> = proof.split(' ').collect();
    let after = |flag: &str| {
        let at = words.iter().position(|word| *word == flag)?;
        words.get(at + 1).copied()
    };
    let missing = |path: String| (!root().join(&path).exists()).then(|| format!("no {path}"));
    match words.as_slice() {
        ["cargo", "xtask", command, ..] => {
            let known = file("xtask/src/main.rs").contains(&format!("[\"{command}\", "));
            (!known).then(|| format!("no command `{command}` of xtask"))
        }
        ["cargo", "test" | "run", ..] => {
            let package = after("-p")?.strip_prefix("tidegate-").unwrap_or_default();
            let test = after("--test").map(|test| {
                let path = format!("crates/{package}/tests/{test}.rs");
                let main = format!("crates/{package}/tests/{test}/main.rs");
                missing(path).and_then(|_| missing(main))
            });
            let example = after("--example")
                .map(|example| missing(format!("crates/{package}/examples/{example}.rs")));
            test.or(example).unwrap_or_else(|| Some("names neither test nor example".to_owned()))
        }
        ["tidegate", command, ..] => missing(format!("crates/cli/src/{command}.rs")),
        [path] if path.contains('/') => missing((*path).to_owned()),
        [name] => (!tests.contains(*name)).then(|| format!("no test `{name}`")),
        _ => Some("neither a test, a command nor a path".to_owned()),
    }
}

#[test]
fn every_feature_has_one_line_in_its_order() {
    let ids: Vec<String> = rows().into_iter().map(|(id, ..)| id).collect();
    let owed: Vec<String> = AREAS
        .iter()
        .flat_map(|(area, count)| (1..=*count).map(move |n| format!("{area}{n}")))
        .collect();
    assert_eq!(ids, owed);
}

#[test]
fn every_feature_names_what_shows_it_or_says_not_yet() {
    for (id, what, shown) in rows() {
        let says = quoted(&shown).next().is_some() || shown.contains("not yet");
        assert!(says && !what.is_empty(), "{id} says neither what shows it nor `not yet`");
    }
}

#[test]
fn every_test_and_command_that_the_features_name_exists() {
    let tests = tests();
    let mut faults = Vec::new();
    for (id, _, shown) in rows() {
        let of = quoted(&shown).filter_map(|proof| fault(proof, &tests));
        faults.extend(of.map(|fault| format!("{id}: {fault}")));
    }
    assert!(faults.is_empty(), "FEATURES.md names what is not there:\n{}", faults.join("\n"));
}

#[test]
fn a_proof_that_is_not_there_is_found() {
    let tests = tests();
    assert_eq!(fault("a_proof_that_is_not_there_is_found", &tests), None);
    assert_eq!(fault("cargo xtask peers limiter", &tests), None);
    assert_eq!(fault("cargo test -p tidegate-telemetry --test prometheus", &tests), None);
    for wrong in [
        "no_such_test",
        "cargo xtask fly",
        "cargo test -p tidegate-telemetry --test prometeus",
        "cargo run -p tidegate-workflow --example none",
        "examples/none.yaml",
        "tidegate fly",
        "every_feature_has_one_line_in_its_order with more words",
    ] {
        assert!(fault(wrong, &tests).is_some(), "`{wrong}` is taken for a proof");
    }
}
