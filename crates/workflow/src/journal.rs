//! An append-only record of what a run has done, which outlives a crash.
//!
//! The engine writes it for a graph that has one (see [`Graph::journal`](crate::Graph::journal)), and a [`History`] goes on
//! from it. The rule that makes a crash harmless: **commit a batch first, let its effects be seen after**. Whatever arrives
//! during a commit forms the next batch, so that one sync serves all tasks in flight.
//!
//! # Format
//! A header of 16 bytes (magic, version, checksum), then frames: length (`u32`, little endian), CRC-32, record in
//! [postcard](https://postcard.jamesmunns.com). The checksum starts from the frame's own offset, so that a frame is
//! valid only in its place: an old block that a file system brings back is not a record. A task's id is written once,
//! numbers stand for it afterwards. Zeros from some frame to the end are room for more. New kinds of [`Record`] are added at the end of the enum; anything else is a new version.
//!
//! # Invariants
//! 1. A record is told by [`scan()`] only if each frame before it is intact.
//! 2. After an error of the store nothing more is written: what a failed sync has dropped is not known, and a second sync
//!    that succeeds says nothing about it. [`Journal::commit`] keeps failing until the journal is opened again.
//! 3. A frame is appended only behind an intact frame: [`Journal::open`] cuts the damaged tail, and syncs the cut, first.
//!
//! # Examples
//! ```
//! use tidegate_workflow::journal::{Durability, Journal, MemoryStore, Record, scan};
//!
//! let store = MemoryStore::default();
//! let mut opened = Journal::open(store.clone())?;
//! opened.journal.append(&Record::Fact { name: "colour".into(), value: b"red".to_vec() })?;
//! opened.journal.commit(Durability::PowerLoss)?;
//!
//! let bytes = store.bytes();
//! assert_eq!(scan(&bytes)?.records.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod file;
mod frame;
mod history;
mod ledger;
mod memory;
mod record;
mod scan;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use crate::durable::digest;
pub use file::FileStore;
pub(crate) use frame::MAX_OUTPUT;
pub use frame::TooLarge;
pub use history::{History, HistoryError};
pub use ledger::{Entry, Item, Ledger};
pub use memory::{Fault, MemoryStore};
pub use record::{End, Outcome, Record};
pub use scan::{Damage, NotAJournal, Scan, Tail, scan};
pub use store::{Store, conformance};

/// What a commit survives once it has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Nothing: the records are dropped.
    Memory,
    /// The end of this process, `kill -9` too: the records are written, and the operating system has them.
    ProcessCrash,
    /// The end of the machine's power: the records are synced to the disk. A thread of the run's own does so; but a worker of
    /// the runtime, if there are others, waits for a sync that takes less than a millisecond while no other attempt runs.
    PowerLoss,
}

/// A journal that is open for appending.
#[derive(Debug)]
pub struct Journal<S> {
    batch: Batch,
    end: StoreEnd<S>,
}

/// Records on their way, and where in the store they will stand.
#[derive(Debug)]
pub(crate) struct Batch {
    base: u64,
    bytes: Vec<u8>,
}

/// The store, to which batches are added one behind the other.
#[derive(Debug)]
pub(crate) struct StoreEnd<S> {
    store: S,
    synced: bool,
    poison: Option<Arc<io::Error>>,
}

/// What [`Journal::open`] has found.
#[derive(Debug)]
pub struct Opened<S> {
    /// Ready for appending, behind the last intact record.
    pub journal: Journal<S>,
    /// Every intact record, in the order in which they were written.
    pub records: Vec<Record>,
    /// What was damaged and has been cut off.
    pub cut: Option<Tail>,
}

impl<S: Store> Journal<S> {
    /// Reads what the store holds, cuts a damaged tail off, and begins a journal where there is none.
    ///
    /// # Errors
    /// When the store fails, or holds what this version cannot read, which is left as it is.
    pub fn open(mut store: S) -> Result<Opened<S>, OpenError> {
        let bytes = store.read().map_err(OpenError::Store)?;
        // A header that was cut short is that of a journal whose process ended at birth.
        let fresh = bytes.len() < frame::HEADER.len() && frame::HEADER.starts_with(&bytes);
        let (records, len, cut) = if fresh {
            store.truncate(0).map_err(OpenError::Store)?;
            store.append(&frame::HEADER).map_err(OpenError::Store)?;
            (Vec::new(), frame::HEADER.len() as u64, None)
        } else {
            let Scan { records, len, tail } = scan(&bytes).map_err(OpenError::NotAJournal)?;
            if let Some(newer) = tail.filter(|tail| tail.damage == Damage::Unknown) {
                return Err(OpenError::Newer(newer));
            }
            // Zeros too: what a dead process wrote between them must not come to stand behind a record of ours.
            if len < bytes.len() as u64 {
                store.truncate(len).map_err(OpenError::Store)?;
            }
            (records, len, tail)
        };
        // Records that a dead process wrote and did not sync are about to be believed: they must not vanish later.
        store.sync().map_err(OpenError::Store)?;
        let batch = Batch { base: len, bytes: Vec::new() };
        let journal = Self { batch, end: StoreEnd { store, synced: true, poison: None } };
        Ok(Opened { journal, records, cut })
    }

