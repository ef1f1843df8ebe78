//! Numbers for names.

use std::hash::{BuildHasher, Hasher};

use hashbrown::HashTable;

/// The places of ids, in the order in which they were first named. The ids themselves are kept where the places are: whoever
/// looks one up says what stands at a place.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Each with a half of its id's hash, so that growing reads no ids.
    table: HashTable<(u32, u32)>,
    /// Seeded at random, and far cheaper on short ids than the standard library's.
    hasher: foldhash::quality::RandomState,
}

impl Places {
    pub(crate) fn get<'a>(&self, id: &str, id_at: impl Fn(u32) -> &'a str) -> Option<u32> {
        self.find(self.half(id), id, id_at)
    }

    /// The place of an id, or as an error the next one, which is its own from now on.
    pub(crate) fn get_or_add<'a>(
        &mut self,
        id: &str,
        id_at: impl Fn(u32) -> &'a str,
    ) -> Result<u32, u32> {
        let half = self.half(id);
        if let Some(known) = self.find(half, id, id_at) {
            return Ok(known);
        }
        let next = u32::try_from(self.table.len()).expect("a graph has fewer than 2^32 tasks");
        self.table.insert_unique(spread(half), (half, next), |(half, _)| spread(*half));
        Err(next)
    }

    fn find<'a>(&self, half: u32, id: &str, id_at: impl Fn(u32) -> &'a str) -> Option<u32> {
        let is_it = |of: &(u32, u32)| of.0 == half && is_same(id_at(of.1), id);
        self.table.find(spread(half), is_it).map(|(_, place)| *place)
    }

    fn half(&self, id: &str) -> u32 {
        // The lower half is as good as the upper.
        let mut hasher = self.hasher.build_hasher();
        hasher.write(id.as_bytes());
        hasher.finish() as u32
    }
}

/// Whether these are one text: mostly one and the same, handed on.
pub(crate) fn is_same(a: &str, b: &str) -> bool {
    std::ptr::eq(a, b) || a == b
}

/// A hash of 64 bits, since the table takes its place from one end and its tag from the other.
fn spread(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}
