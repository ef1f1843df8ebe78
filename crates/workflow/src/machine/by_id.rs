//! A map from numbers of ours to what is kept of them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::RunId;

/// What has a number is numbered by us, one after another: nobody can choose ids that collide, so that one multiplication will do.
pub(crate) type ById<T, I = RunId> = HashMap<I, T, BuildHasherDefault<Multiply>>;

/// Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4).
#[derive(Debug, Default)]
pub(crate) struct Multiply(u64);

impl Hasher for Multiply {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // The upper bits are the mixed ones, and the table takes its place from the lower ones.
        self.0.rotate_left(32)
    }
}