    /// Both halves, for a thread that writes while another one adds records.
    pub(crate) fn split(self) -> (Batch, StoreEnd<S>) {
        (self.batch, self.end)
    }

    /// Adds a record to the batch, which [`commit`](Self::commit) stores.
    ///
    /// # Errors
    /// When the record is larger than a frame can be; the batch is as it was.
    pub fn append(&mut self, record: &Record) -> Result<(), TooLarge> {
        self.batch.push(record)
    }

    /// The bytes that wait for a commit.
    pub fn pending(&self) -> usize {
        self.batch.bytes.len()
    }

    /// Stores the batch; once this returns, it survives what `durability` says. It blocks for as long as the disk takes:
    /// call it from a thread that may block.
    ///
    /// # Errors
    /// When the store fails, now or in an earlier commit (invariant 2). Whether the batch will be found at the next open is
    /// not known then: act on none of it.
    pub fn commit(&mut self, durability: Durability) -> Result<(), CommitError> {
        if durability == Durability::Memory && self.end.poison.is_none() {
            self.batch.bytes.clear();
            return Ok(());
        }
        self.end.store(&self.batch.bytes, durability)?;
        self.batch.stored();
        Ok(())
    }
}

impl Batch {
    pub(crate) fn push(&mut self, record: &Record) -> Result<(), TooLarge> {
        frame::push(&mut self.bytes, self.base, record)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What there is, moved behind `to`, which is about to be stored.
    pub(crate) fn hand_over(&mut self, to: &mut Vec<u8>) {
        if to.is_empty() {
            std::mem::swap(to, &mut self.bytes);
            self.base += to.len() as u64;
        } else {
            to.extend_from_slice(&self.bytes);
            self.stored();
        }
    }

    /// The next record comes behind these.
    fn stored(&mut self) {
        self.base += self.bytes.len() as u64;
        self.bytes.clear();
    }
}

impl<S: Store> StoreEnd<S> {
    /// Adds the bytes, so that they survive what `durability` says; nothing any more after an error (invariant 2).
    pub(crate) fn store(
        &mut self,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<(), CommitError> {
        if let Some(error) = &self.poison {
            return Err(CommitError(Arc::clone(error)));
        }
        // A store that panics has failed, and takes nobody down.
        let stored = catch_unwind(AssertUnwindSafe(|| self.try_store(bytes, durability)));
        let stored = stored.unwrap_or_else(|panic| {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
            Err(io::Error::other("the store panicked"))
        });
        stored.map_err(|error| CommitError(Arc::clone(self.poison.insert(Arc::new(error)))))
    }

    fn try_store(&mut self, bytes: &[u8], durability: Durability) -> io::Result<()> {
        if !bytes.is_empty() {
            self.store.append(bytes)?;
            self.synced = false;
        }
        if durability == Durability::PowerLoss && !self.synced {
            self.store.sync()?;
            self.synced = true;
        }
        Ok(())
    }
}

/// Why [`Journal::open`] has opened nothing.
#[derive(Debug)]
pub enum OpenError {
    /// The store cannot be read or written.
    Store(io::Error),
    /// The store holds something else, which is left as it is.
    NotAJournal(NotAJournal),
    /// The store holds an intact record of a newer version, and is left as it is.
    Newer(Tail),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => write!(f, "the journal's store failed: {error}"),
            Self::NotAJournal(error) => error.fmt(f),
            Self::Newer(tail) => {
                write!(f, "a newer version wrote this journal, use that one: it ends in {tail}")
            }
        }
    }
}

impl std::error::Error for OpenError {}

/// The store failed, and the journal takes nothing more until it is opened again.
#[derive(Clone, Debug)]
pub struct CommitError(Arc<io::Error>);

impl From<io::Error> for CommitError {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl CommitError {
    /// The first error of the store.
    pub fn first(&self) -> &io::Error {
        &self.0
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the journal's store failed, nothing more is written: {}", self.0)
    }
}

impl PartialEq for CommitError {
    /// Whether both are of the same failure.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CommitError {}

impl std::error::Error for CommitError {}
