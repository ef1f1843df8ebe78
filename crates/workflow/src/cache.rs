//! Results by what they were computed from, in memory and, if they are to outlive the process, on disk.
//!
//! # On disk
//! Each result is a file of its own, named by the digest of its key, that appears whole or not at all: it is written under
//! another name and renamed. It carries a checksum; one that is damaged is not there, which [`CacheStats::damaged`] and a
//! warning tell. So a process may be killed, and the power may go, at any instant. Several processes may have one folder
//! open: each finds what the others have kept and nothing that any of them has invalidated; the same result may be computed
//! once in each of them at the same time.
//!
//! What is invalidated is never found again, also if somebody is computing it meanwhile, in whatever process: a result
//! carries the number of the last invalidation that its computation can have seen, and counts as long as no later one is
//! about it. That list is synced to the disk before [`invalidate_tag`](ResultCache::invalidate_tag) and its like return.
//!
//! Results are on the disk as they are, readable by their owner only: what must not be there must not be cached. Keys are
//! there as digests; tags and the names of types as they are.
//!
//! Why not a library: [cacache](https://docs.rs/cacache) has the files and the checksums, and no bound, time or tag;
//! [foyer](https://docs.rs/foyer) has a bound, and belongs to one process; a database in a file
//! ([redb](https://docs.rs/redb)) is for one process at a time as well.

mod disk;
mod entry;
mod invalidations;

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;
use serde::Serialize;

use crate::context::Context;
use crate::durable::{Codec, Durable, Keeps, Volatile};
use crate::task::{Output, Task, TaskError};
use disk::{Disk, Looked};
use invalidations::Target;

/// Keeps what was computed, and computes nothing twice at a time.
///
/// Who asks for a key that is being computed waits for that computation and gets its result: a thousand tasks with the same
/// question ask a model once. If whoever computes is cancelled, one of those that wait computes in its place. A failure is
/// told to all who wait and is not kept. What is least recently and least often used goes first when the cache is full
/// (TinyLFU, Einziger, Friedman and Manes, 2017, by [moka](https://docs.rs/moka)).
///
/// Cheap to clone; clones share the results. One that is [opened](CacheBuilder::open) in a folder finds there what other
/// processes have kept, and takes only results that can be kept, which the compiler checks.
///
/// # Examples
/// ```
/// use tidegate_workflow::cache::{Key, ResultCache};
/// use tidegate_workflow::{Context, Graph, Orchestrator, Task, TaskError};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cache = ResultCache::builder().capacity(10_000).build();
/// let mut graph = Graph::new();
/// for id in ["first", "second"] {
///     let key = |_: &Context| Key::new("square", 1, &12_u64);
///     graph.add(Task::cached(id, &cache, key, async |_| Ok::<_, TaskError>(12_u64 * 12)))?;
/// }
/// let finished = Orchestrator::builder().build()?.run(graph).await?;
/// assert_eq!(*finished.output::<u64>("second")?, 144);
/// assert_eq!((cache.stats().computed, cache.stats().reused), (1, 1));
/// # Ok(()) }
/// ```
pub struct ResultCache<K = Volatile>(Arc<Shared>, PhantomData<fn() -> K>);

struct Shared {
    results: Cache<Key, Kept>,
    /// Counts what was invalidated. A result that was computed meanwhile may be of the past: it is handed out and not kept.
    invalidations: AtomicU64,
    computed: AtomicU64,
    reused: AtomicU64,
    time_to_live: Option<Duration>,
    disk: Option<Arc<Disk>>,
}

#[derive(Clone)]
struct Kept {
    output: Output,
    tags: Arc<[Arc<str>]>,
    /// How much longer it counts.
    lives: Option<Duration>,
}

/// Each result lives for as long as it says.
struct Lives;

impl Expiry<Key, Kept> for Lives {
    fn expire_after_create(&self, _: &Key, kept: &Kept, _: Instant) -> Option<Duration> {
        kept.lives
    }

    fn expire_after_update(
        &self,
        _: &Key,
        kept: &Kept,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        kept.lives
    }
}

