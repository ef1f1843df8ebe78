//! A store in memory that fails when told to.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::store::Store;

/// Bytes in memory, for tests of what stands on a [`Store`]. Clones share the bytes and the faults.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
}

/// What is to go wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The append stores this many bytes and fails with `StorageFull`, as a full disk does.
    Full {
        /// How many bytes fit still.
        after: usize,
    },
    /// The append stores nothing and fails, as a broken disk does (EIO).
    Append,
    /// The sync fails, and what was appended since the last one is lost, as Linux does it; the next sync succeeds.
    Sync,
}

#[derive(Debug, Default)]
struct Inner {
    bytes: Vec<u8>,
    synced: usize,
    fault: Option<Fault>,
}

impl MemoryStore {
    /// All bytes as they are now.
    pub fn bytes(&self) -> Vec<u8> {
        self.inner.lock().bytes.clone()
    }

    /// The bytes that the end of the machine's power would leave.
    pub fn synced(&self) -> Vec<u8> {
        let inner = self.inner.lock();
        inner.bytes[..inner.synced].to_vec()
    }

    /// Puts `bytes` in place of all that is there, synced.
    pub fn replace(&self, bytes: Vec<u8>) {
        let mut inner = self.inner.lock();
        inner.synced = bytes.len();
        inner.bytes = bytes;
    }

    /// Lets the next call that `fault` is about fail.
    pub fn fail_next(&self, fault: Fault) {
        self.inner.lock().fault = Some(fault);
    }
}

impl Store for MemoryStore {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.bytes())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let (stored, failure) = match inner.fault {
            Some(Fault::Full { after }) => {
                (after.min(bytes.len()), Some(io::ErrorKind::StorageFull.into()))
            }
            Some(Fault::Append) => (0, Some(io::Error::other("input/output error"))),
            Some(Fault::Sync) | None => (bytes.len(), None),
        };
        inner.bytes.extend_from_slice(&bytes[..stored]);
        let Some(failure) = failure else { return Ok(()) };
        inner.fault = None;
        Err(failure)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inner = self.inner.lock();
        if inner.fault == Some(Fault::Sync) {
            inner.fault = None;
            let synced = inner.synced;
            inner.bytes.truncate(synced);
            return Err(io::Error::other("input/output error"));
        }
        inner.synced = inner.bytes.len();
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        inner.bytes.truncate(len);
        inner.synced = inner.synced.min(len);
        Ok(())
    }
}
