//! One series: a label set and the storage of its value.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::LocalKey;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::labels::Labels;
use crate::local;
use crate::store::Seen;

/// A label set with its value; handles share it.
#[derive(Debug)]
pub(crate) struct Series<M> {
    pub(crate) value: M,
    pub(crate) labels: Labels,
    /// Seconds since the epoch.
    pub(crate) created: f64,
    handles: AtomicU32,
    removed: AtomicBool,
}

impl<M> Series<M> {
    pub(crate) fn new(value: M, labels: Labels) -> Self {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
        // Milliseconds are what a scrape can tell apart.
        let created = (created * 1e3).round() / 1e3;
        Self { value, labels, created, handles: AtomicU32::new(0), removed: AtomicBool::new(false) }
    }

    /// Reads a little of everything that writing a line of the series will read.
    #[inline]
    pub(crate) fn touch(&self) -> usize {
        let labels = self.labels.with_tail();
        usize::from(self.is_removed())
            + usize::from(labels.first().copied().unwrap_or_default())
            + usize::from(labels.last().copied().unwrap_or_default())
    }

    pub(crate) fn is_held(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `Handle::drop`.
        self.handles.load(Ordering::Acquire) > 0
    }

    #[inline]
    pub(crate) fn is_removed(&self) -> bool {
        // ORDERING: Relaxed; nothing else is read because of it.
        self.removed.load(Ordering::Relaxed)
    }

    pub(crate) fn remove(&self) {
        // ORDERING: Relaxed; see `is_removed`.
        self.removed.store(true, Ordering::Relaxed);
    }
}

/// A user's hold on a series, which keeps it from expiring.
pub(crate) struct Handle<M>(Arc<Series<M>>);

impl<M> Handle<M> {
    pub(crate) fn new(series: Arc<Series<M>>) -> Self {
        // ORDERING: Relaxed; a count of holders, whose memory the `Arc` beside it guards.
        series.handles.fetch_add(1, Ordering::Relaxed);
        Self(series)
    }
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl<M> Drop for Handle<M> {
    fn drop(&mut self) {
        // ORDERING: Release; pairs with the Acquire in `is_held`: who sees no holder sees what the holders wrote.
        self.0.handles.fetch_sub(1, Ordering::Release);
    }
}

impl<M> Deref for Handle<M> {
    type Target = Series<M>;

    #[inline]
    fn deref(&self) -> &Series<M> {
        &self.0
    }
}

impl<M: fmt::Debug> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a series holds its value in.
pub(crate) trait Storage: Sized + Send + Sync + 'static {
    /// What all series of a family share.
    type Spec: Clone + Send + Sync;

    /// A new value at zero; `None` when the process has no cells left.
    fn make(spec: &Self::Spec) -> Option<Self>;

    /// Differs when the value was touched (for a gauge: when it changed).
    fn version(&self) -> u64;

    /// The tables that the calling thread saw last.
    fn seen() -> &'static LocalKey<RefCell<Vec<Seen<Self>>>>;
}

/// Where a counter counts: one cell in each thread.
#[derive(Debug)]
pub(crate) struct CounterCell(u32);

impl Storage for CounterCell {
    type Spec = ();

    fn make((): &()) -> Option<Self> {
        local::allocate(1).map(Self)
    }

    fn version(&self) -> u64 {
        self.get()
    }

    fn seen() -> &'static LocalKey<RefCell<Vec<Seen<Self>>>> {
        thread_local!(static SEEN: RefCell<Vec<Seen<CounterCell>>> = const { RefCell::new(Vec::new()) });
        &SEEN
    }
}

impl CounterCell {
    pub(crate) fn index(&self) -> u32 {
        self.0
    }

    #[inline]
    pub(crate) fn add(&self, n: u64) {
        local::add(self.0, n);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        local::total(self.0)
    }
}

impl Drop for CounterCell {
    fn drop(&mut self) {
        local::release(self.0, 1);
    }
}

/// The value of a gauge, as the bits of a float.
#[derive(Debug, Default)]
pub(crate) struct GaugeCell(AtomicU64);

impl Storage for GaugeCell {
    type Spec = ();

    fn make((): &()) -> Option<Self> {
        Some(Self::default())
    }

    fn version(&self) -> u64 {
        self.get().to_bits()
    }

    fn seen() -> &'static LocalKey<RefCell<Vec<Seen<Self>>>> {
        thread_local!(static SEEN: RefCell<Vec<Seen<GaugeCell>>> = const { RefCell::new(Vec::new()) });
        &SEEN
    }
}

impl GaugeCell {
    #[inline]
    pub(crate) fn set(&self, value: f64) {
        // ORDERING: Relaxed; a gauge tells nothing about other memory.
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn add(&self, delta: f64) {
        // ORDERING: Relaxed, both; as `set`.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
            Some((f64::from_bits(bits) + delta).to_bits())
        });
    }

    #[inline]
    pub(crate) fn get(&self) -> f64 {
        // ORDERING: Relaxed; as `set`.
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}
