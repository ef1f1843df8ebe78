//! Exemplars: the trace of one observation, shown beside the bucket it fell into. OpenMetrics only.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::labels::write_label;
use crate::name::is_label_name;
use crate::number::write_f64;

/// Code points that the labels of an exemplar may have in all.
const MAX_CHARS: usize = 128;

/// The latest exemplar of each cell: few cells have one, so that none pays for the place.
static LATEST: RwLock<BTreeMap<u32, Box<[u8]>>> = RwLock::new(BTreeMap::new());
static HOW_MANY: AtomicUsize = AtomicUsize::new(0);

/// Why an exemplar was refused; the count or observation that it came with was made nevertheless.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExemplarError {
    /// A label name cannot be used, or comes twice.
    Label(String),
    /// The value of this label has a quote: allowed by the format, but Python's parser refuses the whole scrape for it.
    Quote(String),
    /// The labels have more than 128 code points, names and values together.
    TooLong(usize),
}

impl fmt::Display for ExemplarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => {
                write!(f, "exemplar label {label:?} is no label name or comes twice")
            }
            Self::Quote(label) => write!(f, "the value of exemplar label {label:?} has a quote"),
            Self::TooLong(chars) => {
                write!(f, "exemplar labels have {chars} code points, and may have {MAX_CHARS}")
            }
        }
    }
}

impl std::error::Error for ExemplarError {}

/// Keeps an exemplar for a cell, in place of the one before.
pub(crate) fn keep(cell: u32, labels: &[(&str, &str)], value: f64) -> Result<(), ExemplarError> {
    for (i, (name, value)) in labels.iter().enumerate() {
        if !is_label_name(name) || labels[..i].iter().any(|(other, _)| other == name) {
            return Err(ExemplarError::Label((*name).to_owned()));
        }
        if value.contains('"') {
            return Err(ExemplarError::Quote((*name).to_owned()));
        }
    }
    let chars =
        labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    if chars > MAX_CHARS {
        return Err(ExemplarError::TooLong(chars));
    }
    let mut text = b" # {".to_vec();
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            text.push(b',');
        }
        write_label(&mut text, name, value);
    }
    text.extend_from_slice(b"} ");
    write_f64(&mut text, value);
    if let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) {
        text.push(b' ');
        write_f64(&mut text, (now.as_secs_f64() * 1e3).round() / 1e3);
    }
    let mut latest = LATEST.write().expect("nothing panics while the lock is held");
    latest.insert(cell, text.into());
    // ORDERING: Relaxed; a hint that saves readers the lock, and who kept an exemplar sees it.
    HOW_MANY.store(latest.len(), Ordering::Relaxed);
    Ok(())
}

/// Drops the exemplars of cells that are released.
pub(crate) fn forget(start: u32, width: u32) {
    // ORDERING: Relaxed; as in `keep`.
    if HOW_MANY.load(Ordering::Relaxed) == 0 {
        return;
    }
    let mut latest = LATEST.write().expect("nothing panics while the lock is held");
    for cell in start..start + width {
        latest.remove(&cell);
    }
    // ORDERING: Relaxed; as in `keep`.
    HOW_MANY.store(latest.len(), Ordering::Relaxed);
}

/// Adds the exemplar of a cell, if it has one, to the line that `out` ends with.
#[inline]
pub(crate) fn write(out: &mut Vec<u8>, cell: u32) {
    // ORDERING: Relaxed; as in `keep`.
    if HOW_MANY.load(Ordering::Relaxed) == 0 {
        return;
    }
    if let Some(text) = LATEST.read().expect("nothing panics while the lock is held").get(&cell) {
        out.pop();
        out.extend_from_slice(text);
        out.push(b'\n');
    }
}
