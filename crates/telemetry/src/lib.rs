//! Metrics that cost next to nothing to write and that no scrape can choke on: a registry with Prometheus text and
//! OpenMetrics output, without dependencies.
//!
//! | you want | use |
//! |---|---|
//! | count what happens | [`Counter`], [`CounterVec`] |
//! | add up seconds, or anything in fractions | [`FloatCounter`], [`FloatCounterVec`] |
//! | show how much there is | [`Gauge`], [`GaugeVec`] |
//! | distributions, quantiles | [`Histogram`], [`HistogramVec`], [`HistogramSnapshot::quantile`] |
//! | a trace beside a bucket | [`Histogram::observe_with_exemplar`] |
//! | memory, CPU, file descriptors of the process | [`register_process_metrics`] |
//! | a value computed when it is read | [`Definition::gauge_fn`], [`Definition::counter_fn`] |
//! | one for each queue, disk or worker there is at that time | [`Definition::gauge_vec_fn`], [`Definition::counter_vec_fn`] |
//! | a part of the program to have names or labels of its own | [`Registry::with_prefix`], [`Registry::with_label`] |
//! | to read a metric back, to steer by it | [`Registry::value`], [`Registry::snapshot`] |
//! | the text that a server scrapes | [`Registry::render`], [`Registry::encode`] |
//! | `/metrics`, `/healthz`, `/readyz` | the module `http`, with the feature `http` |
//!
//! ```
//! use tidegate_telemetry::{Format, Registry};
//!
//! let registry = Registry::new();
//! let done = registry.counter_vec("jobs_done_total", "Jobs done, by queue.", ["queue"])?;
//! done.inc(["mail"]);
//! assert_eq!(registry.value_of("jobs_done_total", &[("queue", "mail")]), Some(1.0));
//! assert!(registry.render(Format::Text).contains("jobs_done_total{queue=\"mail\"} 1\n"));
//! # Ok::<(), tidegate_telemetry::RegisterError>(())
//! ```
//!
//! Not for: pushing to a gateway, summaries computed in the process, native histograms, or metrics in a program without
//! threads and an allocator.
#![forbid(unsafe_code)]

mod bank;
mod buckets;
mod callback;
mod cells;
mod counter;
mod definition;
mod error;
mod exemplar;
mod family;
mod float_counter;
mod format;
mod gauge;
mod hash;
mod histogram;
mod hold;
#[cfg(feature = "http")]
pub mod http;
mod indices;
mod kind;
mod labels;
mod local;
mod name;
mod number;
mod process;
mod registry;
mod report;
mod series;
mod slots;
mod snapshot;
mod storage;
mod store;
mod sync;
mod table;
mod vec;

pub use buckets::Buckets;
pub use callback::Readings;
pub use counter::Counter;
pub use definition::Definition;
pub use error::RegisterError;
pub use exemplar::ExemplarError;
pub use float_counter::FloatCounter;
pub use format::Format;
pub use gauge::{Gauge, Tracked};
pub use histogram::{Histogram, Timer};
pub use kind::Kind;
pub use process::register_process_metrics;
pub use registry::{Builder, Registry};
pub use snapshot::{FamilySnapshot, HistogramSnapshot, SeriesSnapshot, Snapshot, Value};
pub use vec::{CounterVec, FloatCounterVec, GaugeVec, HistogramVec};

/// The example of the README runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
