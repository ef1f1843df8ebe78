//! Where the controller reads what it steers by.

mod both;
#[cfg(feature = "http")]
mod exposition;
#[cfg(feature = "nvml")]
mod gpu;
#[cfg(feature = "http")]
mod http;
mod machine;
mod trouble;

use std::future::Future;

use tidegate_telemetry::Registry;

pub use both::Both;
#[cfg(feature = "nvml")]
pub use gpu::{GpuError, GpuSource, GpuUse};
#[cfg(feature = "http")]
pub use http::{HttpSource, NotAnAddress, Series};
pub use machine::{MachineSource, MachineUse};
pub use trouble::SourceTrouble;
pub(crate) use trouble::Troubles;

/// What a source read. `None` is what it could not read, or does not know.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reading {
    /// How many work items wait.
    pub queue_depth: Option<f64>,
    /// How long, or how many, wait for the GPU; in the unit of the threshold.
    pub gpu_wait: Option<f64>,
    /// The share of work items that failed, 0 to 1.
    pub error_rate: Option<f64>,
}

/// Reads live metrics, once an interval. Any `FnMut() -> Reading` is one.
///
/// A source that panics has read nothing; the controller goes on.
pub trait Source: Send + 'static {
    /// The values now.
    fn read(&mut self) -> impl Future<Output = Reading> + Send;

    /// Why the last read has left something out that it was to read; `None` if it has not. The orchestrator counts these, and
    /// [tells](crate::Orchestrator::source_trouble) the last one.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// This source and another one: of what both read, the greater value counts. While one of the two is in
    /// [trouble](Self::trouble), what it has not read is not read at all, and the limit stays.
    fn and<S: Source>(self, other: S) -> Both<Self, S>
    where
        Self: Sized,
    {
        Both::new(self, other)
    }
}

impl<F: FnMut() -> Reading + Send + 'static> Source for F {
    async fn read(&mut self) -> Reading {
        self()
    }
}

/// Reads the values back out of a registry, by metric name.
///
/// # Examples
/// ```
/// use tidegate_workflow::{RegistrySource, Source, telemetry::Registry};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// registry.gauge("queue_depth", "Requests that wait.")?.set(12.0);
/// let mut source = RegistrySource::new(registry).queue_depth("queue_depth").error_rate("error_rate");
/// let reading = source.read().await;
/// assert_eq!(reading.queue_depth, Some(12.0));
/// assert_eq!(reading.error_rate, None, "nobody has registered it yet");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct RegistrySource {
    registry: Registry,
    queue_depth: Option<String>,
    gpu_wait: Option<String>,
    error_rate: Option<String>,
}

impl RegistrySource {
    /// A source that reads nothing until it is given names.
    pub fn new(registry: Registry) -> Self {
        Self { registry, queue_depth: None, gpu_wait: None, error_rate: None }
    }

    /// The metric that tells how many wait.
    pub fn queue_depth(mut self, metric: impl Into<String>) -> Self {
        self.queue_depth = Some(metric.into());
        self
    }

    /// The metric that tells the GPU wait.
    pub fn gpu_wait(mut self, metric: impl Into<String>) -> Self {
        self.gpu_wait = Some(metric.into());
        self
    }

    /// The metric that tells the error rate.
    pub fn error_rate(mut self, metric: impl Into<String>) -> Self {
        self.error_rate = Some(metric.into());
        self
    }
}

impl Source for RegistrySource {
    async fn read(&mut self) -> Reading {
        let read = |metric: &Option<String>| self.registry.value(metric.as_deref()?);
        Reading {
            queue_depth: read(&self.queue_depth),
            gpu_wait: read(&self.gpu_wait),
            error_rate: read(&self.error_rate),
        }
    }

    fn trouble(&self) -> Option<String> {
        let metrics = [&self.queue_depth, &self.gpu_wait, &self.error_rate];
        let mut missing =
            metrics.into_iter().flatten().filter(|metric| self.registry.value(metric).is_none());
        let metric = missing.next()?;
        Some(format!("the registry has no series `{metric}` without labels"))
    }
}
