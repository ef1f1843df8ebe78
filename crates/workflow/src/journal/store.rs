//! Where a journal's bytes are kept.

use std::io;

/// Bytes that grow at their end. One value has the only right to write, for as long as it lives.
pub trait Store: Send {
    /// All bytes.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read(&mut self) -> io::Result<Vec<u8>>;

    /// Adds bytes at the end, so that they survive this process. After an error, any prefix of them may be there.
    ///
    /// # Errors
    /// When not all of them could be written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything that was appended or cut survive the end of the machine's power.
    ///
    /// # Errors
    /// When that is not certain.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts everything from byte `len` on.
    ///
    /// # Errors
    /// When it could not be cut.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        (**self).read()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        (**self).append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        (**self).sync()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        (**self).truncate(len)
    }
}

/// Holds a [`Store`] against its contract, as far as that can be seen without taking the power away. `open` opens the same
/// place each time, empty at first, and is called only when the store of the call before is gone.
///
/// # Errors
/// When the store fails, or a rule is broken: the message says which.
///
/// # Examples
/// ```
/// use tidegate_workflow::journal::{MemoryStore, conformance};
///
/// let store = MemoryStore::default();
/// conformance(|| Ok(store.clone()))?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn conformance<S: Store>(mut open: impl FnMut() -> io::Result<S>) -> io::Result<()> {
    let rule = |kept: bool, rule: &str| {
        kept.then_some(()).ok_or_else(|| io::Error::other(rule.to_owned()))
    };
    let mut store = open()?;
    rule(store.read()?.is_empty(), "a new store is empty")?;
    store.append(b"one, ")?;
    store.append(b"")?;
    store.append(b"two")?;
    rule(store.read()? == b"one, two", "a store reads what was appended, in order")?;
    drop(store);

    let mut store = open()?;
    rule(
        store.read()? == b"one, two",
        "what was appended is there when the store is opened again, without a sync",
    )?;
    rule(store.read()? == b"one, two", "reading twice reads the same")?;
    store.truncate(3)?;
    store.append(b"!")?;
    rule(store.read()? == b"one!", "an append after a cut begins where the cut was")?;
    store.sync()?;
    drop(store);

    let mut store = open()?;
    rule(store.read()? == b"one!", "a cut is there when the store is opened again")?;
    store.append(b"?")?;
    store.append(b"?")?;
    rule(
        store.read()? == b"one!??",
        "an append to a store that was opened again begins at its end",
    )?;
    let large = vec![7; 1 << 20];
    store.append(&large)?;
    rule(store.read()?[6..] == large, "a store takes a batch of a mebibyte whole")
}
