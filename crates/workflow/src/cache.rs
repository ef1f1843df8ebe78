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

mod builder;
mod disk;
mod entry;
mod invalidations;
mod key;
mod shared;

use std::any::Any;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::context::Context;
use crate::durable::{Durable, Keeps, Volatile};
use crate::task::{Output, Task, TaskError};
use invalidations::Target;
use shared::{Kept, Shared};

pub use builder::CacheBuilder;
pub use key::Key;

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

/// What the cache has done, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStats {
    /// How many results were computed, failures among them.
    pub computed: u64,
    /// How often a result was there, or on its way.
    pub reused: u64,
    /// How many results are kept in memory, as was last counted: those of the last moments may be missing, and some may be
    /// about to go.
    pub kept: u64,
    /// How many of the reused ones came from the disk.
    pub from_disk: u64,
    /// How many results on the disk were damaged, and therefore not there.
    pub damaged: u64,
    /// How many results could not be kept on the disk, for instance because it is full; they were handed out all the same.
    pub not_kept: u64,
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

impl ResultCache {
    /// A cache to be set up.
    pub fn builder() -> CacheBuilder {
        CacheBuilder::default()
    }

    /// Forgets the result of a key. One that is being computed is handed out to those who wait, and not kept.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it was forgotten.
    pub async fn invalidate(&self, key: &Key) {
        self.0.forget(&Target::Key(key.digest)).await;
    }

    /// Forgets every result with this tag, in the same way.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it was forgotten.
    pub async fn invalidate_tag(&self, tag: &str) {
        self.0.forget(&Target::Tag(tag.to_owned())).await;
    }

    /// Forgets everything, in the same way.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it was forgotten.
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
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it was forgotten.
    pub async fn invalidate_tag(&self, tag: &str) -> io::Result<()> {
        self.0.forget_for_good(Target::Tag(tag.to_owned())).await
    }

    /// Forgets everything, in the same way.
    ///
    /// # Errors
    /// As [`invalidate`](Self::invalidate).
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it was forgotten.
    pub async fn invalidate_all(&self) -> io::Result<()> {
        self.0.forget_for_good(Target::All).await
    }
}

impl<K> ResultCache<K> {
    /// The result of the key: as it is kept, from the computation that is under way, or by `compute`. A computation that asks
    /// for its own key waits for itself, without end.
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
