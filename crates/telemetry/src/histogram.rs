//! Observations counted in buckets.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::LocalKey;
use std::time::{Duration, Instant};

use crate::buckets::MAX_BOUNDS;
use crate::exemplar::{self, ExemplarError};
use crate::family::{Heads, Writer};
use crate::local;
use crate::series::{Handle, Series};
use crate::snapshot::{HistogramSnapshot, Value};
use crate::storage::Storage;
use crate::store::Seen;

/// Counts observations in buckets, with their sum; clones count together.
///
/// A snapshot or a scrape has every observation wholly or not at all: count, sum and buckets always agree. A value that
/// is not finite is in none of them; it adds to `telemetry_invalid_observations_total`.
///
/// ```
/// use tidegate_telemetry::Registry;
///
/// let registry = Registry::new();
/// let seconds = registry.histogram("request_seconds", "Time to answer.", [0.1, 1.0])?;
/// seconds.observe(0.05);
/// seconds.observe(3.0);
/// let seen = seconds.snapshot();
/// assert_eq!((seen.count(), seen.sum()), (2, 3.05));
/// assert_eq!(seen.counts(), [1, 0, 1]);
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Histogram {
    series: Handle<HistogramCells>,
}

impl Histogram {
    pub(crate) fn new(series: Handle<HistogramCells>) -> Self {
        Self { series }
    }

    /// Counts `value` in the first bucket whose bound is not below it.
    #[inline]
    pub fn observe(&self, value: f64) {
        self.series.value.observe(value);
    }

    /// Counts `value`, and shows `labels` (a trace id, say) beside its bucket in OpenMetrics until the bucket's next
    /// exemplar.
    ///
    /// Takes a lock: for the sampled few, not for every observation. A value that is not finite has no exemplar.
    ///
    /// ```
    /// # use tidegate_telemetry::{Format, Registry};
    /// # let registry = Registry::new();
    /// let seconds = registry.histogram("wait_seconds", "Time waited.", [1.0])?;
    /// seconds.observe_with_exemplar(0.5, &[("trace_id", "4bf92f35")]).expect("the labels are short");
    /// assert!(registry.render(Format::OpenMetrics).contains("le=\"1.0\"} 1 # {trace_id=\"4bf92f35\"} 0.5 "));
    /// # Ok::<(), tidegate_telemetry::RegisterError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A label name cannot be used or comes twice, a value has a quote, or the labels are too long. The value is counted all the same.
    pub fn observe_with_exemplar(
        &self,
        value: f64,
        labels: &[(&str, &str)],
    ) -> Result<(), ExemplarError> {
        self.observe(value);
        if !value.is_finite() {
            return Ok(());
        }
        let cells = &self.series.value;
        exemplar::keep(cells.cell(cells.spec.bucket(value)), labels, value)
    }

    /// Counts a duration, in seconds.
    #[inline]
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(duration.as_secs_f64());
    }

    /// Observes the seconds until the timer is dropped.
    pub fn start_timer(&self) -> Timer {
        Timer { histogram: Some(self.clone()), started: Instant::now() }
    }

    /// Everything observed so far, exact.
    pub fn snapshot(&self) -> HistogramSnapshot {
        self.series.value.snapshot()
    }
}

/// Observes how long it lived; made by [`Histogram::start_timer`].
#[derive(Debug)]
#[must_use = "dropping the timer observes at once"]
pub struct Timer {
    histogram: Option<Histogram>,
    started: Instant,
}

impl Timer {
    /// Ends without an observation.
    pub fn discard(mut self) {
        self.histogram = None;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(histogram) = &self.histogram {
            histogram.observe_duration(self.started.elapsed());
        }
    }
}

/// What the series of one histogram family share.
#[derive(Debug)]
pub(crate) struct HistogramSpec {
    pub(crate) bounds: Vec<f64>,
    /// The bounds again, filled up to a multiple of four with bounds that no value passes; empty when there are many.
    padded: Vec<f64>,
    /// Observations that were not finite.
    invalid: AtomicU64,
}

impl HistogramSpec {
    pub(crate) fn new(bounds: Vec<f64>) -> Self {
        let few = if bounds.len() <= FEW { bounds.as_slice() } else { &[] };
        let mut padded = few.to_vec();
        padded.resize(few.len().next_multiple_of(4), f64::INFINITY);
        Self { bounds, padded, invalid: AtomicU64::new(0) }
    }

