//! Which cells are free.
//!
//! ```text
//! index:  free --allocate--> in use --release (cells zeroed)--> free      (the mutex around it carries the hand-over)
//! ```

use crate::sync::{CHUNK, CHUNKS};

/// Which indices are free.
#[derive(Debug, Default)]
pub(crate) struct Indices {
    next: u32,
    /// Released runs: their width and where they start.
    free: Vec<(u32, Vec<u32>)>,
}

impl Indices {
    pub(crate) const fn new() -> Self {
        Self { next: 0, free: Vec::new() }
    }

    /// A run of `width` cells that lies within one chunk; `None` when all are in use.
    pub(crate) fn allocate(&mut self, width: u32) -> Option<u32> {
        if let Some(start) = self.list(width).pop() {
            return Some(start);
        }
        let rest = CHUNK as u32 - self.next % CHUNK as u32;
        if rest < width {
            // What is left of the chunk serves counters.
            let (from, to) = (self.next, self.next + rest);
            self.list(1).extend(from..to);
            self.next = to;
        }
        let end = self.next + width;
        (end as usize <= CHUNK * CHUNKS).then(|| std::mem::replace(&mut self.next, end))
    }

    /// Takes a run back whose cells are zero.
    pub(crate) fn release(&mut self, start: u32, width: u32) {
        self.list(width).push(start);
    }

    fn list(&mut self, width: u32) -> &mut Vec<u32> {
        let at = self.free.iter().position(|(w, _)| *w == width).unwrap_or_else(|| {
            self.free.push((width, Vec::new()));
            self.free.len() - 1
        });
        &mut self.free[at].1
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_came_back_is_given_again_to_the_same_width() {
        let mut indices = Indices::new();
        let first = indices.allocate(3).unwrap();
        indices.release(first, 3);
        assert_ne!(indices.allocate(2), Some(first));
        assert_eq!(indices.allocate(3), Some(first));
        assert_ne!(indices.allocate(3), Some(first), "it is in use");
    }

    #[test]
    fn no_run_crosses_a_chunk_and_what_is_left_serves_counters() {
        let mut indices = Indices::new();
        let chunk = CHUNK as u32;
        assert_eq!(indices.allocate(chunk - 3), Some(0));
        assert_eq!(indices.allocate(4), Some(chunk));
        let mut rest: Vec<u32> = (0..3).filter_map(|_| indices.allocate(1)).collect();
        rest.sort_unstable();
        assert_eq!(rest, [chunk - 3, chunk - 2, chunk - 1]);
    }

    #[test]
    fn there_are_as_many_cells_as_chunks_hold() {
        let mut indices = Indices::new();
        for chunk in 0..CHUNKS as u32 {
            assert_eq!(indices.allocate(CHUNK as u32), Some(chunk * CHUNK as u32));
        }
        assert_eq!(indices.allocate(1), None);
    }
}
