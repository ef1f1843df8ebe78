//! Where a run keeps its files: `.tidegate/runs/<id>/`.
//!
//! ```text
//! .tidegate/runs/20261121-051102-3f2a/
//!   lock                     locked while a process of the run lives, its watchman included
//!   meta.json                how it was started
//!   journal                  what is done, for `tidegate resume`: append-only, every record checked
//!   events.jsonl             every event of the run
//!   report.json              the summary
//!   recording.json           what `tidegate what-if` replays
//!   tasks/build/1.stdout     what attempt 1 of task `build` wrote
//!   tasks/build/1.stderr
//!   tasks/build/1.sh         the script as it ran
//!   tasks/audit/7/1.stdout   item 7 of the foreach task `audit`
//! ```
//!
//! Scripts and outputs may hold what an environment variable was meant to hide: only the user may read the folder.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The folder of one run.
#[derive(Clone, Debug)]
pub(crate) struct RunDir {
    pub(crate) id: String,
    pub(crate) path: PathBuf,
    /// Locked; all of its copies share the lock.
    pub(crate) lock: Arc<File>,
}

impl RunDir {
    /// Makes the folder of a new run below `base`.
    ///
    /// # Errors
    ///
    /// The folder cannot be made.
    pub(crate) fn create(base: &Path) -> io::Result<Self> {
        let mut now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let runs = base.join("runs");
        make(&runs)?;
        // Two runs may start in the same second, or even from the same script at once.
        for _ in 0..100 {
            let id = id(now);
            let path = runs.join(&id);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let lock = file(&path.join("lock"))?;
                    // Somebody who only looks whether the run lives has it for a moment.
                    lock.lock()?;
                    return Ok(Self { id, path, lock: Arc::new(lock) });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => now += TICK,
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("no free name for the run's folder"))
    }

    /// Takes the folder of a run that has ended, to go on with it.
    ///
    /// # Errors
    ///
    /// A process of the run lives (the kind is `WouldBlock`), or the folder cannot be used.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default();
        let lock = file(&path.join("lock"))?;
        // Somebody who only looks whether the run lives has the lock for a moment.
        let mut taken = lock.try_lock();
        for _ in 0..20 {
            if taken.is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
            taken = lock.try_lock();
        }
        taken?;
        Ok(Self {
            id: name.to_string_lossy().into_owned(),
            path: path.to_owned(),
            lock: Arc::new(lock),
        })
    }

    /// The folder of a task, or of one item of it.
    pub(crate) fn task(&self, id: &str, item: Option<usize>) -> PathBuf {
        let folder = self.path.join("tasks").join(id);
        item.map_or(folder.clone(), |item| folder.join(item.to_string()))
    }
}

/// Makes a folder that only the user may read, with its parents.
///
/// # Errors
///
/// The folder cannot be made.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens a new file for writing.
///
/// # Errors
///
/// The file cannot be made.
pub(crate) fn file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Opens a file for writing at its end.
///
/// # Errors
///
/// The file cannot be made.
pub(crate) fn appended(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Writes a file and opens it for reading.
///
/// # Errors
///
/// The file cannot be written or read.
pub(crate) fn fed(path: &Path, content: &[u8]) -> io::Result<File> {
    file(path)?.write_all(content)?;
    File::open(path)
}

/// What the ids of runs can tell apart.
const TICK: Duration = Duration::from_nanos(1_000_000_000_u64.div_ceil(1 << 16));

/// The id of a run that starts then, with the fraction of the second at its end: the order of ids is that of the starts.
fn id(since_epoch: Duration) -> String {
    let fraction = (u64::from(since_epoch.subsec_nanos()) << 16) / 1_000_000_000;
    format!("{}-{fraction:04x}", stamp(since_epoch))
}

/// A moment since 1970 in UTC as `20261121-051102`.
fn stamp(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's days-to-civil algorithm, from 1970 on.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests;
