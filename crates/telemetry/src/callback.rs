//! Values that are asked for when they are read.

mod many;
mod one;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use many::CallbackVec;
pub use many::Readings;
pub(crate) use one::Callback;

use crate::kind::Kind;
use crate::snapshot::Value;

/// How often foreign code panicked.
#[derive(Debug, Default)]
struct Panics(AtomicU64);

impl Panics {
    /// What `foreign` gives; `None` when it panicked.
    fn contain<T>(&self, foreign: impl FnOnce() -> T) -> Option<T> {
        let result = catch_unwind(AssertUnwindSafe(foreign)).ok();
        if result.is_none() {
            // ORDERING: Relaxed; a count.
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    fn count(&self) -> u64 {
        // ORDERING: Relaxed; a count.
        self.0.load(Ordering::Relaxed)
    }
}

fn number(kind: Kind, value: f64) -> Value {
    if kind == Kind::Counter { Value::Counter(value) } else { Value::Gauge(value) }
}

/// A reading of a counter: 0 for what is no number or negative.
fn grown(value: f64) -> f64 {
    if value > 0.0 { value } else { 0.0 }
}
