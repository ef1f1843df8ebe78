//! Which names there are, and which one may have been meant.

use crate::config::schema::{KEYS, OTHER_PATHS, fits};
use crate::nearest::nearest;

/// What a value under another design's path means under ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Same,
    /// Yes is no.
    Contrary,
    /// One is to be added: where we count attempts, some count those after the first.
    OneMore,
}

/// Our own path for one of another design, and what a value means there.
pub(super) fn translated(path: &str) -> (String, Meaning) {
    let Some((form, to)) = OTHER_PATHS.iter().find(|(form, _)| fits(form, path)) else {
        return (path.to_owned(), Meaning::Same);
    };
    let name = form
        .split_once('*')
        .and_then(|(before, after)| path.strip_prefix(before)?.strip_suffix(after));
    let (to, meaning) = match to.split_at(1) {
        ("!", to) => (to, Meaning::Contrary),
        ("+", to) => (to, Meaning::OneMore),
        _ => (*to, Meaning::Same),
    };
    (to.replace('*', name.unwrap_or_default()), meaning)
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    Setting,
    Section,
    Not,
}

fn forms() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.path).chain(OTHER_PATHS.iter().map(|(form, _)| *form))
}

/// Whether the parts of a form are these, as far as they go; and how many it has.
fn begins(form: &str, path: &[&str]) -> bool {
    let mut parts = form.split('.');
    path.iter().all(|part| parts.next().is_some_and(|of| of == "*" || of == *part))
}

pub(super) fn known(path: &[&str]) -> Known {
    let mut known = Known::Not;
    for form in forms().filter(|form| begins(form, path)) {
        if form.split('.').count() == path.len() {
            return Known::Setting;
        }
        known = Known::Section;
    }
    known
}

/// What may stand at the end of this path, of our own names.
pub(super) fn siblings(path: &[&str]) -> Vec<&'static str> {
    let parts = KEYS.iter().map(|key| key.path).filter(|form| begins(form, path));
    let mut names: Vec<&str> = parts.filter_map(|form| form.split('.').nth(path.len())).collect();
    names.dedup();
    names
}

pub(super) fn list(names: &[&str]) -> String {
    match names {
        ["*"] => "names".to_owned(),
        names => format!("`{}`", names.join("`, `")),
    }
}

/// What may have been meant.
pub(super) fn near(path: &[&str]) -> Option<String> {
    let (last, before) = path.split_last()?;
    let all = forms().filter(|form| begins(form, before));
    let here = all.filter_map(|form| form.split('.').nth(before.len())).filter(|name| *name != "*");
    if let Some(name) = nearest(last, here) {
        let whole: Vec<&str> = before.iter().copied().chain([name]).collect();
        return Some(format!("did you mean `{}`?", whole.join(".")));
    }
    let elsewhere = KEYS.iter().find(|key| key.path.rsplit('.').next() == Some(*last))?;
    Some(format!("it stands at `{}`", elsewhere.path.replace('*', "NAME")))
}
