//! Where those who wait are kept: slots in blocks of 512, found by index, that come and go with the crowd.
//!
//! A slot never moves, for its owner knows it by index. A new one is the lowest that is free, so that the living gather in the
//! first blocks, and a block whose last slot is vacated goes back to the allocator: after a peak the memory is back once
//! those who came during it have gone, however many have come since.

use std::task::Waker;

use super::{NIL, Oversize};

/// Slots in a row: as many as a word has bits.
const ROW: usize = 64;

/// Slots in a block, 16 KiB: what is asked of the allocator at a time. With smaller ones glibc spends more on joining the
/// pieces that come back than the queue does on everything else.
const BLOCK: usize = ROWS * ROW;
const ROWS: usize = 8;

/// Blocks that are kept once they were needed, so that a small queue costs the allocator nothing.
const KEPT: usize = 2;

/// What became of a request so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Free,
    Waiting,
    Granted,
    Refused,
    Closed,
}

/// A request with its neighbours in the order of arrival. Aligned, so that it lies on one cache line; plain fields, for an
/// enum with fields is copied in pieces that the processor has to wait for.
#[derive(Debug)]
#[repr(align(32))]
pub(super) struct Slot {
    /// Of whoever waits.
    pub(super) waker: Option<Waker>,
    pub(super) prev: u32,
    pub(super) next: u32,
    /// What is asked for; once refused, the limit that refused it.
    pub(super) weight: u32,
    pub(super) state: State,
    pub(super) oversize: Oversize,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Slot>() == 32);

impl Slot {
    const FREE: Self = Self {
        waker: None,
        prev: NIL,
        next: NIL,
        weight: 0,
        state: State::Free,
        oversize: Oversize::Refuse,
    };
}

type Block = Box<[Slot; BLOCK]>;

#[derive(Debug)]
pub(super) struct Slots {
    blocks: Vec<Option<Block>>,
    /// Of each row, a set bit for each slot that is free; all set where there is no block.
    free: Vec<u64>,
    /// No row before this one has a free slot.
    lowest: usize,
    /// The block that was vacated last, for the next that is needed: a queue whose length wavers about a multiple of 512
    /// does not ask the allocator each time.
    spare: Option<Block>,
}

impl Slots {
    pub(super) const fn new() -> Self {
        Self { blocks: Vec::new(), free: Vec::new(), lowest: 0, spare: None }
    }

    /// Puts a request into the lowest slot that is free.
    #[inline]
    pub(super) fn insert(&mut self, slot: Slot) -> u32 {
        let row = match self.free.get(self.lowest) {
            Some(free) if *free != 0 => self.lowest,
            _ => self.open(),
        };
        let bit = self.free[row].trailing_zeros();
        self.free[row] &= self.free[row] - 1;
        let at = (row * ROW) as u32 + bit;
        *self.get_mut(at) = slot;
        at
    }

    /// Finds the lowest row with a free slot, or makes one.
    #[cold]
    fn open(&mut self) -> usize {
        let from = self.lowest.min(self.free.len());
        let found = self.free[from..].iter().position(|free| *free != 0).map(|at| from + at);
        let row = found.unwrap_or(self.free.len());
        assert!(row < NIL as usize / ROW, "fewer than 2^32 - 1 requests");
        if row == self.free.len() {
            self.blocks.push(None);
            self.free.extend([u64::MAX; ROWS]);
        }
        let block = &mut self.blocks[row / ROWS];
        *block = block.take().or_else(|| self.spare.take()).or_else(|| Some(vacant()));
        self.lowest = row;
        row
    }

    /// Vacates a slot, which holds no waker any more.
    #[inline]
    pub(super) fn remove(&mut self, at: u32) {
        self.get_mut(at).state = State::Free;
        let row = at as usize / ROW;
        self.free[row] |= 1 << (at as usize % ROW);
        self.lowest = self.lowest.min(row);
        if self.free[row] == u64::MAX && KEPT * ROWS <= row {
            self.vacate(row / ROWS);
        }
    }

    /// Gives a block back if nobody is left in it.
    #[cold]
    fn vacate(&mut self, block: usize) {
        let rows = &self.free[block * ROWS..][..ROWS];
        if rows.iter().any(|free| *free != u64::MAX) {
            return;
        }
        let vacant = self.blocks[block].take();
        self.spare = self.spare.take().or(vacant);
        // The table shrinks from its end, and its own memory goes when three quarters of it are of no use.
        while KEPT < self.blocks.len() && self.blocks.last().is_some_and(Option::is_none) {
            self.blocks.pop();
        }
        self.free.truncate(self.blocks.len() * ROWS);
        if self.blocks.len() < self.blocks.capacity() / 4 {
            self.blocks.shrink_to(self.blocks.len() * 2);
            self.free.shrink_to(self.free.len() * 2);
        }
        // `lowest` may now be the end, where `open` makes a block.
        self.lowest = self.lowest.min(self.free.len());
    }

    #[inline]
    pub(super) fn get(&self, at: u32) -> &Slot {
        let block = self.blocks[at as usize / BLOCK].as_ref();
        &block.expect("whoever knows a slot owns it")[at as usize % BLOCK]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> &mut Slot {
        let block = self.blocks[at as usize / BLOCK].as_mut();
        &mut block.expect("whoever knows a slot owns it")[at as usize % BLOCK]
    }

    /// All that are not free, with their indices, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Slot)> {
        let blocks = self.blocks.iter().enumerate();
        let slots = blocks.flat_map(|(at, block)| {
            let slots = block.iter().flat_map(|block| block.iter());
            slots.enumerate().map(move |(bit, slot)| ((at * BLOCK + bit) as u32, slot))
        });
        slots.filter(|(_, slot)| slot.state != State::Free)
    }

    /// How many slots there is memory for.
    pub(super) fn capacity(&self) -> usize {
        let blocks = self.blocks.iter().flatten().count() + usize::from(self.spare.is_some());
        blocks * BLOCK
    }

    /// One more than the highest index in use.
    pub(super) fn end(&self) -> usize {
        self.blocks.len() * BLOCK
    }
}

fn vacant() -> Block {
    let slots: Box<[Slot]> = (0..BLOCK).map(|_| Slot::FREE).collect();
    slots.try_into().expect("a block's worth of slots")
}