/// What a result was computed from: the kind of the computation, its version and its inputs.
#[derive(Debug, Clone)]
pub struct Key {
    /// BLAKE3: nobody finds two inputs of one digest.
    digest: [u8; 32],
    tags: Arc<[Arc<str>]>,
}

/// What the cache has done, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStats {
    /// How many results were computed, failures among them.
    pub computed: u64,
    /// How often a result was there, or on its way.
    pub reused: u64,
    /// How many results are kept in memory, roughly: some may be about to go.
    pub kept: u64,
    /// How many of the reused ones came from the disk.
    pub from_disk: u64,
    /// How many results on the disk were damaged, and therefore not there.
    pub damaged: u64,
    /// How many results could not be kept on the disk, for instance because it is full; they were handed out all the same.
    pub not_kept: u64,
}

/// Settings of a [`ResultCache`].
#[derive(Debug, Clone, Copy)]
pub struct CacheBuilder {
    capacity: u64,
    time_to_live: Option<Duration>,
    disk_bytes: u64,
    compress_above: usize,
}

impl Key {
    /// A key of these. Raise the version when the computation changes: results of other versions are not found.
    ///
    /// # Errors
    /// The inputs cannot be serialized.
    pub fn new(
        kind: &str,
        version: u32,
        inputs: &(impl Serialize + ?Sized),
    ) -> Result<Self, TaskError> {
        let bytes = postcard::to_stdvec(&(kind, version, inputs))
            .map_err(|error| TaskError::fatal(format!("no cache key of `{kind}`: {error}")))?;
        Ok(Self { digest: *blake3::hash(&bytes).as_bytes(), tags: Arc::default() })
    }

    /// What the result depends on besides, for [`ResultCache::invalidate_tag`]. Tags do not tell keys apart.
    pub fn tags<T: Into<Arc<str>>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl<K> Clone for ResultCache<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), PhantomData)
    }
}

impl<K> fmt::Debug for ResultCache<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultCache").field("stats", &self.stats()).finish()
    }
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
        // What lives longer than a thousand years is more than the library takes.
        let longest = Duration::from_secs(1000 * 365 * 24 * 3600);
        let shared = Shared {
            results: Cache::builder()
                .max_capacity(self.capacity)
                .support_invalidation_closures()
                .expire_after(Lives)
                .build(),
            invalidations: AtomicU64::new(0),
            computed: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            time_to_live: self.time_to_live.map(|time| time.min(longest)),
            disk,
        };
        ResultCache(Arc::new(shared), PhantomData)
    }
}

impl ResultCache {
    /// A cache to be set up.
    pub fn builder() -> CacheBuilder {
        CacheBuilder::default()
    }

    /// Forgets the result of a key. One that is being computed is handed out to those who wait, and not kept.
    pub async fn invalidate(&self, key: &Key) {
        self.0.forget(&Target::Key(key.digest)).await;
    }

    /// Forgets every result with this tag, in the same way.
    pub async fn invalidate_tag(&self, tag: &str) {
        self.0.forget(&Target::Tag(tag.to_owned())).await;
    }

    /// Forgets everything, in the same way.
    pub async fn invalidate_all(&self) {
        self.0.forget(&Target::All).await;
    }
}

impl ResultCache<Durable> {
    /// Forgets the result of a key, for all processes and also if the power goes. One that is being computed, by whomever, is
    /// handed out to those who wait, and not kept.
    ///
    /// # Errors
    /// When that could not be written down. This process has forgotten it all the same.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it was forgotten.
    pub async fn invalidate(&self, key: &Key) -> io::Result<()> {
        self.0.forget_for_good(Target::Key(key.digest)).await
    }

    /// Forgets every result with this tag, in the same way.
    ///
    /// # Errors
    /// As [`invalidate`](Self::invalidate).
    pub async fn invalidate_tag(&self, tag: &str) -> io::Result<()> {
        self.0.forget_for_good(Target::Tag(tag.to_owned())).await
    }

