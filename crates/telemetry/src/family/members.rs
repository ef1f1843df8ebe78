//! The series of a family, whatever they hold.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::family::{Heads, Writer};
use crate::labels::Labels;
use crate::snapshot::Value;
use crate::storage::Storage;
use crate::store::Store;

/// The series of a family, whatever they hold and wherever they come from.
pub(crate) trait Members: fmt::Debug + Send + Sync {
    /// Appends the lines of every series.
    fn write(&self, heads: &Heads, to: &mut Writer<'_>);

    /// The value of the series with these labels.
    fn value(&self, values: &[&str]) -> Option<Value>;

    /// Calls `visit` with every series.
    fn each_value(&self, visit: &mut dyn FnMut(&Labels, Value));

    /// Removes series that were not used for long.
    fn expire(&self, now: Instant);

    /// How often there was one label set too many.
    fn overflowed(&self) -> u64;

    /// How many values were left out.
    fn invalid(&self) -> u64;

    /// How many readings are missing.
    fn panics(&self) -> u64;

    /// Itself, for whoever knows what it is.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<M: Storage> Members for Store<M> {
    fn write(&self, heads: &Heads, to: &mut Writer<'_>) {
        self.each(|series| M::write(series, heads, to));
    }

    fn value(&self, values: &[&str]) -> Option<Value> {
        self.get(values).map(|series| series.value.read())
    }

    fn each_value(&self, visit: &mut dyn FnMut(&Labels, Value)) {
        self.each(|series| visit(&series.labels, series.value.read()));
    }

    fn expire(&self, now: Instant) {
        self.expire(now);
    }

    fn overflowed(&self) -> u64 {
        self.overflowed()
    }

    fn invalid(&self) -> u64 {
        M::invalid(self.spec())
    }

    fn panics(&self) -> u64 {
        0
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
