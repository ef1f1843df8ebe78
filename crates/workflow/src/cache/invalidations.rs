//! What was invalidated, in one file that all processes of a folder read: small, replaced as a whole, synced.
//!
//! 1. Each invalidation has a number, one more than the last. A result that has seen number n is stale if a later one is
//!    about it.
//! 2. If the list is lost or damaged, or has grown too long, another one with another epoch takes its place: a result of
//!    another epoch is stale, because nobody knows any more what was said of it.
//! 3. The list is changed under the lock only, and read without it: it is replaced by a rename.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::entry::Header;

/// More of them are forgotten, and every result with them.
const MOST: usize = 10_000;

/// Magic and version 1.
const MAGIC: [u8; 8] = *b"TIDEinv\x01";

/// What an invalidation is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Target {
    All,
    Tag(String),
    Key([u8; 32]),
}

/// The list as a value.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct List {
    pub(super) epoch: u64,
    pub(super) last: u64,
    /// The last invalidation of each target.
    by_target: BTreeMap<Target, u64>,
}

impl List {
    /// One that nobody has seen.
    fn fresh() -> Self {
        Self { epoch: RandomState::new().hash_one(std::process::id()), ..Self::default() }
    }

    fn add(&mut self, target: &Target) {
        self.last += 1;
        if *target == Target::All {
            // It says all that the others did.
            self.by_target.clear();
        }
        self.by_target.insert(target.clone(), self.last);
        if MOST < self.by_target.len() {
            *self = Self::fresh();
        }
    }

    /// Whether a result may be handed out.
    pub(super) fn allows(&self, header: &Header) -> bool {
        let about = |target: &Target| self.by_target.get(target).copied().unwrap_or(0);
        let tags = header.tags.iter().map(|tag| about(&Target::Tag(tag.clone())));
        let latest = tags.chain([about(&Target::All), about(&Target::Key(header.key))]).max();
        header.epoch == self.epoch
            && header.seen <= self.last
            && latest.is_none_or(|latest| latest <= header.seen)
    }

    /// What this list says and the older one does not.
    fn news(&self, older: &Self) -> Vec<Target> {
        if self.epoch != older.epoch {
            return vec![Target::All];
        }
        let new = self.by_target.iter().filter(|(_, number)| older.last < **number);
        new.map(|(target, _)| target.clone()).collect()
    }

    fn encode(&self) -> io::Result<Vec<u8>> {
        let list = postcard::to_stdvec(self).map_err(io::Error::other)?;
        let sum = blake3::hash(&list);
        Ok([&MAGIC[..], sum.as_bytes(), &list].concat())
    }

    fn decode(file: &[u8]) -> Option<Self> {
        let (sum, list) = file.strip_prefix(&MAGIC)?.split_first_chunk::<32>()?;
        (blake3::hash(list).as_bytes() == sum).then(|| postcard::from_bytes(list).ok())?
    }
}

/// The list of a folder, as far as this process has read it.
#[derive(Debug)]
pub(super) struct Invalidations {
    folder: PathBuf,
    pub(super) list: List,
    /// The file that was read. While it is open its number is given to no other file, so that a new list is told by it.
    file: Option<File>,
}

/// What reading has brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Nothing new.
    Same,
    New(Vec<Target>),
    /// There is no list, or none that can be read.
    Damaged,
}

impl Invalidations {
    /// Reads the list; whether one that was there had to be given up.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, bool)> {
        let mut this = Self { folder: folder.to_owned(), list: List::default(), file: None };
        let is_damaged = this.read()? == Read::Damaged;
        let was_there = is_damaged && this.path().try_exists()?;
        if is_damaged {
            this.mend()?;
        }
        Ok((this, was_there))
    }

    fn path(&self) -> PathBuf {
        self.folder.join("invalidated")
    }

    /// Reads the list if it is another than the one that was read last.
    pub(super) fn read(&mut self) -> io::Result<Read> {
        if self.is_current()? {
            return Ok(Read::Same);
        }
        let mut file = match File::open(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Read::Damaged),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let Some(list) = List::decode(&bytes) else { return Ok(Read::Damaged) };
        let news = list.news(&self.list);
        (self.list, self.file) = (list, Some(file));
        Ok(Read::New(news))
    }

    #[cfg(unix)]
    fn is_current(&self) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt as _;
        let Some(file) = &self.file else { return Ok(false) };
        let there = match fs::metadata(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            there => there?,
        };
        let ours = file.metadata()?;
        Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
    }

    /// Files have no numbers here.
    #[cfg(not(unix))]
    fn is_current(&self) -> io::Result<bool> {
        Ok(false)
    }

    /// Adds an invalidation, for all processes and for good; what reading the list has brought on the way.
    pub(super) fn add(&mut self, target: &Target) -> io::Result<Read> {
        let _alone = self.lock()?;
        let read = self.read()?;
        let mut list = if read == Read::Damaged { List::fresh() } else { self.list.clone() };
        list.add(target);
        self.write(list)?;
        Ok(read)
    }

    /// Puts a list of another epoch in place of one that cannot be read, unless somebody else has.
    pub(super) fn mend(&mut self) -> io::Result<()> {
        let _alone = self.lock()?;
        if self.read()? == Read::Damaged { self.write(List::fresh()) } else { Ok(()) }
    }

    /// Held until it is dropped; the system lets go of it when the process ends, however it ends.
    fn lock(&self) -> io::Result<File> {
        let lock = private(OpenOptions::new().create(true).write(true).truncate(false))
            .open(self.folder.join("lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    /// LOCK ORDER: under the folder's lock.
    fn write(&mut self, list: List) -> io::Result<()> {
        // Only who has the lock writes here.
        let new = self.folder.join("invalidated.new");
        let mut file =
            private(OpenOptions::new().create(true).write(true).truncate(true).read(true))
                .open(&new)?;
        file.write_all(&list.encode()?)?;
        file.sync_all()?;
        fs::rename(&new, self.path())?;
        #[cfg(unix)]
        File::open(&self.folder)?.sync_all()?;
        (self.list, self.file) = (list, Some(file));
        Ok(())
    }
}

/// Files that only their owner reads.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

#[cfg(test)]
mod tests;
