//! The hash of label values: seeded, since values may come from whoever attacks, and quick on short strings.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Hashes label values by folded multiplication, as wyhash and foldhash do it.
///
/// The pieces of a value are multiplied apart from each other, each with keys of its own, and only then put together:
/// a processor multiplies them at the same time, where a chain would wait for each product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hasher {
    keys: [u64; 4],
}

impl Hasher {
    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        Self { keys: std::array::from_fn(|i| random.hash_one(i)) }
    }

    /// Depends on each value, its length and its place.
    #[inline]
    pub(crate) fn hash(&self, values: &[&str]) -> u64 {
        values.iter().fold(0, |hash, value| hash.rotate_left(29) ^ self.one(value.as_bytes()))
    }

    #[inline]
    fn one(&self, bytes: &[u8]) -> u64 {
        let [a, b, c, d] = self.keys;
        // The last words may overlap those before, which the length tells apart.
        let b = b ^ bytes.len() as u64;
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            let ([w, x], [y, z]) = (words(first), words(last));
            let ends = fold(w ^ a, x ^ b) ^ fold(y ^ c, z ^ d);
            if bytes.len() > 32 { ends ^ self.middle(&bytes[16..bytes.len() - 16]) } else { ends }
        } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            fold(u64::from_le_bytes(*first) ^ a, u64::from_le_bytes(*last) ^ b)
        } else {
            fold(short(bytes) ^ a, b)
        }
    }

    /// What lies between the first and the last two words of a long value.
    fn middle(&self, bytes: &[u8]) -> u64 {
        let [.., c, d] = self.keys;
        let (words, rest) = bytes.as_chunks::<8>();
        let of = |hash: u64, word: u64| fold(hash ^ word, d) ^ c;
        let hash = words.iter().fold(d, |hash, word| of(hash, u64::from_le_bytes(*word)));
        of(hash, short(rest))
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Up to seven bytes in one word: with the same length, the same word means the same bytes.
#[inline]
pub(crate) fn short(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        _ => match bytes {
            [] => 0,
            [first, ..] => {
                let (middle, last) = (bytes[bytes.len() / 2], bytes[bytes.len() - 1]);
                u64::from(u32::from_le_bytes([*first, middle, last, 0]))
            }
        },
    }
}

#[inline]
fn words(bytes: &[u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(*bytes);
    [both as u64, (both >> 64) as u64]
}

#[cfg(test)]
mod tests;
