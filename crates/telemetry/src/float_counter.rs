//! A number that only grows, by fractions too.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::LocalKey;
use std::time::Duration;

use crate::exemplar::{self, ExemplarError};
use crate::family::{Heads, Writer};
use crate::local;
use crate::series::{Handle, Series};
use crate::snapshot::Value;
use crate::storage::Storage;
use crate::store::Seen;

/// A number that only grows, by fractions too: seconds, money, energy; clones count together.
///
/// For whole numbers [`Counter`](crate::Counter) is exact where a float begins to round, at 2^53. It costs the same: a
/// plain load and store in a cell of the thread's own. At `f64::MAX` the count stays there.
///
/// ```
/// use tidegate_telemetry::Registry;
///
/// let registry = Registry::new();
/// let busy = registry.float_counter("busy_seconds_total", "Time spent working.")?;
/// busy.inc_by(0.25);
/// busy.inc_by_duration(std::time::Duration::from_millis(500));
/// assert_eq!(busy.value(), 0.75);
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FloatCounter {
    series: Handle<FloatCell>,
}

impl FloatCounter {
    pub(crate) fn new(series: Handle<FloatCell>) -> Self {
        Self { series }
    }

    /// Adds `amount`. One that is negative, infinite or no number is left out, and adds to
    /// `telemetry_invalid_observations_total`.
    #[inline]
    pub fn inc_by(&self, amount: f64) {
        self.series.value.add(amount);
    }

    /// Adds the seconds of a duration.
    #[inline]
    pub fn inc_by_duration(&self, duration: Duration) {
        self.inc_by(duration.as_secs_f64());
    }

    /// Adds `amount`, and shows `labels` (a trace id, say) beside the count in OpenMetrics until the next exemplar.
    ///
    /// Takes a lock: for the sampled few, not for every count. An amount that is left out has no exemplar.
    ///
    /// # Errors
    ///
    /// A label name cannot be used or comes twice, a value has a quote, or the labels are too long. `amount` is added
    /// all the same.
    pub fn inc_with_exemplar(
        &self,
        amount: f64,
        labels: &[(&str, &str)],
    ) -> Result<(), ExemplarError> {
        self.inc_by(amount);
        if !is_valid(amount) {
            return Ok(());
        }
        exemplar::keep(self.series.value.index, labels, amount)
    }

    /// The count so far; what this thread counted, and what others did before they told this thread, is in it.
    pub fn value(&self) -> f64 {
        self.series.value.get()
    }
}

/// Whether a counter can grow by this.
#[inline]
fn is_valid(amount: f64) -> bool {
    (0.0..f64::INFINITY).contains(&amount)
}

/// Where a counter of fractions counts: one cell in each thread.
#[derive(Debug)]
pub(crate) struct FloatCell {
    index: u32,
    /// Amounts that were left out, in all series of the family.
    invalid: Arc<AtomicU64>,
}

impl FloatCell {
    #[inline]
    pub(crate) fn add(&self, amount: f64) {
        if is_valid(amount) {
            local::add_float(self.index, amount);
        } else {
            // ORDERING: Relaxed; a count.
            self.invalid.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[inline]
    fn get(&self) -> f64 {
        local::float_total(self.index)
    }
}

impl Storage for FloatCell {
    type Spec = Arc<AtomicU64>;

    fn make(invalid: &Arc<AtomicU64>) -> Option<Self> {
        Some(Self { index: local::allocate(1)?, invalid: Arc::clone(invalid) })
    }

    fn version(&self) -> u64 {
        self.get().to_bits()
    }

    fn read(&self) -> Value {
        Value::Counter(self.get())
    }

    #[inline]
    fn write(series: &Series<Self>, heads: &Heads, to: &mut Writer<'_>) {
        to.line(heads, &series.labels, series.value.get());
        to.exemplar(series.value.index);
        to.created(heads, series);
    }

    fn invalid(invalid: &Arc<AtomicU64>) -> u64 {
        // ORDERING: Relaxed; a count.
        invalid.load(Ordering::Relaxed)
    }

    fn seen() -> &'static LocalKey<RefCell<Vec<Seen<Self>>>> {
        thread_local!(static SEEN: RefCell<Vec<Seen<FloatCell>>> = const { RefCell::new(Vec::new()) });
        &SEEN
    }
}

impl Drop for FloatCell {
    fn drop(&mut self) {
        local::release(self.index, 1);
    }
}
