//! A value that is asked for when it is read.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kind::Kind;
use crate::labels::Labels;

/// A value that is asked for when it is read, by foreign code that may panic.
pub(crate) struct Callback {
    read: Box<dyn Fn() -> f64 + Send + Sync>,
    pub(crate) labels: Labels,
    /// The highest value of a counter so far, as bits.
    highest: AtomicU64,
    panics: AtomicU64,
}

impl Callback {
    pub(crate) fn new(read: Box<dyn Fn() -> f64 + Send + Sync>, braces: bool) -> Self {
        let labels = Labels::new(&[], &[], if braces { "} " } else { " " });
        Self { read, labels, highest: AtomicU64::new(0), panics: AtomicU64::new(0) }
    }

    /// The value now; `None` when the callback panicked. A counter that goes back, or is no number, stays where it was.
    pub(crate) fn value(&self, kind: Kind) -> Option<f64> {
        let Ok(value) = catch_unwind(AssertUnwindSafe(&self.read)) else {
            // ORDERING: Relaxed; a count.
            self.panics.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        if kind != Kind::Counter {
            return Some(value);
        }
        let bits = if value > 0.0 { value.to_bits() } else { 0 };
        // Floats that are not negative are ordered as their bits are.
        // ORDERING: Relaxed; only the number counts.
        Some(f64::from_bits(self.highest.fetch_max(bits, Ordering::Relaxed).max(bits)))
    }

    pub(crate) fn panics(&self) -> u64 {
        // ORDERING: Relaxed; a count.
        self.panics.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("panics", &self.panics()).finish_non_exhaustive()
    }
}
