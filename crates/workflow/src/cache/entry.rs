//! A result as a file: values in, values out.
//!
//! Magic and version, half a BLAKE3 digest of all that follows, a header in postcard, the value.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Magic and version 1.
const MAGIC: [u8; 8] = *b"TIDEres\x01";

/// How many bytes of the digest are kept: damage goes unnoticed once in 2^128.
const SUM: usize = 16;

/// LZ4 makes nothing smaller than this many times.
const PACKS_TO: usize = 256;

/// What a result says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The digest of its key.
    pub(super) key: [u8; 32],
    /// Its type, as the compiler calls it.
    pub(super) of: String,
    pub(super) tags: Vec<String>,
    /// The list of invalidations that its number is of.
    pub(super) epoch: u64,
    /// The last invalidation that its computation can have seen.
    pub(super) seen: u64,
    /// When it was computed, in milliseconds since 1970.
    pub(super) since_1970_ms: u64,
}

impl Header {
    /// How old it is; `None` if it is too old, or from a time that is still to come.
    pub(super) fn age(&self, now_ms: u64, limit: Option<Duration>) -> Option<Duration> {
        let Some(limit) = limit else { return Some(Duration::ZERO) };
        let age = Duration::from_millis(now_ms.checked_sub(self.since_1970_ms)?);
        (age < limit).then_some(age)
    }
}

/// The file of a value; one of more than `compress_above` bytes is compressed if it gets smaller by that.
pub(super) fn encode(
    header: &Header,
    value: &[u8],
    compress_above: usize,
) -> Result<Vec<u8>, postcard::Error> {
    let packed = (compress_above < value.len()).then(|| lz4_flex::block::compress(value));
    let packed = packed.filter(|packed| packed.len() < value.len());
    let unpacked_len = packed.is_some().then_some(value.len() as u64);
    let mut file = Vec::with_capacity(value.len().min(1 << 20) + 256);
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&[0; SUM]);
    let mut file = postcard::to_extend(&(header, unpacked_len), file)?;
    file.extend_from_slice(packed.as_deref().unwrap_or(value));
    let (head, rest) = file.split_at_mut(MAGIC.len() + SUM);
    head[MAGIC.len()..].copy_from_slice(&blake3::hash(rest).as_bytes()[..SUM]);
    Ok(file)
}

/// What a file says; `None` if it is not whole.
pub(super) fn decode(file: &[u8]) -> Option<(Header, Vec<u8>)> {
    let rest = file.strip_prefix(&MAGIC)?;
    let (sum, rest) = rest.split_first_chunk::<SUM>()?;
    if blake3::hash(rest).as_bytes()[..SUM] != *sum {
        return None;
    }
    let ((header, unpacked_len), value) =
        postcard::take_from_bytes::<(Header, Option<u64>)>(rest).ok()?;
    let Some(len) = unpacked_len else { return Some((header, value.to_vec())) };
    let len = usize::try_from(len).ok().filter(|len| len / PACKS_TO <= value.len())?;
    let value = lz4_flex::block::decompress(value, len).ok()?;
    (value.len() == len).then_some((header, value))
}

#[cfg(test)]
mod tests;
