//! The folder: files that appear whole, are found by the digests of their keys, and go when room or time is up.
//!
//! ```text
//! CACHEDIR.TAG    that it is one, for backup programs and for us
//! invalidated     see `invalidations`; `lock` is held while it is changed
//! new/            files that are being written
//! results/ab/cd…  one result each, by the digest of its key
//! sweep           locked by who looks for what has to go
//! ```
//!
//! 1. A file under `results` was renamed there whole. What a dead process has left under `new` is swept when it is old.
//! 2. A result is handed out only if its digest is right, its key, type and age are those that were asked for, and the list
//!    of invalidations allows it. Everything else is as if it were not there.
//! 3. Whatever goes wrong on the disk costs a computation, never the result: it is told and counted.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::entry::{self, Header};
use super::invalidations::{Invalidations, Read, Target, private};

/// What a file takes at least, and a multiple of which it takes: a block.
const BLOCK: u64 = 4096;

/// A file that has been under way for longer was left by a process that died.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A result that is used is noted as used once in this time.
const NOTED: Duration = Duration::from_secs(60);

const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55
# Results that tidegate has kept, to be reused. They may be deleted at any time.
";

#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    capacity: u64,
    compress_above: usize,
    /// LOCK ORDER: before `seen` and `heard`. Held while the disk is waited for.
    invalidations: Mutex<Invalidations>,
    /// Epoch and number of the last invalidation.
    seen: Mutex<(u64, u64)>,
    /// What is to be forgotten in memory.
    heard: Mutex<Vec<Target>>,
    /// Bytes since the last sweep.
    written: AtomicU64,
    /// For names under `new`: by chance, and counted.
    instance: u64,
    count: AtomicU64,
    found: AtomicU64,
    damaged: AtomicU64,
    not_kept: AtomicU64,
}

/// Where a result stands, and what it has to say of itself.
#[derive(Debug, Clone)]
pub(super) struct Place {
    path: PathBuf,
    header: Header,
}

/// A result that was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) value: Vec<u8>,
    pub(super) age: Duration,
}

/// Figures for people.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Told {
    pub(super) found: u64,
    pub(super) damaged: u64,
    pub(super) not_kept: u64,
}

impl Disk {
    pub(super) fn open(folder: PathBuf, capacity: u64, compress_above: usize) -> io::Result<Self> {
        make_folder(&folder)?;
        let tag = folder.join("CACHEDIR.TAG");
        // In this order: the tag is the first thing that another process puts into it.
        let is_empty = fs::read_dir(&folder)?.next().is_none();
        let is_ours = fs::read_to_string(&tag).is_ok_and(|text| TAG.starts_with(&text));
        if !is_empty && !is_ours {
            let why = format!(
                "{} holds something else than results: name a folder that is empty, or not there",
                folder.display()
            );
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        private(OpenOptions::new().create(true).write(true).truncate(false))
            .open(&tag)?
            .write_all(TAG.as_bytes())?;
        make_folder(&folder.join("new"))?;
        make_folder(&folder.join("results"))?;
        let (invalidations, was_damaged) = Invalidations::open(&folder)?;
        if was_damaged {
            tracing::warn!(folder = %folder.display(), "the list of what was invalidated is damaged: every result is forgotten");
        }
        Ok(Self {
            folder,
            capacity,
            compress_above,
            seen: Mutex::new((invalidations.list.epoch, invalidations.list.last)),
            invalidations: Mutex::new(invalidations),
            heard: Mutex::default(),
            written: AtomicU64::new(0),
            instance: RandomState::new().hash_one(std::process::id()),
            count: AtomicU64::new(0),
            found: AtomicU64::new(0),
            damaged: AtomicU64::new(u64::from(was_damaged)),
            not_kept: AtomicU64::new(0),
        })
    }

    /// Where the result of this key stands. What is invalidated from now on is not seen by it.
    pub(super) fn place(&self, key: [u8; 32], tags: &[Arc<str>], of: &str) -> Place {
        let hex = blake3::Hash::from_bytes(key).to_hex();
        let (first, rest) = hex.split_at(2);
        let path = self.folder.join("results").join(first).join(rest);
        let tags = tags.iter().map(ToString::to_string).collect();
        // One that is older than the list costs a computation at most.
        let (epoch, seen) = *self.seen.lock();
        let header = Header { key, of: of.to_owned(), tags, epoch, seen, since_1970_ms: 0 };
        Place { path, header }
    }

    /// The result, if there is one that may be handed out and that is younger than the limit.
    pub(super) fn find(&self, place: &Place, limit: Option<Duration>) -> Option<Looked> {
        let file = match fs::read(&place.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.damage(&place.path, &error);
                return None;
            }
        };
        let Some((header, value)) = entry::decode(&file) else {
            self.damage(&place.path, &"its checksum is wrong");
            // Another one may have come in its place meanwhile: then it is computed once more.
            let _ = fs::remove_file(&place.path);
            return None;
        };
        let is_it = header.key == place.header.key && header.of == place.header.of;
        let age = header.age(now_ms(), limit).filter(|_| is_it);
        let age = age.filter(|_| self.invalidations.lock().list.allows(&header))?;
        note_use(&place.path);
        // ORDERING: Relaxed; a figure for people. So are all of this file but `written`.
        self.found.fetch_add(1, Ordering::Relaxed);
        Some(Looked { value, age })
    }

