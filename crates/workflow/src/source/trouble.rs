//! What a source could not read, counted and kept.

use std::time::Duration;

use parking_lot::Mutex;
use tidegate_telemetry::Counter;

/// The last read of the source that left something out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTrouble {
    /// How many reads have left something out, this one included; `orchestrator_source_failures_total` is the same.
    pub count: u64,
    /// When, since the orchestrator was built.
    pub at: Duration,
    /// Why.
    pub why: String,
    /// Whether the read after it was complete.
    pub is_over: bool,
}

/// The trouble that the controller has had with its source.
#[derive(Debug)]
pub(crate) struct Troubles {
    failures: Counter,
    last: Mutex<Option<SourceTrouble>>,
}

impl Troubles {
    pub(crate) fn new(failures: Counter) -> Self {
        Self { failures, last: Mutex::new(None) }
    }

    pub(crate) fn last(&self) -> Option<SourceTrouble> {
        self.last.lock().clone()
    }

    /// A read has ended like this.
    pub(crate) fn read(&self, at: Duration, trouble: Option<String>) {
        let mut last = self.last.lock();
        let Some(why) = trouble else {
            last.iter_mut().for_each(|trouble| trouble.is_over = true);
            return;
        };
        self.failures.inc();
        let is_news = last.as_ref().is_none_or(|last| last.is_over || last.why != why);
        if is_news {
            tracing::warn!(why, "the metrics source has not read everything; the limit may stay");
        }
        let count = last.as_ref().map_or(0, |last| last.count) + 1;
        *last = Some(SourceTrouble { count, at, why, is_over: false });
    }
}
