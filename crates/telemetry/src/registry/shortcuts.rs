//! Registering a metric that needs no more than a name and a help text.

use crate::buckets::Buckets;
use crate::counter::Counter;
use crate::error::RegisterError;
use crate::float_counter::FloatCounter;
use crate::gauge::Gauge;
use crate::histogram::Histogram;
use crate::registry::Registry;
use crate::vec::{CounterVec, FloatCounterVec, GaugeVec, HistogramVec};

impl Registry {
    /// Registers a counter; its name ends in `_total`.
    ///
    /// # Errors
    ///
    /// The name cannot be used, or a metric has it.
    pub fn counter(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
    ) -> Result<Counter, RegisterError> {
        self.define(name, help).counter()
    }

    /// Registers a counter that grows by fractions too; its name ends in `_total`.
    ///
    /// # Errors
    ///
    /// The name cannot be used, or a metric has it.
    pub fn float_counter(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
    ) -> Result<FloatCounter, RegisterError> {
        self.define(name, help).float_counter()
    }

    /// Registers a gauge.
    ///
    /// # Errors
    ///
    /// The name cannot be used, or a metric has it.
    pub fn gauge(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
    ) -> Result<Gauge, RegisterError> {
        self.define(name, help).gauge()
    }

    /// Registers a histogram.
    ///
    /// # Errors
    ///
    /// The name or the bounds cannot be used, or a metric has one of the names that a histogram writes.
    pub fn histogram(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
        buckets: impl Into<Buckets>,
    ) -> Result<Histogram, RegisterError> {
        self.define(name, help).histogram(buckets)
    }

    /// Registers counters that are told apart by labels.
    ///
    /// # Errors
    ///
    /// As [`counter`](Self::counter), or a label cannot be used.
    pub fn counter_vec<const N: usize>(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
        labels: [&str; N],
    ) -> Result<CounterVec<N>, RegisterError> {
        self.define(name, help).counter_vec(labels)
    }

    /// Registers counters that grow by fractions too and are told apart by labels.
    ///
    /// # Errors
    ///
    /// As [`float_counter`](Self::float_counter), or a label cannot be used.
    pub fn float_counter_vec<const N: usize>(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
        labels: [&str; N],
    ) -> Result<FloatCounterVec<N>, RegisterError> {
        self.define(name, help).float_counter_vec(labels)
    }

    /// Registers gauges that are told apart by labels.
    ///
    /// # Errors
    ///
    /// As [`gauge`](Self::gauge), or a label cannot be used.
    pub fn gauge_vec<const N: usize>(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
        labels: [&str; N],
    ) -> Result<GaugeVec<N>, RegisterError> {
        self.define(name, help).gauge_vec(labels)
    }

    /// Registers histograms that are told apart by labels.
    ///
    /// # Errors
    ///
    /// As [`histogram`](Self::histogram), or a label cannot be used.
    pub fn histogram_vec<const N: usize>(
        &self,
        name: impl Into<String>,
        help: impl Into<String>,
        labels: [&str; N],
        buckets: impl Into<Buckets>,
    ) -> Result<HistogramVec<N>, RegisterError> {
        self.define(name, help).histogram_vec(labels, buckets)
    }
}