    /// Keeps a result; whether so much has been written that it is time for a sweep.
    pub(super) fn keep(&self, place: &Place, value: &[u8]) -> bool {
        let header = Header { since_1970_ms: now_ms(), ..place.header.clone() };
        let written = entry::encode(&header, value, self.compress_above)
            .map_err(io::Error::other)
            .and_then(|file| self.write(&place.path, &file));
        match written {
            Ok(bytes) => {
                // ORDERING: Relaxed; it guards nothing: a sweep looks for itself, and two at once are harmless.
                let before = self.written.fetch_add(bytes, Ordering::Relaxed);
                self.capacity / 16 < before + bytes
            }
            Err(error) => {
                self.cannot_keep(place, &error);
                false
            }
        }
    }

    /// Writes a file and puts it in its place; what it takes on the disk.
    fn write(&self, path: &Path, file: &[u8]) -> io::Result<u64> {
        let takes = blocks(file.len() as u64);
        if self.capacity < takes {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than the cache"));
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let new = self.folder.join("new").join(format!("{:016x}-{number}", self.instance));
        let written = (|| {
            private(OpenOptions::new().create_new(true).write(true)).open(&new)?.write_all(file)?;
            if let Some(folder) = path.parent() {
                make_folder(folder)?;
            }
            fs::rename(&new, path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written.map(|()| takes)
    }

    /// Adds an invalidation, for all processes and for good.
    pub(super) fn invalidate(&self, target: &Target) -> io::Result<()> {
        let mut invalidations = self.invalidations.lock();
        let read = invalidations.add(target);
        let read = read.map(|read| self.hear(&invalidations, read));
        drop(invalidations);
        if let Target::Key(key) = target {
            let _ = fs::remove_file(self.place(*key, &[], "").path);
        }
        read
    }

    /// What others have invalidated since this was last asked, and what has to be forgotten because nobody knows; `None` if
    /// that would wait for the disk.
    pub(super) fn try_news(&self) -> Option<Vec<Target>> {
        Some(self.news_of(&mut *self.invalidations.try_lock()?))
    }

    /// The same, waiting.
    pub(super) fn news(&self) -> Vec<Target> {
        self.news_of(&mut self.invalidations.lock())
    }

    fn news_of(&self, invalidations: &mut Invalidations) -> Vec<Target> {
        let read = invalidations.read().and_then(|read| {
            if read == Read::Damaged {
                self.damage(
                    &self.folder.join("invalidated"),
                    &"it is gone, or its checksum is wrong",
                );
                invalidations.mend()?;
            }
            Ok(read)
        });
        let read = read.unwrap_or_else(|error| {
            self.damage(&self.folder.join("invalidated"), &error);
            // What is on the disk belongs to an epoch that this process does not know.
            invalidations.list.epoch = invalidations.list.epoch.wrapping_add(1);
            Read::Damaged
        });
        self.hear(invalidations, read);
        std::mem::take(&mut *self.heard.lock())
    }

    fn hear(&self, invalidations: &Invalidations, read: Read) {
        *self.seen.lock() = (invalidations.list.epoch, invalidations.list.last);
        match read {
            Read::Same => {}
            Read::New(targets) => self.heard.lock().extend(targets),
            Read::Damaged => self.heard.lock().push(Target::All),
        }
    }

    /// Lets go what is too old, what died under way, and what was used least recently if there is too little room.
    pub(super) fn sweep(&self, limit: Duration) {
        self.written.store(0, Ordering::Relaxed);
        if let Err(error) = self.try_sweep(limit) {
            tracing::warn!(folder = %self.folder.display(), %error, "results that should go could not be looked for");
        }
    }

    fn try_sweep(&self, limit: Duration) -> io::Result<()> {
        let lock = private(OpenOptions::new().create(true).write(true).truncate(false))
            .open(self.folder.join("sweep"))?;
        if lock.try_lock().is_err() {
            // Somebody else is at it.
            return Ok(());
        }
        let now = SystemTime::now();
        let is_older =
            |file: &Used, than| now.duration_since(file.used).is_ok_and(|age| than < age);
        for file in files(&self.folder.join("new"))?.iter().filter(|file| is_older(file, ABANDONED))
        {
            let _ = fs::remove_file(&file.path);
        }
        let mut kept = Vec::new();
        for folder in fs::read_dir(self.folder.join("results"))? {
            kept.extend(files(&folder?.path())?);
        }
        // It was computed before it was last used.
        for file in kept.extract_if(.., |file| is_older(file, limit)) {
            let _ = fs::remove_file(&file.path);
        }
        let mut total: u64 = kept.iter().map(|file| file.takes).sum();
        if self.capacity < total {
            kept.sort_unstable_by_key(|file| file.used);
            // A little more, so that the next one does not begin anew.
            let goal = self.capacity - self.capacity / 10;
            for file in kept {
                if total <= goal {
                    break;
                }
                let _ = fs::remove_file(&file.path);
                total -= file.takes;
            }
        }
        Ok(())
    }

    /// A value that was kept whole and cannot be read: its type has changed, and its key has not.
    pub(super) fn is_unreadable(&self, place: &Place) {
        self.found.fetch_sub(1, Ordering::Relaxed);
        self.damage(&place.path, &"it cannot be read as what it says it is");
    }

    fn damage(&self, path: &Path, why: &dyn std::fmt::Display) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(path = %path.display(), %why, "a kept result is damaged, and computed again");
    }

    pub(super) fn cannot_keep(&self, place: &Place, why: &dyn std::fmt::Display) {
        self.not_kept.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(path = %place.path.display(), %why, "a result cannot be kept on the disk");
    }

    pub(super) fn told(&self) -> Told {
        Told {
            found: self.found.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
            not_kept: self.not_kept.load(Ordering::Relaxed),
        }
    }
}

/// A file, when it was last used, and what it takes on the disk.
struct Used {
    path: PathBuf,
    used: SystemTime,
    takes: u64,
}

/// The files of a folder. What goes meanwhile is not among them.
fn files(folder: &Path) -> io::Result<Vec<Used>> {
    let mut files = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        if let Ok(meta) = file.metadata()
            && meta.is_file()
        {
            files.push(Used {
                path: file.path(),
                used: meta.modified()?,
                takes: blocks(meta.len()),
            });
        }
    }
    Ok(files)
}

fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK).max(1) * BLOCK
}

/// The time at which a file was last changed is when it was last used.
fn note_use(path: &Path) {
    let now = SystemTime::now();
    let is_due = |used: SystemTime| now.duration_since(used).is_ok_and(|since| NOTED < since);
    if fs::metadata(path).and_then(|meta| meta.modified()).is_ok_and(is_due)
        && let Ok(file) = File::options().write(true).open(path)
    {
        // If not, it goes earlier.
        let _ = file.set_modified(now);
    }
}

/// A folder that only its owner reads.
fn make_folder(path: &Path) -> io::Result<()> {
    let mut maker = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        maker.mode(0o700);
    }
    maker.recursive(true).create(path)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(in crate::cache) mod tests;
