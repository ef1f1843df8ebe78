//! A cache to be set up.

use std::io;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ResultCache;
use super::disk::Disk;
use super::shared::Shared;
use crate::durable::Durable;

/// Settings of a [`ResultCache`].
#[derive(Debug, Clone, Copy)]
pub struct CacheBuilder {
    capacity: u64,
    time_to_live: Option<Duration>,
    disk_bytes: u64,
    compress_above: usize,
}

impl Default for CacheBuilder {
    fn default() -> Self {
        Self { capacity: 10_000, time_to_live: None, disk_bytes: 1 << 30, compress_above: 1024 }
    }
}

impl CacheBuilder {
    /// The most results that are kept in memory; 10,000 by default.
    pub fn capacity(mut self, results: u64) -> Self {
        self.capacity = results;
        self
    }

    /// How long a result is kept after it was computed, by whichever process; as long as there is room by default.
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = Some(time);
        self
    }

    /// The most room that results take on the disk, in bytes; 1 GiB by default. What was used least recently goes first.
    /// Between two looks at what there is, each process that has the folder open may go over it by a sixteenth.
    pub fn disk_bytes(mut self, bytes: u64) -> Self {
        self.disk_bytes = bytes;
        self
    }

    /// Results on the disk of more than so many bytes are compressed (LZ4) if that makes them smaller; 1,024 by default.
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.compress_above = bytes;
        self
    }

    /// The cache in memory, empty.
    pub fn build(self) -> ResultCache {
        self.with(None)
    }

    /// The cache in this folder, which is made if it is not there; results that are used are in memory as well.
    ///
    /// It blocks for as long as it takes to look through the folder.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written, or holds something else, which is left as it is.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::cache::{Key, ResultCache};
    /// use tidegate_workflow::{Context, Graph, Orchestrator, Task, TaskError};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = std::env::temp_dir().join(format!("tidegate-doc-cache-{}", std::process::id()));
    /// let mut computed = Vec::new();
    /// for process in ["first", "second"] {
    ///     let cache = ResultCache::builder().disk_bytes(64 << 20).open(&folder)?;
    ///     let mut graph = Graph::durable();
    ///     let key = |_: &Context| Ok::<_, TaskError>(Key::new("square", 1, &12_u64)?.tags(["sums"]));
    ///     graph.add(Task::cached("square", &cache, key, async |_| Ok::<_, TaskError>(12_u64 * 12)))?;
    ///     let finished = Orchestrator::builder().build()?.run(graph).await?;
    ///     assert_eq!(*finished.output::<u64>("square")?, 144);
    ///     computed.push(cache.stats().computed);
    /// }
    /// assert_eq!(computed, [1, 0]);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok(()) }
    /// ```
    pub fn open(self, folder: impl Into<PathBuf>) -> io::Result<ResultCache<Durable>> {
        let disk = Disk::open(folder.into(), self.disk_bytes, self.compress_above)?;
        disk.sweep(self.time_to_live.unwrap_or(Duration::MAX));
        Ok(self.with(Some(Arc::new(disk))))
    }

    fn with<K>(self, disk: Option<Arc<Disk>>) -> ResultCache<K> {
        let shared = Shared::new(self.capacity, self.time_to_live, disk);
        ResultCache(Arc::new(shared), PhantomData)
    }
}
