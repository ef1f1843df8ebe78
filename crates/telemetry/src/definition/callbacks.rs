//! Metrics whose values are asked for when they are read.

use std::sync::Arc;

use crate::callback::{Callback, CallbackVec, Readings};
use crate::definition::Definition;
use crate::error::RegisterError;
use crate::family::Shape;
use crate::kind::Kind;

impl Definition<'_> {
    /// Registers a counter whose value is asked for at each reading.
    ///
    /// It never goes down: a lower reading than before, or one that is no number, changes nothing. Where the callback
    /// panics, the reading is left out, and `telemetry_callback_panics_total` counts it.
    ///
    /// # Errors
    ///
    /// As [`counter`](Self::counter); a metric that is there is never the same, `or_existing` or not.
    pub fn counter_fn(
        self,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        self.callback(Kind::Counter, Box::new(read))
    }

    /// Registers a gauge whose value is asked for at each reading; no lock is held meanwhile.
    ///
    /// Where the callback panics, the reading is left out, and `telemetry_callback_panics_total` counts it.
    ///
    /// ```
    /// # let registry = tidegate_telemetry::Registry::new();
    /// let started = std::time::Instant::now();
    /// registry.define("up_seconds", "Time since the start.").gauge_fn(move || started.elapsed().as_secs_f64())?;
    /// assert!(registry.value("up_seconds").is_some_and(|seconds| seconds >= 0.0));
    /// # Ok::<(), tidegate_telemetry::RegisterError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`gauge`](Self::gauge); a metric that is there is never the same, `or_existing` or not.
    pub fn gauge_fn(
        self,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        self.callback(Kind::Gauge, Box::new(read))
    }

    /// Registers counters that are told apart by labels and asked for at each reading; see
    /// [`gauge_vec_fn`](Self::gauge_vec_fn).
    ///
    /// None of them goes down: where a reading is lower than the one before, or no number, the one before stands. A
    /// label set that one reading left out begins anew.
    ///
    /// # Errors
    ///
    /// As [`counter_vec`](Self::counter_vec); a metric that is there is never the same, `or_existing` or not.
    pub fn counter_vec_fn<const N: usize>(
        self,
        labels: [&str; N],
        read: impl Fn(&mut Readings<'_, N>) + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        self.callbacks(Kind::Counter, labels, read)
    }

    /// Registers gauges that are told apart by labels and asked for at each reading; no lock is held meanwhile.
    ///
    /// The metric has the series that the callback names, and no others: what is gone from the program is gone from the
    /// next scrape. They are written in the order of their labels. Label sets past
    /// [`max_series`](Self::max_series) are left out, and `telemetry_overflow_total` counts them. Where the callback
    /// panics, all are left out, and `telemetry_callback_panics_total` counts it.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// # let registry = tidegate_telemetry::Registry::new();
    ///
    /// let queues = Arc::new(Mutex::new(vec![("mail", 3), ("video", 0)]));
    /// let depths = Arc::clone(&queues);
    /// registry.define("queue_depth", "Jobs that wait.").gauge_vec_fn(["queue"], move |readings| {
    ///     for (name, depth) in depths.lock().unwrap().iter() {
    ///         readings.set([name], f64::from(*depth));
    ///     }
    /// })?;
    /// assert_eq!(registry.value_of("queue_depth", &[("queue", "mail")]), Some(3.0));
    /// queues.lock().unwrap().remove(0);
    /// assert_eq!(registry.value_of("queue_depth", &[("queue", "mail")]), None);
    /// # Ok::<(), tidegate_telemetry::RegisterError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`gauge_vec`](Self::gauge_vec); a metric that is there is never the same, `or_existing` or not.
    pub fn gauge_vec_fn<const N: usize>(
        self,
        labels: [&str; N],
        read: impl Fn(&mut Readings<'_, N>) + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        self.callbacks(Kind::Gauge, labels, read)
    }

    fn callback(
        mut self,
        kind: Kind,
        read: Box<dyn Fn() -> f64 + Send + Sync>,
    ) -> Result<(), RegisterError> {
        self.reuse = false;
        let callback = Callback::new(kind, read, self.braces());
        self.register(Shape::new(kind, &[], Vec::new()), || Some(Arc::new(callback)))?;
        Ok(())
    }

    fn callbacks<const N: usize>(
        mut self,
        kind: Kind,
        labels: [&str; N],
        read: impl Fn(&mut Readings<'_, N>) + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        self.reuse = false;
        let shape = Shape::new(kind, &labels, Vec::new());
        let read = Box::new(move |rows: &mut _| read(&mut Readings::new(rows)));
        let (names, braces) = (shape.labels.clone(), self.braces());
        let callback = CallbackVec::new(kind, names, read, braces, self.limits.max_series);
        self.register(shape, || Some(Arc::new(callback)))?;
        Ok(())
    }
}