    /// Forgets everything, in the same way.
    ///
    /// # Errors
    /// As [`invalidate`](Self::invalidate).
    pub async fn invalidate_all(&self) -> io::Result<()> {
        self.0.forget_for_good(Target::All).await
    }
}

impl<K> ResultCache<K> {
    /// The result of the key: as it is kept, from the computation that is under way, or by `compute`.
    ///
    /// # Errors
    /// What `compute` says, or whoever computed it meanwhile; or a result of another type was kept under this key.
    ///
    /// # Panics
    /// When `compute` does; others who wait then compute themselves.
    ///
    /// # Cancel safety
    /// Dropping the future while it computes lets one of those who wait begin anew. Nothing is kept.
    pub async fn get_or_compute<T, E>(
        &self,
        key: Key,
        compute: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<Arc<T>, TaskError>
    where
        K: Keeps<T>,
        T: Send + Sync + 'static,
        E: Into<TaskError>,
    {
        let shared = &*self.0;
        shared.hear_of_others().await;
        // ORDERING: SeqCst, as the increment: an invalidation that comes after this look is seen by the one below, or comes
        //   after the result is kept, and finds it.
        let before = shared.invalidations.load(Ordering::SeqCst);
        let mut source = Source::Others;
        let found = shared.results.try_get_with_by_ref(&key, async {
            let files = shared.files::<T>(&key, K::codec());
            if let Some(files) = &files
                && let Some(kept) = files.find().await
            {
                source = Source::Disk;
                return Ok(kept);
            }
            source = Source::Computed;
            let output: Output = Arc::new(compute.await.map_err(Into::into)?);
            if let Some(files) = &files {
                files.keep(&output).await;
            }
            Ok(Kept { output, tags: Arc::clone(&key.tags), lives: shared.time_to_live })
        });
        let found = found.await;
        let is_ours = source == Source::Computed;
        let count = if is_ours { &shared.computed } else { &shared.reused };
        // ORDERING: Relaxed; a figure for people.
        count.fetch_add(1, Ordering::Relaxed);
        let kept: Kept = found.map_err(|error: Arc<TaskError>| TaskError::shared(&error))?;
        // ORDERING: SeqCst; see above.
        if source != Source::Others && shared.invalidations.load(Ordering::SeqCst) != before {
            shared.results.invalidate(&key).await;
        }
        let output: Arc<dyn Any + Send + Sync> = kept.output;
        output.downcast().map_err(|_| {
            let wanted = std::any::type_name::<T>();
            TaskError::fatal(format!("the result kept under this key is no `{wanted}`"))
        })
    }

    /// What it has done so far, and what it holds.
    pub fn stats(&self) -> CacheStats {
        let shared = &*self.0;
        let told = shared.disk.as_ref().map(|disk| disk.told()).unwrap_or_default();
        // ORDERING: Relaxed; figures for people.
        CacheStats {
            computed: shared.computed.load(Ordering::Relaxed),
            reused: shared.reused.load(Ordering::Relaxed),
            kept: shared.results.entry_count(),
            from_disk: told.found,
            damaged: told.damaged,
            not_kept: told.not_kept,
        }
    }
}

/// Where a result came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// From memory, or from somebody else's computation.
    Others,
    Disk,
    Computed,
}

impl Shared {
    /// Forgets in memory what this is about.
    async fn forget(&self, target: &Target) {
        // ORDERING: SeqCst; see `get_or_compute`.
        self.invalidations.fetch_add(1, Ordering::SeqCst);
        match target {
            Target::All => self.results.invalidate_all(),
            Target::Key(digest) => {
                let key = Key { digest: *digest, tags: Arc::default() };
                self.results.invalidate(&key).await;
            }
            Target::Tag(tag) => {
                let tag: Box<str> = tag.as_str().into();
                let is_tagged = move |_: &Key, kept: &Kept| kept.tags.iter().any(|of| **of == *tag);
                let done = self.results.invalidate_entries_if(is_tagged);
                debug_assert!(done.is_ok(), "the builder allows it");
            }
        }
    }

