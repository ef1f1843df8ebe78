//! Memory of large payloads, kept for the next ones: a fresh megabyte costs 256 page faults, more than its copy.

use parking_lot::Mutex;

use super::frame::KEPT;

/// Smaller ones are the allocator's affair.
const WORTH: usize = 64 * 1024;
/// So much is kept in all.
const MOST: usize = 16 * 1024 * 1024;

/// Empty buffers with room.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty buffer, with much room if there is one.
    pub(super) fn take(&self) -> Vec<u8> {
        self.free.lock().pop().unwrap_or_default()
    }

    /// Takes a buffer back, or frees it.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let size = buffer.capacity();
        if !(WORTH..=KEPT).contains(&size) {
            return;
        }
        let mut free = self.free.lock();
        if free.iter().map(Vec::capacity).sum::<usize>() + size <= MOST {
            free.push(buffer);
            return;
        }
        drop(free); // A large one is freed by a system call: not under the lock.
        drop(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::{Buffers, KEPT, MOST, WORTH};

    #[test]
    fn a_large_buffer_comes_back_empty_and_a_small_or_huge_one_is_freed() {
        let buffers = Buffers::default();
        for size in [WORTH - 1, KEPT + 1] {
            buffers.give(Vec::with_capacity(size));
            assert_eq!(buffers.take().capacity(), 0);
        }
        buffers.give(vec![1; WORTH]);
        let buffer = buffers.take();
        assert!(buffer.is_empty() && WORTH <= buffer.capacity());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        for _ in 0..2 * MOST / WORTH {
            buffers.give(Vec::with_capacity(WORTH));
        }
        let kept: usize = buffers.free.lock().iter().map(Vec::capacity).sum();
        assert_eq!(kept, MOST);
    }
}
