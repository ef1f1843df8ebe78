//! Where those who wait are kept: slots in the order of arrival, in blocks of 64.
//!
//! A place is a number that is handed out once, so the order needs no links: whoever leaves clears a bit and touches no
//! neighbour, and the next in line is the next bit; and a place that nobody owns any more stays known as such. A block whose
//! last request has gone gives its memory back. Where a few that stay long are left over in many blocks, the blocks are
//! [condensed](Blocks::condense) to what is in use.
//!
//! Whoever leaves a long queue leaves its waker behind: the slot is in no cache, and to fetch it would cost more than all the
//! rest of leaving. What is left behind goes with the slots when they are condensed or vacated, many in a row, and outside the
//! lock, where the caller drops the [litter](Litter). So wakers left behind are never more than sixteen for each that waits,
//! and 256.
//!
//! Rejected: a linked list over a slab. Leaving it from the middle writes to two neighbours, each on a cache line of its
//! own, and took twice as many instructions; where the few that stay long are, its blocks can not be given back.

use std::mem;
use std::num::NonZeroU64;
use std::task::Waker;

use super::Oversize;

/// Slots in a block: as many as a word has bits.
const BLOCK: u64 = 64;

/// A queue is condensed when fewer than one in so many of its slots are in use.
const SPARSE: usize = 16;

/// Where there are fewer slots than this, those who leave take their wakers along: the slots are in a core's own cache.
/// loom's models, which have but a few, look at how it is done elsewhere.
const SHORT: usize = if cfg!(loom) { 0 } else { 8192 };

/// Slots for which there is memory in any case once they were needed.
const KEPT: usize = 256;

/// A request's place in the order of arrival. It is the request's own until it is [granted](Blocks::grant),
/// [removed](Blocks::remove), or [left](Blocks::leave), and nobody else's ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(NonZeroU64);

impl Place {
    fn at(place: u64) -> Self {
        Self(NonZeroU64::new(place).expect("places are counted from 64"))
    }

    /// For who comes before which place: the order of the numbers is that of arrival.
    #[inline]
    pub(crate) fn number(self) -> u64 {
        self.0.get()
    }

    #[inline]
    fn block(self) -> u64 {
        self.0.get() / BLOCK
    }

    #[inline]
    fn bit(self) -> u64 {
        1 << (self.0.get() % BLOCK)
    }
}

/// What became of a request so far. One that was granted has no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Refused,
    Closed,
}

/// A request.
#[derive(Debug)]
pub(super) struct Slot {
    /// Of whoever waits.
    pub(super) waker: Option<Waker>,
    /// What is asked for; once refused, the limit that refused it.
    pub(super) weight: u32,
    pub(super) state: State,
    pub(super) oversize: Oversize,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Slot>() == 24);

/// The requests of 64 places, a bit for each.
#[derive(Debug)]
#[repr(align(64))]
struct Block {
    /// Its first place, over 64.
    number: u64,
    /// Those not decided; among those that are owned.
    waiting: u64,
    /// Those not removed; among those that are kept.
    owned: u64,
    /// Those that `slots` has, in order. Until the block is condensed, all that were ever pushed.
    kept: u64,
    slots: Vec<Slot>,
    /// Whether somebody who left has left a waker behind.
    is_littered: bool,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Block>() == 64);

impl Block {
    #[inline]
    fn index(&self, bit: u64) -> usize {
        let before = bit - 1;
        if self.kept & before == before {
            bit.trailing_zeros() as usize
        } else {
            self.condensed_index(bit)
        }
    }

    #[cold]
    #[inline(never)]
    fn condensed_index(&self, bit: u64) -> usize {
        (self.kept & (bit - 1)).count_ones() as usize
    }

    #[inline]
    fn slot(&mut self, bit: u64) -> &mut Slot {
        let at = self.index(bit);
        &mut self.slots[at]
    }

