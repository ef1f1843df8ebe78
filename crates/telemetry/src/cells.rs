//! Counting without contention: every thread adds to cells of its own, and a reader adds the threads up.
//!
//! A locked read-modify-write is what makes a counter slow, also without contention. Whoever owns a cell alone needs
//! none: it loads, adds and stores.
//!
//! Invariants (who may write when is up to [`slots`](crate::slots) and [`indices`](crate::indices)):
//! 1. The cells of a slot are written by the thread that took it, and by nobody else while it has it.
//! 2. A new owner of a slot goes on from the values that the last one left: a hand-over loses nothing.
//! 3. An index is released only when no handle to it is left, so nobody writes a cell while it is zeroed, and the
//!    next owner of the index got its handle after that.
//! 4. The set that threads without a slot share is written by read-modify-write only.

use crate::sync::{AtomicU64, CHUNK, CHUNKS, OnceLock, Ordering, SPINS, fence, yield_now};

/// First cell of a histogram: odd while its thread writes.
const SEQUENCE: usize = 0;
/// Second cell: the sum of observations, as the bits of a float.
const SUM: usize = 1;
/// From here on: one cell a bucket.
pub(crate) const BUCKETS: usize = 2;

/// The cells of one thread, allocated in chunks as they are touched.
#[derive(Debug)]
pub(crate) struct Cells {
    chunks: Chunks,
}

/// Chunks that are made when they are touched.
type Chunks = [OnceLock<Box<[AtomicU64; CHUNK]>>; CHUNKS];

impl Cells {
    /// From chunks that are empty, which a model cannot make in a constant.
    pub(crate) const fn new(chunks: Chunks) -> Self {
        Self { chunks }
    }

    /// Adds to a counter whose cells only this thread writes.
    #[inline]
    pub(crate) fn add(&self, index: u32, n: u64) {
        let Some(cell) = self.peek(index) else { return self.add_first(index, n) };
        // ORDERING: Relaxed, both; invariant 1 makes the pair exclusive, and a reader wants no other memory with it.
        cell.store(cell.load(Ordering::Relaxed).saturating_add(n), Ordering::Relaxed);
    }

    /// [`add`](Self::add) where the chunk may be missing; apart and last in its caller, so that the usual way is a leaf.
    #[cold]
    #[inline(never)]
    fn add_first(&self, index: u32, n: u64) {
        self.run(index);
        self.add(index, n);
    }

