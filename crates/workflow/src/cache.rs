//! Results by what they were computed from, in memory.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::future::Cache;
use serde::Serialize;

use crate::context::Context;
use crate::task::{Output, Task, TaskError};

/// Keeps what was computed, and computes nothing twice at a time.
///
/// Who asks for a key that is being computed waits for that computation and gets its result: a thousand tasks with the same
/// question ask a model once. If whoever computes is cancelled, one of those that wait computes in its place. A failure is
/// told to all who wait and is not kept. What is least recently and least often used goes first when the cache is full
/// (TinyLFU, Einziger, Friedman and Manes, 2017, by [moka](https://docs.rs/moka)).
///
/// Cheap to clone; clones share the results.
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
#[derive(Clone)]
pub struct ResultCache(Arc<Shared>);

struct Shared {
    results: Cache<Key, Kept>,
    /// Counts what was invalidated. A result that was computed meanwhile may be of the past: it is handed out and not kept.
    invalidations: AtomicU64,
    computed: AtomicU64,
    reused: AtomicU64,
}

#[derive(Clone)]
struct Kept {
    output: Output,
    tags: Arc<[Arc<str>]>,
}

/// What a result was computed from: the kind of the computation, its version and its inputs.
#[derive(Debug, Clone)]
pub struct Key {
    bytes: Arc<[u8]>,
    tags: Arc<[Arc<str>]>,
}

/// What the cache has done, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStats {
    /// How many results were computed, failures among them.
    pub computed: u64,
    /// How often a result was there, or on its way.
    pub reused: u64,
    /// How many results are kept, roughly: some may be about to go.
    pub kept: u64,
}

/// Settings of a [`ResultCache`].
#[derive(Debug, Clone, Copy)]
pub struct CacheBuilder {
    capacity: u64,
    time_to_live: Option<Duration>,
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
        Ok(Self { bytes: bytes.into(), tags: Arc::default() })
    }

    /// What the result depends on besides, for [`ResultCache::invalidate_tag`]. Tags do not tell keys apart.
    pub fn tags<T: Into<Arc<str>>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl fmt::Debug for ResultCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultCache").field("stats", &self.stats()).finish()
    }
}

impl Default for CacheBuilder {
    fn default() -> Self {
        Self { capacity: 10_000, time_to_live: None }
    }
}

impl CacheBuilder {
    /// The most results that are kept; 10,000 by default.
    pub fn capacity(mut self, results: u64) -> Self {
        self.capacity = results;
        self
    }

    /// How long a result is kept after it was computed; as long as there is room by default.
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = Some(time);
        self
    }

    /// The cache, empty.
    pub fn build(self) -> ResultCache {
        let results = Cache::builder().max_capacity(self.capacity).support_invalidation_closures();
        // What lives longer than a thousand years is more than the library takes.
        let longest = Duration::from_secs(1000 * 365 * 24 * 3600);
        let results = match self.time_to_live {
            Some(time) => results.time_to_live(time.min(longest)),
            None => results,
        };
        ResultCache(Arc::new(Shared {
            results: results.build(),
            invalidations: AtomicU64::new(0),
            computed: AtomicU64::new(0),
            reused: AtomicU64::new(0),
        }))
    }
}

impl ResultCache {
    /// A cache to be set up.
    pub fn builder() -> CacheBuilder {
        CacheBuilder::default()
    }

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
        T: Send + Sync + 'static,
        E: Into<TaskError>,
    {
        let shared = &*self.0;
        // ORDERING: SeqCst, as the increment: an invalidation that comes after this look is seen by the one below, or comes
        //   after the result is kept, and finds it.
        let before = shared.invalidations.load(Ordering::SeqCst);
        let mut is_ours = false;
        let tags = Arc::clone(&key.tags);
        let found = shared.results.try_get_with_by_ref(&key, async {
            is_ours = true;
            match compute.await {
                Ok(value) => Ok(Kept { output: Arc::new(value), tags }),
                Err(error) => Err(error.into()),
            }
        });
        let found = found.await;
        let count = if is_ours { &shared.computed } else { &shared.reused };
        // ORDERING: Relaxed; a figure for people.
        count.fetch_add(1, Ordering::Relaxed);
        let kept: Kept = found.map_err(|error: Arc<TaskError>| TaskError::shared(&error))?;
        // ORDERING: SeqCst; see above.
        if is_ours && shared.invalidations.load(Ordering::SeqCst) != before {
            shared.results.invalidate(&key).await;
        }
        let output: Arc<dyn Any + Send + Sync> = kept.output;
        output.downcast().map_err(|_| {
            let wanted = std::any::type_name::<T>();
            TaskError::fatal(format!("the result kept under this key is no `{wanted}`"))
        })
    }

    /// Forgets the result of a key. One that is being computed is handed out to those who wait, and not kept.
    pub async fn invalidate(&self, key: &Key) {
        self.invalidating();
        self.0.results.invalidate(key).await;
    }

    /// Forgets every result with this tag, in the same way.
    pub fn invalidate_tag(&self, tag: &str) {
        self.invalidating();
        let tag: Box<str> = tag.into();
        let is_tagged = move |_: &Key, kept: &Kept| kept.tags.iter().any(|of| **of == *tag);
        let done = self.0.results.invalidate_entries_if(is_tagged);
        debug_assert!(done.is_ok(), "the builder allows it");
    }

    /// Forgets everything, in the same way.
    pub fn invalidate_all(&self) {
        self.invalidating();
        self.0.results.invalidate_all();
    }

    fn invalidating(&self) {
        // ORDERING: SeqCst; see `get_or_compute`.
        self.0.invalidations.fetch_add(1, Ordering::SeqCst);
    }

    /// What it has done so far, and what it holds.
    pub fn stats(&self) -> CacheStats {
        // ORDERING: Relaxed; figures for people.
        CacheStats {
            computed: self.0.computed.load(Ordering::Relaxed),
            reused: self.0.reused.load(Ordering::Relaxed),
            kept: self.0.results.entry_count(),
        }
    }
}

impl Task {
    /// A task whose work is done only if the cache has no result for its key; otherwise as [`Task::new`]. The key is made of
    /// what the attempt sees: its inputs are there.
    ///
    /// While it waits for the same computation of another task it holds its slot. Outputs are cloned: wrap large ones in an
    /// `Arc`.
    pub fn cached<F, Fut, T, E>(
        id: impl Into<Arc<str>>,
        cache: &ResultCache,
        key: impl Fn(&Context) -> Result<Key, TaskError> + Send + Sync + 'static,
        work: F,
    ) -> Self
    where
        F: Fn(Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Clone + Send + Sync + 'static,
        E: Into<TaskError> + Send + 'static,
    {
        let cache = cache.clone();
        Self::new(id, move |context: Context| {
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
