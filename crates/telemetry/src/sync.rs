//! What the parts with atomics of their own are built from. `tests/loom.rs` compiles these parts against loom's types and small sizes instead.

pub(crate) use std::sync::Mutex;
pub(crate) use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use std::thread::yield_now;

/// Cells that are allocated together, for one thread: 16 KiB.
pub(crate) const CHUNK: usize = 2048;
/// Chunks a thread can have: 2 Mi cells in all.
pub(crate) const CHUNKS: usize = 1024;
/// Threads that can own cells at the same time; the others share one set.
pub(crate) const SLOTS: usize = 64;
/// How often a reader tries before it lets a writer go on that lost its CPU in the middle.
pub(crate) const SPINS: u32 = 16;

/// So many cells that are not set.
pub(crate) const fn empty<T, const N: usize>() -> [OnceLock<T>; N] {
    [const { OnceLock::new() }; N]
}