    /// The same on the disk first, where other processes hear of it.
    async fn forget_for_good(&self, target: Target) -> io::Result<()> {
        let written = match &self.disk {
            Some(disk) => {
                let (disk, target) = (Arc::clone(disk), target.clone());
                blocking(move || disk.invalidate(&target))
                    .await
                    .unwrap_or_else(|| Err(io::Error::other("the runtime has shut down")))
            }
            None => Ok(()),
        };
        self.forget(&target).await;
        written
    }

    /// Forgets what other processes have invalidated.
    async fn hear_of_others(&self) {
        let Some(disk) = &self.disk else { return };
        let news = match disk.try_news() {
            Some(news) => Some(news),
            None => {
                let disk = Arc::clone(disk);
                blocking(move || disk.news()).await
            }
        };
        for target in news.into_iter().flatten() {
            self.forget(&target).await;
        }
    }

    /// The disk's side of one result.
    fn files<T>(&self, key: &Key, codec: Option<Codec>) -> Option<Files<'_>> {
        let disk = Arc::clone(self.disk.as_ref()?);
        let codec = codec?;
        // Before anything is computed: what is invalidated from here on is not about what will be.
        let place = disk.place(key.digest, &key.tags, std::any::type_name::<T>());
        Some(Files { shared: self, disk, place, codec, tags: Arc::clone(&key.tags) })
    }
}

/// The disk's side of one result.
struct Files<'a> {
    shared: &'a Shared,
    disk: Arc<Disk>,
    place: disk::Place,
    codec: Codec,
    tags: Arc<[Arc<str>]>,
}

impl Files<'_> {
    async fn find(&self) -> Option<Kept> {
        let (disk, place, limit) =
            (Arc::clone(&self.disk), self.place.clone(), self.shared.time_to_live);
        let Looked { value, age } = blocking(move || disk.find(&place, limit)).await.flatten()?;
        let Ok(output) = (self.codec.decode)(&value) else {
            self.disk.is_unreadable(&self.place);
            return None;
        };
        let lives = self.shared.time_to_live.map(|time| time.saturating_sub(age));
        Some(Kept { output, tags: Arc::clone(&self.tags), lives })
    }

    async fn keep(&self, output: &Output) {
        let value = match (self.codec.encode)(&**output) {
            Ok(value) => value,
            Err(error) => return self.disk.cannot_keep(&self.place, &error),
        };
        let (disk, place, limit) =
            (Arc::clone(&self.disk), self.place.clone(), self.shared.time_to_live);
        blocking(move || {
            if disk.keep(&place, &value) {
                disk.sweep(limit.unwrap_or(Duration::MAX));
            }
        })
        .await;
    }
}

/// Runs a call that waits for the disk where it holds up nobody, if there is such a place; `None` if the runtime is gone.
async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(call).await.ok(),
        Err(_) => Some(call()),
    }
}

impl<K> Task<K> {
    /// A task whose work is done only if the cache has no result for its key; otherwise as [`Task::new`] or
    /// [`Task::durable`]. The key is made of what the attempt sees: its inputs are there.
    ///
    /// While it waits for the same computation of another task it holds its slot. Outputs are cloned: wrap large ones in an
    /// `Arc`.
    pub fn cached<M, F, Fut, T, E>(
        id: impl Into<Arc<str>>,
        cache: &ResultCache<M>,
        key: impl Fn(&Context) -> Result<Key, TaskError> + Send + Sync + 'static,
        work: F,
    ) -> Self
    where
        K: Keeps<T>,
        M: Keeps<T>,
        F: Fn(Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Clone + Send + Sync + 'static,
        E: Into<TaskError> + Send + 'static,
    {
        let cache = cache.clone();
        Self::make(id, move |context: Context| {
            let cache = cache.clone();
            let key = key(&context);
            // Made here, polled only if nobody else computes.
            let attempt = work(context);
            async move {
                let result = cache.get_or_compute(key?, attempt).await?;
                Ok::<T, TaskError>((*result).clone())
            }
        })
    }
}

#[cfg(test)]
mod tests;
