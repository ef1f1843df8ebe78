//! What `cells` is built from. `tests/loom.rs` compiles `cells.rs` against loom's types and small sizes instead.

pub(crate) use std::sync::Mutex;
pub(crate) use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
pub(crate) use std::thread::yield_now;

/// Cells that are allocated together, for one thread: 16 KiB.
pub(crate) const CHUNK: usize = 2048;
/// Chunks a thread can have: 2 Mi cells in all.
pub(crate) const CHUNKS: usize = 1024;
/// Threads that can own cells at the same time; the others share one set.
pub(crate) const SLOTS: usize = 64;