    /// The first place of those.
    #[inline]
    fn first_of(&self, bits: u64) -> Option<Place> {
        let bit = u64::from(bits.trailing_zeros());
        (bits != 0).then(|| Place::at(self.number * BLOCK + bit))
    }

    /// Moves those that are owned to slots of their own.
    fn condense(&mut self, litter: &mut Litter) {
        let mut slots = Vec::with_capacity(self.owned.count_ones() as usize);
        let mut left = self.owned;
        while let Some(place) = self.first_of(left) {
            left ^= place.bit();
            let slot = self.slot(place.bit());
            slots.push(Slot { waker: slot.waker.take(), ..*slot });
        }
        self.kept = self.owned;
        let old = mem::replace(&mut self.slots, slots);
        if mem::take(&mut self.is_littered) {
            litter.0.push(old);
        }
    }
}

/// Wakers that were left behind, in slots that nobody owns. To be dropped outside the lock, for a waker is foreign code.
#[derive(Debug, Default)]
#[must_use = "it is to be dropped outside the lock"]
pub(crate) struct Litter(Vec<Vec<Slot>>);

/// What every request writes comes first, what it reads next, and last what is looked at once for many: see
/// [`Semaphore`](crate::Semaphore) for who shares a cache line.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Blocks {
    /// The next place to hand out: in the last block, or the first of one that is not there yet.
    next: u64,
    /// Undecided.
    waiting: u32,
    /// Refused or closed upon, and not collected yet.
    declined: u32,
    /// By number, which may have gaps. One that nobody is left in has no memory for slots.
    blocks: Vec<Block>,
    /// A block's number less its index, where there is no gap behind it.
    base: u64,
    /// With fewer owned than this, the blocks are [condensed](Self::condense).
    fewest: u32,
    /// So many at the front have nobody left, and are to be dropped.
    vacated: usize,
    /// How many slots the blocks have memory for.
    room: usize,
    /// The memory of a block that was vacated, for the next that is needed.
    spare: Vec<Slot>,
    litter: Litter,
}

impl Blocks {
    pub(super) const fn new() -> Self {
        Self {
            next: BLOCK,
            waiting: 0,
            declined: 0,
            blocks: Vec::new(),
            base: 1,
            fewest: 0,
            vacated: 0,
            room: 0,
            spare: Vec::new(),
            litter: Litter(Vec::new()),
        }
    }

    /// Appends a request that waits.
    #[inline]
    pub(super) fn push(&mut self, slot: Slot) -> Place {
        let place = Place::at(self.next);
        if self.blocks.last().is_none_or(|block| block.number != place.block()) {
            self.open(place.block());
        }
        let block = self.blocks.last_mut().expect("it was opened");
        let bit = place.bit();
        block.slots.push(slot);
        block.kept |= bit;
        block.owned |= bit;
        block.waiting |= bit;
        self.next += 1;
        self.waiting += 1;
        place
    }

    #[cold]
    #[inline(never)]
    fn open(&mut self, number: u64) {
        let mut slots = mem::take(&mut self.spare);
        slots.reserve_exact(BLOCK as usize);
        self.room += slots.capacity();
        let is_littered = false;
        self.blocks.push(Block { number, waiting: 0, owned: 0, kept: 0, slots, is_littered });
        self.indexed();
    }

    #[inline]
    pub(super) fn get_mut(&mut self, place: Place) -> &mut Slot {
        self.block(place).slot(place.bit())
    }

    /// The slot, unless nobody owns that place any more.
    #[inline]
    pub(super) fn owned(&mut self, place: Place) -> Option<&mut Slot> {
        let (at, bit) = (self.locate(place.block())?, place.bit());
        let block = &mut self.blocks[at];
        (block.owned & bit != 0).then(|| block.slot(bit))
    }

    /// The next place to hand out: nobody owns that one or any after it.
    #[inline]
    pub(super) fn next(&self) -> Place {
        Place::at(self.next)
    }

