//! The hash of label values: seeded, since values may come from whoever attacks, and quick on short strings.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Hashes label values by folded multiplication, as wyhash and foldhash do it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hasher {
    seed: u64,
    key: u64,
}

impl Hasher {
    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        Self { seed: random.hash_one(1_u8), key: random.hash_one(2_u8) | 1 }
    }

    /// Depends on each value, its length and its place.
    #[inline]
    pub(crate) fn hash(&self, values: &[&str]) -> u64 {
        let hash = values.iter().fold(self.seed, |hash, value| self.one(hash, value.as_bytes()));
        fold(hash, self.key)
    }

    #[inline]
    fn one(&self, hash: u64, bytes: &[u8]) -> u64 {
        let len = bytes.len();
        let mut hash = hash ^ (len as u64);
        if len >= 8 {
            // Two words at a time, of which the last may overlap those before.
            let mut rest = bytes;
            while rest.len() > 16 {
                hash = fold(hash ^ u64_at(rest, 0), self.key ^ u64_at(rest, 8));
                rest = &rest[16..];
            }
            let first = if rest.len() >= 8 { u64_at(rest, 0) } else { 0 };
            fold(hash ^ first, self.key ^ u64_at(bytes, len - 8))
        } else {
            fold(hash ^ short(bytes), self.key)
        }
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Up to seven bytes in one word: with the same length, the same word means the same bytes.
#[inline]
pub(crate) fn short(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    if len >= 4 {
        u64::from(u32_at(bytes, 0)) | u64::from(u32_at(bytes, len - 4)) << 32
    } else if len > 0 {
        u64::from(u32::from_le_bytes([bytes[0], bytes[len / 2], bytes[len - 1], 0]))
    } else {
        0
    }
}

#[inline]
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}
