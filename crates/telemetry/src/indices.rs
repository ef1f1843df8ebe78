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