    /// How many wait undecided.
    #[inline]
    pub(super) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// How many were decided against and have not collected.
    #[inline]
    pub(super) fn declined(&self) -> u32 {
        self.declined
    }

    /// The first in line waits no more, and its owner needs its place no more: the waker, and who is first now. `None`, and
    /// nothing has happened, if `is_admitted` says no to its weight.
    #[inline]
    pub(super) fn grant(
        &mut self,
        head: Place,
        is_admitted: impl FnOnce(u32) -> bool,
    ) -> Option<(Option<Waker>, Option<Place>)> {
        let (at, bit) = (self.find(head.block()), head.bit());
        let block = &mut self.blocks[at];
        let slot = block.slot(bit);
        if !is_admitted(slot.weight) {
            return None;
        }
        let waker = slot.waker.take();
        block.waiting &= !bit;
        block.owned &= !bit;
        // Nobody in front of the head waits.
        let next = block.first_of(block.waiting);
        self.waiting -= 1;
        let next = if next.is_some() { next } else { self.granted_last_of_block(at) };
        Some((waker, next))
    }

    #[cold]
    #[inline(never)]
    fn granted_last_of_block(&mut self, at: usize) -> Option<Place> {
        let next = self.next_block_in_line(at + 1);
        self.give_back(at);
        next
    }

    /// It is decided against it: the slot, for the decision, and who waits next in line.
    #[inline]
    pub(super) fn decline(&mut self, place: Place) -> (&mut Slot, Option<Place>) {
        let (at, bit) = (self.find(place.block()), place.bit());
        self.blocks[at].waiting &= !bit;
        self.waiting -= 1;
        self.declined += 1;
        let next = self.next_in_line(at, bit);
        (self.blocks[at].slot(bit), next)
    }

    /// Who waits next in line. The owner of `place` is still there.
    pub(super) fn first_waiting_after(&self, place: Place) -> Option<Place> {
        self.next_in_line(self.find(place.block()), place.bit())
    }

    #[inline]
    fn next_in_line(&self, at: usize, bit: u64) -> Option<Place> {
        let block = &self.blocks[at];
        let next = block.first_of(block.waiting & !(bit | (bit - 1)));
        next.or_else(|| self.next_block_in_line(at + 1))
    }

    /// Each block is passed but once, for those in front wait no more.
    #[cold]
    #[inline(never)]
    fn next_block_in_line(&self, from: usize) -> Option<Place> {
        self.blocks[from..].iter().find_map(|block| block.first_of(block.waiting))
    }

    /// The owner leaves, if it waits still and there are many: its waker stays behind. Whether it did so.
    #[inline]
    pub(super) fn leave_behind(&mut self, place: Place) -> bool {
        if self.room < SHORT {
            return false;
        }
        let Some(at) = self.locate(place.block()) else { return false };
        let (block, bit) = (&mut self.blocks[at], place.bit());
        if block.waiting & bit == 0 {
            return false;
        }
        block.waiting &= !bit;
        block.is_littered = true;
        self.waiting -= 1;
        self.disown(at, bit);
        true
    }

    /// The owner leaves, if it waits still: its waker.
    pub(super) fn leave(&mut self, place: Place) -> Option<Waker> {
        let (at, bit) = (self.locate(place.block())?, place.bit());
        let block = &mut self.blocks[at];
        if block.waiting & bit == 0 {
            return None;
        }
        block.waiting &= !bit;
        let waker = block.slot(bit).waker.take();
        self.waiting -= 1;
        self.disown(at, bit);
        waker
    }

    /// The owner has collected the decision against it, or left after it.
    #[inline]
    pub(super) fn remove(&mut self, place: Place) {
        let at = self.find(place.block());
        self.declined -= 1;
        self.disown(at, place.bit());
    }

    #[inline]
    fn disown(&mut self, at: usize, bit: u64) {
        let block = &mut self.blocks[at];
        block.owned &= !bit;
        if block.owned == 0 || self.waiting + self.declined < self.fewest {
            self.give_back(at);
        }
    }

