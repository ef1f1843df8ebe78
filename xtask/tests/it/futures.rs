//! Whoever drops a future reads in its docs what that does.

use std::path::{Path, PathBuf};

use crate::root;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("readable").path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some("tests" | "tests.rs") => {}
            _ if path.is_dir() => sources(&path, found),
            Some(name) if name.ends_with(".rs") => found.push(path),
            _ => {}
        }
    }
}

/// Public functions that return a future and do not say what dropping it does, by line from 1.
fn silent(text: &str) -> Vec<usize> {
    let mut says = false;
    let mut found = Vec::new();
    for (at, line) in text.lines().map(str::trim).enumerate() {
        if line.starts_with("///") {
            says |= line == "/// # Cancel safety";
            continue;
        }
        let gives = line.contains("-> impl Future") || line.contains("-> impl std::future::Future");
        if line.starts_with("pub async fn ") || line.starts_with("pub fn ") && gives {
            found.extend((!says).then_some(at + 1));
        }
        says &= line.starts_with("#[");
    }
    found
}

#[test]
fn everything_that_returns_a_future_says_what_dropping_it_does() {
    let mut files = Vec::new();
    for name in ["limiter", "telemetry", "taskgroup", "pools", "workflow"] {
        sources(&root().join("crates").join(name).join("src"), &mut files);
    }
    let mut missing = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable");
        missing.extend(silent(&text).into_iter().map(|line| format!("{}:{line}", file.display())));
    }
    assert!(missing.is_empty(), "no `# Cancel safety`: {missing:#?}");
}

#[test]
fn a_function_without_the_section_is_found_and_one_with_it_is_not() {
    let section = "/// Waits.\n///\n/// # Cancel safety\n/// None.\n#[must_use]\n";
    let text =
        format!("pub async fn a() {{}}\n{section}pub async fn b() {{}}\npub async fn c() {{}}");
    assert_eq!(silent(&text), [1, 8]);
}
