//! One series: a label set and its value.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::hold::Hold;
use crate::labels::Labels;

/// A label set with its value; handles share it.
#[derive(Debug)]
pub(crate) struct Series<M> {
    pub(crate) value: M,
    pub(crate) hold: Hold,
    pub(crate) labels: Labels,
    /// Seconds since the epoch.
    pub(crate) created: f64,
}

impl<M> Series<M> {
    pub(crate) fn new(value: M, labels: Labels) -> Self {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
        // Milliseconds are what a scrape can tell apart.
        let created = (created * 1e3).round() / 1e3;
        Self { value, hold: Hold::new(), labels, created }
    }

    /// Whether it is live and has these labels.
    #[inline(always)]
    pub(crate) fn is(&self, names: &[String], values: &[&str]) -> bool {
        self.labels.are(names, values) && !self.hold.is_removed()
    }

    /// Reads a little of everything that writing a line of the series will read.
    #[inline]
    pub(crate) fn touch(&self) -> usize {
        let labels = self.labels.with_tail();
        usize::from(self.hold.is_removed())
            + usize::from(labels.first().copied().unwrap_or_default())
            + usize::from(labels.last().copied().unwrap_or_default())
    }
}

/// A user's hold on a series, which keeps it from expiring.
pub(crate) struct Handle<M>(Arc<Series<M>>);

impl<M> Handle<M> {
    /// The first handle whose series was live when it was taken: one that was removed between being found and being
    /// taken would never be read.
    pub(crate) fn first_live(mut find: impl FnMut() -> (Self, bool)) -> Self {
        loop {
            if let (handle, true) = find() {
                return handle;
            }
        }
    }

    /// A handle, and whether the series was live when it was taken.
    pub(crate) fn new(series: &Arc<Series<M>>) -> (Self, bool) {
        let live = series.hold.take();
        (Self(Arc::clone(series)), live)
    }
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self::new(&self.0).0
    }
}

impl<M> Drop for Handle<M> {
    fn drop(&mut self) {
        self.0.hold.give();
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

#[cfg(test)]
mod tests;
