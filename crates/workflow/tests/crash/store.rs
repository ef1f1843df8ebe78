//! A file that kills its process when told to.

use std::io;
use std::path::Path;

use tidegate_workflow::journal::{FileStore, Store};

/// Where a journal touches its store: before it does, half way, and after.
pub(crate) const POINTS: [&str; 9] = [
    "before read",
    "after read",
    "before append",
    "half append",
    "after append",
    "before sync",
    "after sync",
    "before truncate",
    "after truncate",
];

pub(crate) struct DeadlyStore {
    file: FileStore,
    /// The point, and how often it is still to be passed.
    death: Option<(String, u32)>,
}

impl DeadlyStore {
    pub(crate) fn open(path: &Path, death: Option<(String, u32)>) -> io::Result<Self> {
        Ok(Self { file: FileStore::open(path)?, death })
    }

    fn is_at(&mut self, point: &str) -> bool {
        match &mut self.death {
            Some((at, times)) if at == point => {
                *times -= 1;
                *times == 0
            }
            _ => false,
        }
    }

    fn pass(&mut self, point: &str) {
        if self.is_at(point) {
            die();
        }
    }
}

fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}

impl Store for DeadlyStore {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        self.pass("before read");
        let bytes = self.file.read()?;
        self.pass("after read");
        Ok(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pass("before append");
        if self.is_at("half append") {
            self.file.append(&bytes[..bytes.len() / 2])?;
            die();
        }
        self.file.append(bytes)?;
        self.pass("after append");
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.pass("before sync");
        self.file.sync()?;
        self.pass("after sync");
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.pass("before truncate");
        self.file.truncate(len)?;
        self.pass("after truncate");
        Ok(())
    }
}
