//! Length, checksum, record: values in, values out.

use std::fmt;

use super::record::Record;
use super::scan::Damage;

/// Length and checksum.
const PREFIX: usize = 8;

/// The largest record, encoded: 64 MiB. A length above it is damage, not a record.
const MAX: usize = 64 << 20;

/// The largest output of a task: beside it a record holds a few numbers.
pub(crate) const MAX_OUTPUT: usize = MAX - 1024;

/// Magic, version 1 and the CRC-32 of both.
pub(super) const HEADER: [u8; 16] = *b"TIDEGATEjnl\x01\x75\xAC\x4C\x84";

/// Appends the frame of `record` to `batch`, which will stand at `base` in the store.
pub(super) fn push(batch: &mut Vec<u8>, base: u64, record: &Record) -> Result<(), TooLarge> {
    let start = batch.len();
    batch.extend_from_slice(&[0; PREFIX]);
    let written = postcard::to_io(record, &mut *batch);
    written
        .expect("a vector takes every byte, and records hold nothing that postcard cannot write");
    let len = batch.len() - start - PREFIX;
    if len > MAX {
        batch.truncate(start);
        return Err(TooLarge { len });
    }
    let length = u32::try_from(len).expect("64 MiB are below 2^32").to_le_bytes();
    let sum = checksum(base + start as u64, length, &batch[start + PREFIX..]);
    batch[start..start + 4].copy_from_slice(&length);
    batch[start + 4..start + PREFIX].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// The record at `at`, and where the next one begins.
pub(super) fn read(bytes: &[u8], at: usize) -> Result<(Record, usize), Damage> {
    let (prefix, rest) = bytes[at..].split_first_chunk::<PREFIX>().ok_or(Damage::Torn)?;
    let [l0, l1, l2, l3, c0, c1, c2, c3] = *prefix;
    let length = [l0, l1, l2, l3];
    let len = u32::from_le_bytes(length) as usize;
    if len > MAX {
        return Err(Damage::Corrupt);
    }
    let payload = rest.get(..len).ok_or(Damage::Torn)?;
    if checksum(at as u64, length, payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(Damage::Corrupt);
    }
    match postcard::take_from_bytes(payload) {
        Ok((record, [])) => Ok((record, at + PREFIX + len)),
        Ok(_) | Err(_) => Err(Damage::Unknown),
    }
}

fn checksum(at: u64, length: [u8; 4], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&at.to_le_bytes());
    sum.update(&length);
    sum.update(payload);
    sum.finalize()
}

/// A record of more than 64 MiB: keep its value elsewhere, and its place in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// Its length, in bytes.
    pub len: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a record of {} bytes, and a journal takes at most {MAX}", self.len)
    }
}

impl std::error::Error for TooLarge {}
