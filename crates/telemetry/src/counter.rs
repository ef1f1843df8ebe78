//! A number that only grows.

use std::sync::Arc;

use crate::exemplar::{self, ExemplarError};
use crate::series::{CounterCell, Handle, Series};

/// A number that only grows; clones count together.
///
/// Threads count in cells of their own, so that counting costs a plain load and store however many threads do it. At
/// `u64::MAX` the count stays there; it never goes down.
///
/// ```
/// use tidegate_telemetry::Registry;
///
/// let registry = Registry::new();
/// let requests = registry.counter("requests_total", "Requests answered.")?;
/// requests.inc();
/// requests.inc_by(2);
/// assert_eq!(requests.value(), 3);
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Counter {
    series: Handle<CounterCell>,
}

impl Counter {
    pub(crate) fn new(series: Arc<Series<CounterCell>>) -> Self {
        Self { series: Handle::new(series) }
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.series.value.add(1);
    }

    /// Adds `n`.
    #[inline]
    pub fn inc_by(&self, n: u64) {
        self.series.value.add(n);
    }

    /// Adds `n`, and shows `labels` (a trace id, say) beside the count in OpenMetrics until the next exemplar.
    ///
    /// Takes a lock: for the sampled few, not for every count.
    ///
    /// # Errors
    ///
    /// A label name cannot be used or comes twice, a value has a quote, or the labels are too long. `n` is added all the same.
    pub fn inc_with_exemplar(&self, n: u64, labels: &[(&str, &str)]) -> Result<(), ExemplarError> {
        self.inc_by(n);
        exemplar::keep(self.series.value.index(), labels, n as f64)
    }

    /// The count so far; what this thread counted, and what others did before they told this thread, is in it.
    pub fn value(&self) -> u64 {
        self.series.value.get()
    }
}
