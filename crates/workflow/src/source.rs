//! Where the controller reads what it steers by.

use std::future::Future;

use tidegate_telemetry::Registry;

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
}
