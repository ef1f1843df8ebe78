//! What a cache holds in memory, and its way to the disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;

use super::Key;
use super::disk::{Disk, Looked, Place};
use super::invalidations::Target;
use crate::durable::Codec;
use crate::task::Output;

/// The results of a cache and of its clones.
pub(super) struct Shared {
    pub(super) results: Cache<Key, Kept>,
    /// Counts what was invalidated. A result that was computed meanwhile may be of the past: it is handed out and not kept.
    pub(super) invalidations: AtomicU64,
    pub(super) computed: AtomicU64,
    pub(super) reused: AtomicU64,
    pub(super) time_to_live: Option<Duration>,
    pub(super) disk: Option<Arc<Disk>>,
}

/// A result in memory.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) output: Output,
    pub(super) tags: Arc<[Arc<str>]>,
    /// How much longer it counts.
    pub(super) lives: Option<Duration>,
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

impl Shared {
    pub(super) fn new(
        capacity: u64,
        time_to_live: Option<Duration>,
        disk: Option<Arc<Disk>>,
    ) -> Self {
        // What lives longer than a thousand years is more than the library takes.
        let longest = Duration::from_secs(1000 * 365 * 24 * 3600);
        Self {
            results: Cache::builder()
                .max_capacity(capacity)
                .support_invalidation_closures()
                .expire_after(Lives)
                .build(),
            invalidations: AtomicU64::new(0),
            computed: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            time_to_live: time_to_live.map(|time| time.min(longest)),
            disk,
        }
    }

    /// Forgets in memory what this is about.
    pub(super) async fn forget(&self, target: &Target) {
        // ORDERING: SeqCst; see `ResultCache::get_or_compute`.
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
    pub(super) async fn forget_for_good(&self, target: Target) -> io::Result<()> {
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
    pub(super) async fn hear_of_others(&self) {
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
    pub(super) fn files<T>(&self, key: &Key, codec: Option<Codec>) -> Option<Files<'_>> {
        let disk = Arc::clone(self.disk.as_ref()?);
        let codec = codec?;
        // Before anything is computed: what is invalidated from here on is not about what will be.
        let place = disk.place(key.digest, &key.tags, std::any::type_name::<T>());
        Some(Files { shared: self, disk, place, codec, tags: Arc::clone(&key.tags) })
    }
}

/// The disk's side of one result.
pub(super) struct Files<'a> {
    shared: &'a Shared,
    pub(super) disk: Arc<Disk>,
    pub(super) place: Place,
    codec: Codec,
    tags: Arc<[Arc<str>]>,
}

impl Files<'_> {
    pub(super) async fn find(&self) -> Option<Kept> {
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

    pub(super) async fn keep(&self, output: &Output) {
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
