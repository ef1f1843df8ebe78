//! Reading a journal, whole, damaged, or still being written.

use std::fmt;

use super::frame;
use super::record::Record;

/// What a journal's bytes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Every record before the first damage.
    pub records: Vec<Record>,
    /// Where the last of them ends, in bytes.
    pub len: u64,
    /// What comes after them, other than zeros to the end: those are room for more. In a journal that is being written, a
    /// torn tail is a record on its way.
    pub tail: Option<Tail>,
}

/// Bytes that are no record, or stand behind such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Where they begin.
    pub at: u64,
    /// How many they are.
    pub bytes: u64,
    /// What is wrong with the first of them.
    pub damage: Damage,
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is shorter than it says: its writer stopped half way.
    Torn,
    /// Its checksum is wrong.
    Corrupt,
    /// It is intact, and not a record that this version knows.
    Unknown,
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, bytes, damage } = self;
        let damage = match damage {
            Damage::Torn => "a record that was not written to its end",
            Damage::Corrupt => "a record whose checksum is wrong",
            Damage::Unknown => "a record of a kind that this version does not know",
        };
        write!(f, "{bytes} bytes from byte {at} on, which begin with {damage}")
    }
}

/// Reads as far as each record is intact (invariant 1); it reads a file that is being written as well.
///
/// # Errors
/// When `bytes` do not begin with the header of a journal of this version.
pub fn scan(bytes: &[u8]) -> Result<Scan, NotAJournal> {
    if !bytes.starts_with(&frame::HEADER) {
        return Err(NotAJournal { len: bytes.len() as u64 });
    }
    let (mut records, mut at) = (Vec::new(), frame::HEADER.len());
    let mut tail = None;
    // No record begins with a zero, so that the first byte tells, except at the end.
    while bytes[at..].iter().any(|byte| *byte != 0) {
        match frame::read(bytes, at) {
            Ok((record, next)) => {
                records.push(record);
                at = next;
            }
            Err(damage) => {
                tail = Some(Tail { at: at as u64, bytes: (bytes.len() - at) as u64, damage });
                break;
            }
        }
    }
    Ok(Scan { records, len: at as u64, tail })
}

/// The bytes do not begin with a journal's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAJournal {
    /// How many bytes there are.
    pub len: u64,
}

impl fmt::Display for NotAJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes that do not begin with the header of a journal of version 1", self.len)
    }
}

impl std::error::Error for NotAJournal {}
