//! Numbers for names.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

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
        let half = self.half(id);
        let is_it = |of: &(u32, u32)| of.0 == half && id_at(of.1) == id;
        self.table.find(spread(half), is_it).map(|(_, place)| *place)
    }

    /// The place of an id, or as an error the next one, which is its own from now on.
    pub(crate) fn get_or_add<'a>(
        &mut self,
        id: &str,
        id_at: impl Fn(u32) -> &'a str,
    ) -> Result<u32, u32> {
        let next = u32::try_from(self.table.len()).expect("a graph has fewer than 2^32 tasks");
        let half = self.half(id);
        let is_it = |of: &(u32, u32)| of.0 == half && id_at(of.1) == id;
        match self.table.entry(spread(half), is_it, |(half, _)| spread(*half)) {
            Entry::Occupied(of) => Ok(of.get().1),
            Entry::Vacant(free) => {
                free.insert((half, next));
                Err(next)
            }
        }
    }

    fn half(&self, id: &str) -> u32 {
        // The lower half is as good as the upper.
        self.hasher.hash_one(id) as u32
    }
}

/// A hash of 64 bits, since the table takes its place from one end and its tag from the other.
fn spread(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}