    /// Adds to a counter in the set that many threads write.
    pub(crate) fn add_shared(&self, index: u32, n: u64) {
        // ORDERING: Relaxed; as `add`, and invariant 4 makes it atomic.
        let _ = self.run(index)[0]
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |v| Some(v.saturating_add(n)));
    }

    /// Adds to a counter of fractions whose cells only this thread writes; such a cell holds the bits of a float.
    #[inline]
    pub(crate) fn add_float(&self, index: u32, amount: f64) {
        let Some(cell) = self.peek(index) else { return self.add_float_first(index, amount) };
        // ORDERING: Relaxed, both; as `add`.
        cell.store(plus(cell.load(Ordering::Relaxed), amount), Ordering::Relaxed);
    }

    /// [`add_float`](Self::add_float) where the chunk may be missing.
    #[cold]
    #[inline(never)]
    fn add_float_first(&self, index: u32, amount: f64) {
        self.run(index);
        self.add_float(index, amount);
    }

    /// Adds to a counter of fractions in the set that many threads write.
    pub(crate) fn add_float_shared(&self, index: u32, amount: f64) {
        // ORDERING: Relaxed; as `add_shared`.
        let _ = self.run(index)[0]
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| Some(plus(bits, amount)));
    }

    /// What this thread added to a counter.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> u64 {
        // ORDERING: Relaxed; coherence alone makes two readings of one cell grow.
        self.peek(index).map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    /// Records one observation in a histogram whose cells only this thread writes.
    #[inline]
    pub(crate) fn record(&self, start: u32, bucket: usize, value: f64) {
        let Some(chunk) = self.chunk(start) else { return self.record_first(start, bucket, value) };
        let run = &chunk[start as usize % CHUNK..];
        let sequence = &run[SEQUENCE];
        // ORDERING: Relaxed; nobody else writes it (invariant 1).
        let before = sequence.load(Ordering::Relaxed);
        sequence.store(before.wrapping_add(1), Ordering::Relaxed);
        write(run, bucket, value);
        // ORDERING: Release; pairs with the first Acquire in `snapshot`:
        //   writer: bucket = 1; sequence = 2     reader: if sequence == 2 { assert_eq!(bucket, 1) }
        sequence.store(before.wrapping_add(2), Ordering::Release);
    }

    /// [`record`](Self::record) where the chunk may be missing.
    #[cold]
    #[inline(never)]
    fn record_first(&self, start: u32, bucket: usize, value: f64) {
        self.run(start);
        self.record(start, bucket, value);
    }

    /// Records one observation in the set that many threads write: the odd sequence is their lock.
    pub(crate) fn record_shared(&self, start: u32, bucket: usize, value: f64) {
        let run = self.run(start);
        let sequence = &run[SEQUENCE];
        loop {
            // ORDERING: Relaxed; the exchange below decides.
            let before = sequence.load(Ordering::Relaxed);
            // ORDERING: Acquire; pairs with the Release below, so that the sum that the last writer left is added to.
            let taken = before.is_multiple_of(2)
                && sequence
                    .compare_exchange(before, before + 1, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok();
            if taken {
                write(run, bucket, value);
                // ORDERING: Release; pairs with the Acquire above and with the first Acquire in `snapshot`.
                sequence.store(before.wrapping_add(2), Ordering::Release);
                return;
            }
            yield_now();
        }
    }

    /// Adds what this thread observed to `counts` and returns its sum: every observation wholly or not at all.
    pub(crate) fn snapshot(&self, start: u32, scratch: &mut [u64], counts: &mut [u64]) -> f64 {
        let Some(run) = self.chunk(start).map(|chunk| &chunk[start as usize % CHUNK..]) else {
            return 0.0;
        };
        let sequence = &run[SEQUENCE];
        let mut tries = 0_u32;
        loop {
            // ORDERING: Acquire; pairs with the Release stores that end a write.
            let before = sequence.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                // ORDERING: Relaxed, all; the two readings of the sequence say whether they belong together.
                let sum = f64::from_bits(run[SUM].load(Ordering::Relaxed));
                run[BUCKETS..]
                    .iter()
                    .zip(scratch.iter_mut())
                    .for_each(|(cell, n)| *n = cell.load(Ordering::Relaxed));
                // ORDERING: Acquire fence; pairs with the Release fence in `write`: had we read anything newer than
                // `before`, we would now see a newer sequence.
                fence(Ordering::Acquire);
                // ORDERING: Relaxed; ordered by the fence.
                if sequence.load(Ordering::Relaxed) == before {
                    counts
                        .iter_mut()
                        .zip(scratch.iter())
                        .for_each(|(total, n)| *total = total.saturating_add(*n));
                    return sum;
                }
            }
            // A writer may have lost its CPU in the middle: let it go on.
            tries += 1;
            if tries.is_multiple_of(SPINS) {
                yield_now();
            }
        }
    }

    /// Sets cells to zero; nobody has a handle to them (invariant 3).
    pub(crate) fn clear(&self, start: u32, width: u32) {
        for index in start..start + width {
            if let Some(cell) = self.peek(index) {
                // ORDERING: Relaxed; the last handle's drop came before, and the mutex of `Indices` before the next use.
                cell.store(0, Ordering::Relaxed);
            }
        }
    }

    /// The cells from `start` to the end of its chunk, which a histogram never passes.
    fn run(&self, start: u32) -> &[AtomicU64] {
        let start = start as usize;
        let chunk = self.chunks[start / CHUNK % CHUNKS].get_or_init(new_chunk);
        &chunk[start % CHUNK..]
    }

    #[inline]
    fn chunk(&self, index: u32) -> Option<&[AtomicU64; CHUNK]> {
        self.chunks[index as usize / CHUNK % CHUNKS].get().map(|chunk| &**chunk)
    }

    #[inline]
    fn peek(&self, index: u32) -> Option<&AtomicU64> {
        self.chunk(index).map(|chunk| &chunk[index as usize % CHUNK])
    }
}

/// The bits of a sum that is never infinite.
#[inline]
fn plus(bits: u64, amount: f64) -> u64 {
    (f64::from_bits(bits) + amount).min(f64::MAX).to_bits()
}

/// Adds one observation to the cells of a histogram; their sequence is odd.
#[inline]
fn write(run: &[AtomicU64], bucket: usize, value: f64) {
    // ORDERING: Release fence; pairs with the Acquire fence in `snapshot`. Without it this could fail:
    //   writer: sequence = 1; sum = 5.0      reader: if sum == 5.0 { assert_ne!(sequence, 0) }
    fence(Ordering::Release);
    let (sum, count) = (&run[SUM], &run[BUCKETS + bucket]);
    // A bucket that overflowed would have been counting for centuries.
    // ORDERING: Relaxed, all four; only the holder of the odd sequence writes, and the sequence orders them.
    sum.store((f64::from_bits(sum.load(Ordering::Relaxed)) + value).to_bits(), Ordering::Relaxed);
    count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

#[cold]
fn new_chunk() -> Box<[AtomicU64; CHUNK]> {
    let cells: Box<[AtomicU64]> = (0..CHUNK).map(|_| AtomicU64::new(0)).collect();
    cells.try_into().expect("as many cells as a chunk has")
}
