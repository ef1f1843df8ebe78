//! A store in one file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::store::Store;

/// How much room is laid out ahead at least and at most, in bytes.
const ROOM: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 20;

/// How often a store is synced before room is laid out: one that is only opened and written stays as long as it is.
const SYNCS: u32 = 2;

/// One file, locked for as long as this lives; the system lets go of the lock when the process ends, however it ends. Who
/// only reads needs no lock: [`scan`](super::scan()) reads the file while it is being written.
///
/// A file that is synced again and again has zeros behind its records, which the next ones overwrite: then a sync has
/// nothing to write but them. Without, it would write the file's new length as well, and for that the file system's own
/// journal, which takes half as long again. The zeros go when this is dropped; what a killed process leaves is no record.
#[derive(Debug)]
pub struct FileStore {
    file: File,
    /// Where the next bytes go. The file's cursor is there.
    end: u64,
    /// How far the file goes.
    len: u64,
    syncs: u32,
    has_room: bool,
}

impl FileStore {
    /// Opens the file, or makes it, for its owner alone to read; its folder is there already.
    ///
    /// # Errors
    /// When it cannot be opened, and with `WouldBlock` when another `FileStore` has it, in this process or in another.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // It holds what tasks returned.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::WouldBlock,
                format!("{} is being written by another run", path.display()),
            ),
            TryLockError::Error(error) => error,
        })?;
        sync_folder(path)?;
        let end = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, end, len: end, syncs: 0, has_room: true })
    }

    /// Lays out room behind the end, so that the bytes to come change nothing but themselves.
    fn lay_out(&mut self) -> io::Result<()> {
        let room = self.end.clamp(*ROOM.start(), *ROOM.end());
        let zeros = vec![0; usize::try_from(room).unwrap_or(0)];
        if self.file.write_all(&zeros).is_ok() {
            self.len = self.end + room;
        } else {
            // A disk that is too full for zeros may still have room for records.
            self.has_room = false;
            self.file.set_len(self.end)?;
            self.len = self.end;
        }
        self.file.seek(SeekFrom::Start(self.end)).map(drop)
    }
}

/// Makes the file's name survive the end of the machine's power: a synced file without a name is lost.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Folders cannot be opened as files here.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

impl Store for FileStore {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        // To where the cursor was.
        (&self.file).take(self.end).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.end += bytes.len() as u64;
        if self.len < self.end {
            self.len = self.end;
            if self.has_room && SYNCS <= self.syncs {
                self.lay_out()?;
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.syncs = self.syncs.saturating_add(1);
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        (self.end, self.len) = (len, len);
        self.file.seek(SeekFrom::Start(len)).map(drop)
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        if self.end < self.len {
            // If not, the zeros stay, which are no record.
            let _ = self.file.set_len(self.end);
        }
    }
}

#[cfg(test)]
mod tests;
