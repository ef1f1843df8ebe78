//! What an agent can bear.

use std::fmt;
use std::time::Duration;

use tidegate_limiter::Law;

pub use crate::machine::Breaker;

/// The settings of an agent: a model, a service, a tool that can bear only so much. Each is off unless it is set, but for the
/// number of tasks at once, which is three.
///
/// A number becomes an agent that runs so many tasks at once: `builder.agent("gpu", 1)`.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tidegate_workflow::{Agent, Breaker, Orchestrator};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let model = Agent::new(8)
///     .requests_per_minute(60)
///     .memory_mb(4096)
///     .breaker(Breaker { failures: 3, cool_down: Duration::from_secs(10) });
/// let orchestrator = Orchestrator::builder().agent("model", model).agent("gpu", 1).build()?;
/// # drop(orchestrator); Ok(()) }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Agent {
    pub(crate) concurrency: usize,
    pub(crate) per_minute: Option<usize>,
    pub(crate) memory_mb: Option<u64>,
    pub(crate) breaker: Option<Breaker>,
    pub(crate) adaptive: Option<Adaptive>,
}

/// A law that sets an agent's limit from what is measured of its attempts.
pub(crate) struct Adaptive {
    pub(crate) law: Box<dyn Law>,
    pub(crate) interval: Duration,
}

impl fmt::Debug for Adaptive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adaptive")
            .field("law", &self.law)
            .field("interval", &self.interval)
            .finish()
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self::new(3)
    }
}

impl From<usize> for Agent {
    fn from(concurrency: usize) -> Self {
        Self::new(concurrency)
    }
}

impl Agent {
    /// An agent of which so many tasks run at once; none while it is 0.
    pub fn new(concurrency: usize) -> Self {
        Self { concurrency, per_minute: None, memory_mb: None, breaker: None, adaptive: None }
    }

    /// How many attempts may start in a minute. No minute sees more, wherever it begins: there are no bursts.
    pub fn requests_per_minute(mut self, requests: usize) -> Self {
        self.per_minute = Some(requests);
        self
    }

    /// How much memory its tasks may take together, by what each says with [`Task::memory_mb`](crate::Task::memory_mb).
    pub fn memory_mb(mut self, megabytes: u64) -> Self {
        self.memory_mb = Some(megabytes);
        self
    }

    /// Keeps work away from it while it fails.
    pub fn breaker(mut self, breaker: Breaker) -> Self {
        self.breaker = Some(breaker);
        self
    }

    /// Lets the number of tasks at once follow what is measured of its attempts: every `interval` the law gets their
    /// latencies, the share that failed, how many were in flight and how many wait. It begins with the number given to
    /// [`new`](Self::new).
    pub fn adaptive(mut self, law: impl Law + 'static, interval: Duration) -> Self {
        self.adaptive = Some(Adaptive { law: Box::new(law), interval });
        self
    }
}