    /// Cells of one series, and one bucket more than bounds.
    fn width(&self) -> u32 {
        local::histogram_width(self.bounds.len() + 1)
    }

    /// The bucket of a finite value.
    #[inline]
    fn bucket(&self, value: f64) -> usize {
        // Few bounds: comparing with all of them costs no branch that could be mispredicted, and a known number of them
        // is a few vector instructions.
        match self.padded.len() {
            4 => passed::<4>(&self.padded, value),
            8 => passed::<8>(&self.padded, value),
            12 => passed::<12>(&self.padded, value),
            16 => passed::<16>(&self.padded, value),
            20 => passed::<20>(&self.padded, value),
            24 => passed::<24>(&self.padded, value),
            _ => self.bounds.partition_point(|bound| value > *bound),
        }
    }
}

/// How many of the first `N` bounds are below a finite `value`: those that leave a negative difference. The sign is
/// exact, since a difference of floats is zero only where they are equal, and no bound is `-0.0`.
#[inline]
fn passed<const N: usize>(bounds: &[f64], value: f64) -> usize {
    let first: &[f64; N] = bounds.first_chunk().expect("there are `N` bounds");
    first.iter().map(|bound| (bound - value).to_bits() >> 63).sum::<u64>() as usize
}

/// Up to so many bounds, a value is compared with each.
const FEW: usize = 24;

/// Where one histogram series counts: a run of cells in each thread.
#[derive(Debug)]
pub(crate) struct HistogramCells {
    start: u32,
    spec: Arc<HistogramSpec>,
}

impl Storage for HistogramCells {
    type Spec = Arc<HistogramSpec>;

    fn make(spec: &Arc<HistogramSpec>) -> Option<Self> {
        let start = local::allocate(spec.width())?;
        Some(Self { start, spec: Arc::clone(spec) })
    }

    fn version(&self) -> u64 {
        self.snapshot().count()
    }

    fn read(&self) -> Value {
        Value::Histogram(self.snapshot())
    }

    #[inline]
    fn write(series: &Series<Self>, heads: &Heads, to: &mut Writer<'_>) {
        to.histogram(heads, series);
        to.created(heads, series);
    }

    fn invalid(spec: &Self::Spec) -> u64 {
        // ORDERING: Relaxed; a count.
        spec.invalid.load(Ordering::Relaxed)
    }

    fn seen() -> &'static LocalKey<RefCell<Vec<Seen<Self>>>> {
        thread_local!(static SEEN: RefCell<Vec<Seen<HistogramCells>>> = const { RefCell::new(Vec::new()) });
        &SEEN
    }
}

impl HistogramCells {
    #[inline]
    pub(crate) fn observe(&self, value: f64) {
        if value.is_finite() {
            local::record(self.start, self.spec.bucket(value), value);
        } else {
            // ORDERING: Relaxed; a count.
            self.spec.invalid.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The cell of a bucket, by which its exemplar is kept.
    pub(crate) fn cell(&self, bucket: usize) -> u32 {
        local::bucket_cell(self.start, bucket)
    }

    /// Reads the count of each bucket into `buffers`; returns the counts and the sum.
    pub(crate) fn observed<'b>(&self, buffers: &'b mut Buffers) -> (&'b [u64], f64) {
        let buckets = self.spec.bounds.len() + 1;
        let (scratch, counts) = (&mut buffers.scratch[..buckets], &mut buffers.counts[..buckets]);
        let sum = local::observed(self.start, scratch, counts);
        (counts, sum)
    }

    pub(crate) fn snapshot(&self) -> HistogramSnapshot {
        let buckets = self.spec.bounds.len() + 1;
        let (mut scratch, mut counts) = (vec![0; buckets], vec![0; buckets]);
        let sum = local::observed(self.start, &mut scratch, &mut counts);
        HistogramSnapshot::new(self.spec.bounds.clone(), counts, sum)
    }
}

impl Drop for HistogramCells {
    fn drop(&mut self) {
        local::release(self.start, self.spec.width());
    }
}

/// Room to read any histogram into, so that writing the registry allocates nothing.
#[derive(Debug)]
pub(crate) struct Buffers {
    scratch: [u64; MAX_BOUNDS + 1],
    counts: [u64; MAX_BOUNDS + 1],
}

impl Buffers {
    pub(crate) fn new() -> Self {
        Self { scratch: [0; MAX_BOUNDS + 1], counts: [0; MAX_BOUNDS + 1] }
    }
}