    /// Gives memory back after someone has left that block.
    #[cold]
    #[inline(never)]
    fn give_back(&mut self, at: usize) {
        if self.blocks[at].owned == 0 {
            self.vacate(at);
        }
        if self.waiting + self.declined < self.fewest {
            self.condense();
        }
    }

    /// Takes the memory of a block that nobody is left in.
    fn vacate(&mut self, at: usize) {
        let block = &mut self.blocks[at];
        let mut slots = mem::take(&mut block.slots);
        self.room -= slots.capacity();
        if mem::take(&mut block.is_littered) {
            self.litter.0.push(mem::take(&mut slots));
        }
        slots.clear();
        if block.number == self.next / BLOCK {
            // Not full yet: the next request takes its first slot again, for that is in a cache, with another number.
            slots.reserve_exact(BLOCK as usize);
            self.room += slots.capacity();
            block.slots = slots;
            block.kept = 0;
            block.number += 1;
            self.next = block.number * BLOCK;
            return self.indexed();
        }
        if self.spare.capacity() < slots.capacity() {
            self.spare = slots;
        }
        let rest = self.blocks[self.vacated..].iter();
        self.vacated += rest.take_while(|block| block.slots.capacity() == 0).count();
        if self.blocks.len() < self.vacated * 2 {
            self.blocks.drain(..self.vacated);
            self.vacated = 0;
        }
        self.indexed();
    }

    /// Gives back what is not in use of blocks that few are left in. It looks at each block, and is due only once one in
    /// sixteen slots is in use; so it costs each request that went but a share.
    fn condense(&mut self) {
        let last = self.next / BLOCK;
        let left = self.blocks.iter().filter(|block| block.owned != 0).count();
        if left * 2 < self.blocks.len() {
            // Otherwise the gaps would cost more to look over than they take.
            self.blocks.retain(|block| block.owned != 0 || block.number == last);
            self.vacated = 0;
        }
        let condensed = self.blocks.iter_mut().filter(|block| block.number != last);
        condensed.for_each(|block| block.condense(&mut self.litter));
        self.room = self.blocks.iter().map(|block| block.slots.capacity()).sum();
        self.blocks.shrink_to(self.blocks.len() * 2);
        self.indexed();
    }

    /// Whether there is any to [take](Self::take_litter).
    #[inline]
    pub(super) fn has_litter(&self) -> bool {
        !self.litter.0.is_empty()
    }

    /// What was left behind since the last time.
    pub(super) fn take_litter(&mut self) -> Litter {
        mem::take(&mut self.litter)
    }

    /// The numbers that depend on which blocks there are.
    fn indexed(&mut self) {
        let last = self.blocks.last().map_or(0, |block| block.number);
        self.base = (last + 1).saturating_sub(self.blocks.len() as u64);
        self.fewest = ((self.room + self.blocks.len()).saturating_sub(KEPT) / SPARSE) as u32;
    }

    /// How many slots there is memory for.
    pub(super) fn capacity(&self) -> usize {
        self.room + self.spare.capacity()
    }

    #[inline]
    fn block(&mut self, place: Place) -> &mut Block {
        let at = self.find(place.block());
        &mut self.blocks[at]
    }

    /// The index of the block with this number; its owner knows that it is there.
    #[inline]
    fn find(&self, number: u64) -> usize {
        self.locate(number).expect("a place in it is owned")
    }

    #[inline]
    fn locate(&self, number: u64) -> Option<usize> {
        let guess = number.wrapping_sub(self.base) as usize;
        match self.blocks.get(guess) {
            Some(block) if block.number == number => Some(guess),
            _ => self.search(number),
        }
    }

    #[cold]
    #[inline(never)]
    fn search(&self, number: u64) -> Option<usize> {
        self.blocks.binary_search_by_key(&number, |block| block.number).ok()
    }
}
