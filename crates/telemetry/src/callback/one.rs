//! One value that is asked for when it is read.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::{Panics, grown, number};
use crate::family::{Heads, Members, Writer};
use crate::kind::Kind;
use crate::labels::Labels;
use crate::snapshot::Value;

/// One value that is asked for when it is read, by foreign code that may panic.
pub(crate) struct Callback {
    kind: Kind,
    read: Box<dyn Fn() -> f64 + Send + Sync>,
    labels: Labels,
    /// The highest value of a counter so far, as bits.
    highest: AtomicU64,
    panics: Panics,
}

impl Callback {
    /// `braces`: constant labels come before the value.
    pub(crate) fn new(kind: Kind, read: Box<dyn Fn() -> f64 + Send + Sync>, braces: bool) -> Self {
        let labels = Labels::new(&[], &[], if braces { "} " } else { " " });
        Self { kind, read, labels, highest: AtomicU64::new(0), panics: Panics::default() }
    }

    /// The value now; `None` when the callback panicked. A counter that goes back, or is no number, stays where it was.
    fn now(&self) -> Option<f64> {
        let value = self.panics.contain(&self.read)?;
        if self.kind != Kind::Counter {
            return Some(value);
        }
        let bits = grown(value).to_bits();
        // Floats that are not negative are ordered as their bits are.
        // ORDERING: Relaxed; only the number counts.
        Some(f64::from_bits(self.highest.fetch_max(bits, Ordering::Relaxed).max(bits)))
    }
}

impl Members for Callback {
    fn write(&self, heads: &Heads, to: &mut Writer<'_>) {
        if let Some(value) = self.now() {
            to.line(heads, &self.labels, value);
        }
    }

    fn value(&self, _: &[&str]) -> Option<Value> {
        self.now().map(|value| number(self.kind, value))
    }

    fn each_value(&self, visit: &mut dyn FnMut(&Labels, Value)) {
        if let Some(value) = self.now() {
            visit(&self.labels, number(self.kind, value));
        }
    }

    fn expire(&self, _: Instant) {}

    fn overflowed(&self) -> u64 {
        0
    }

    fn invalid(&self) -> u64 {
        0
    }

    fn panics(&self) -> u64 {
        self.panics.count()
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("panics", &self.panics).finish_non_exhaustive()
    }
}
