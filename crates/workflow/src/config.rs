//! Settings from files, the environment and code, and where each came from (feature `config`).
//!
//! A setting counts more the later it comes: defaults, files in their order, environment variables, what code sets. Every mistake is
//! told at once, with its place, what is wrong, and what would be right. [`Configuration::builder`] makes an orchestrator of
//! it, [`Configuration::reload`] and [`Configuration::update`] change one that runs.
//!
//! | setting | in the environment | what it may be |
//! |---|---|---|
//! | `enabled`, `sync_mode` | `TIDEGATE_ENABLED`, `ORCHESTRATION_ENABLED`; `TIDEGATE_SYNC_MODE`, `ORCHESTRATION_SYNC_MODE` | `false`, or `true`, runs one task at a time |
//! | `default_mode` | `TIDEGATE_DEFAULT_MODE`, `ADVANCED_ORCHESTRATION_DEFAULT_MODE` | `simple` (one task at a time), `hierarchical`, `adaptive` (the limit follows metrics) |
//! | `max_concurrent_tasks` | `TIDEGATE_MAX_CONCURRENT_TASKS`, `ORCHESTRATION_MAX_CONCURRENT`, `ADVANCED_ORCHESTRATION_MAX_CONCURRENT_TASKS` | how many tasks run at once |
//! | `default_timeout` | `TIDEGATE_DEFAULT_TIMEOUT`, `ORCHESTRATION_DEFAULT_TIMEOUT`, `ADVANCED_ORCHESTRATION_TASK_TIMEOUT` | seconds, `30s`, `1h30m`, `off` |
//! | `retry.attempts`, `.first_delay`, `.factor`, `.max_delay`, `.jitter` | `TIDEGATE_RETRY__ATTEMPTS` and so on, `ADVANCED_ORCHESTRATION_RETRY_ATTEMPTS`, `ADVANCED_ORCHESTRATION_BACKOFF_FACTOR` | as [`Retry`] |
//! | `default_agent.max_concurrent_tasks`, `.max_requests_per_minute` | `TIDEGATE_DEFAULT_AGENT__…`, `AGENT_MAX_CONCURRENT_TASKS`, `AGENT_MAX_REQUESTS_PER_MINUTE` | for every agent that does not say otherwise |
//! | `agents.NAME.max_concurrent_tasks`, `.max_requests_per_minute`, `.memory_mb`, `.breaker_failures`, `.breaker_cool_down` | `TIDEGATE_AGENTS__NAME__…` | for one agent, as [`Agent`] |
//! | `resources.NAME`, `tenants.NAME` | `TIDEGATE_RESOURCES__NAME`, `TIDEGATE_TENANTS__NAME` | how much there is; a weight |
//! | `adaptive_scheduling`, `adaptive.…` | `TIDEGATE_ADAPTIVE__…`, `ORCHESTRATION_ADAPTIVE_SCHEDULING` | the fields of [`Config`](crate::Config), and `queue_metric`, `gpu_wait_metric`, `error_rate_metric` |
//! | `prioritization.base`, `.time`, `.dependents`, `.complexity` | `TIDEGATE_PRIORITIZATION__…` | the weights of [`Weighted`] |
//! | `performance_monitoring` | `TIDEGATE_PERFORMANCE_MONITORING`, `ORCHESTRATION_PERFORMANCE_MONITORING`, `ADVANCED_ORCHESTRATION_ENABLE_METRICS` | whether metrics of the process are registered, too |
//! | `fallback_sync`, `log_level` | `TIDEGATE_…`, `ORCHESTRATION_FALLBACK_SYNC`, `ADVANCED_ORCHESTRATION_LOG_LEVEL` | for [who asks](Configuration::fallback_sync) |
//!
//! Files of older designs are understood, too: `default_task_timeout_seconds`, `agent_specific_configs`, `task_execution`,
//! `performance`, a mapping `advanced_orchestration` around everything, and so on.
//!
//! # Examples
//! ```
//! use tidegate_workflow::config::{Format, Layers};
//! use tidegate_workflow::telemetry::Registry;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let yaml = "max_concurrent_tasks: 10\nagents:\n  coding: {max_requests_per_minute: 120}\n";
//! let mut configuration = Layers::new()
//!     .text("tidegate.yaml", Format::Yaml, yaml) // or `file`
//!     .environment_of([("ORCHESTRATION_MAX_CONCURRENT", "12")]) // or `environment`
//!     .load()?;
//! assert_eq!(configuration.limit(), 12);
//! println!("{}", configuration.explain());
//!
//! let orchestrator = configuration.builder(&Registry::new()).build()?;
//! let changes = configuration.update(&orchestrator, "max_concurrent_tasks", 15)?;
//! assert_eq!(changes[0].to_string(), "max_concurrent_tasks: 12 becomes 15 now, set in code");
//! # Ok(()) }
//! ```

mod apply;
mod explain;
mod layers;
mod problem;
mod schema;
mod secret;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::agent::{Agent, Breaker};
use crate::prioritizer::Weighted;
use crate::retry::Retry;

pub use apply::Change;
pub use explain::{Explained, Explanation};
pub use layers::Layers;
pub use problem::{Origin, Problem, Problems};
pub use schema::{Effect, Value};
pub use secret::is_secret;
pub use tree::Format;

/// How long a breaker stays open unless set.
const COOL_DOWN: Duration = Duration::from_secs(30);

/// Every value of a setting so far, and where it came from; the last one counts.
type Settings = BTreeMap<String, Vec<(Value, Origin)>>;

/// Settings that make sense; see [`Layers::load`].
#[derive(Debug, Clone)]
pub struct Configuration {
    layers: Layers,
    settings: Settings,
}

impl Configuration {
    /// A setting by its path, such as `agents.coding.memory_mb`; `None` for one that is not set and has no default.
    pub fn get(&self, path: &str) -> Option<&Value> {
        self.settings.get(path).and_then(|values| values.last()).map(|(value, _)| value)
    }

    /// Where the value of a setting came from.
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        self.settings.get(path).and_then(|values| values.last()).map(|(_, origin)| origin)
    }

    /// How many tasks run at once: one if tasks are to run one after another, for whatever reason.
    pub fn limit(&self) -> usize {
        let is_sequential = self.is("sync_mode") || !self.is("enabled");
        if is_sequential || self.text("default_mode") == Some("simple") {
            return 1;
        }
        self.count("max_concurrent_tasks").unwrap_or(1)
    }

    /// Whether the limit follows metrics.
    pub fn is_adaptive(&self) -> bool {
        let is_adaptive =
            self.is("adaptive_scheduling") || self.text("default_mode") == Some("adaptive");
        is_adaptive && self.is("enabled") && !self.is("sync_mode")
    }

    /// The time-out of tasks that have none of their own.
    pub fn default_timeout(&self) -> Option<Duration> {
        self.time("default_timeout")
    }

    /// How tasks are tried that do not say so themselves.
    pub fn retry(&self) -> Retry {
        let attempts = self.count("retry.attempts").unwrap_or(1);
        Retry {
            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            first_delay: self.time("retry.first_delay").unwrap_or_default(),
            factor: self.number("retry.factor").unwrap_or(1.0),
            max_delay: self.time("retry.max_delay").unwrap_or_default(),
            jitter: self.number("retry.jitter").unwrap_or(0.0),
        }
    }

    /// What one agent can bear: its own settings, and those of every agent where it has none.
    pub fn agent(&self, name: &str) -> Agent {
        let settings = self.agent_settings(name);
        let mut agent = Agent::new(settings.concurrency);
        agent.per_minute = settings.per_minute;
        agent.memory_mb = settings.memory_mb;
        agent.breaker = settings.breaker;
        agent
    }

    /// How many tasks of one agent run at once.
    pub fn agent_limit(&self, name: &str) -> usize {
        self.agent_settings(name).concurrency
    }

    /// The agents that have settings of their own.
    pub fn agents(&self) -> BTreeSet<&str> {
        self.names("agents.")
            .map(|rest| rest.rsplit_once('.').map_or(rest, |(name, _)| name))
            .collect()
    }

    /// The threshold rule's settings.
    pub fn adaptive(&self) -> crate::Config {
        let count = |name| self.count(name).unwrap_or_default();
        let number = |name| self.number(name).unwrap_or_default();
        crate::Config {
            base_limit: count("adaptive.base_limit"),
            min_limit: count("adaptive.min_limit"),
            max_limit: count("adaptive.max_limit"),
            increase_step: count("adaptive.increase_step"),
            decrease_step: count("adaptive.decrease_step"),
            queue_high_watermark: number("adaptive.queue_high_watermark"),
            // What nothing tells cannot be steered by.
            gpu_wait_high: match self.text("adaptive.gpu_wait_metric") {
                Some(_) => number("adaptive.gpu_wait_high"),
                None => 0.0,
            },
            error_rate_high: match self.text("adaptive.error_rate_metric") {
                Some(_) => number("adaptive.error_rate_high"),
                None => 0.0,
            },
            adaptation_interval: self.time("adaptive.adaptation_interval").unwrap_or_default(),
        }
    }

    /// The weights of the order of ready tasks, if any of them is set.
    pub fn weights(&self) -> Option<Weighted> {
        let weight = |name: &str| self.number(&format!("prioritization.{name}"));
        let [base, time, dependents, complexity] =
            ["base", "time", "dependents", "complexity"].map(weight);
        [base, time, dependents, complexity].iter().any(Option::is_some).then(|| {
            let rest = Weighted::default();
            Weighted {
                base: base.unwrap_or(rest.base),
                time: time.unwrap_or(rest.time),
                dependents: dependents.unwrap_or(rest.dependents),
                complexity: complexity.unwrap_or(rest.complexity),
            }
        })
    }

    /// Whether what fails in company is tried alone: for `Scheduler::fall_back`.
    pub fn fallback_sync(&self) -> bool {
        self.is("fallback_sync")
    }

    /// Whether metrics of the process are registered.
    pub fn performance_monitoring(&self) -> bool {
        self.is("performance_monitoring")
    }

    /// What a subscriber of `tracing` should let through.
    pub fn log_level(&self) -> tracing::Level {
        match self.text("log_level") {
            Some("error") => tracing::Level::ERROR,
            Some("warn") => tracing::Level::WARN,
            Some("debug") => tracing::Level::DEBUG,
            Some("trace") => tracing::Level::TRACE,
            _ => tracing::Level::INFO,
        }
    }

    fn agent_settings(&self, name: &str) -> AgentSettings {
        let own = |setting: &str| format!("agents.{name}.{setting}");
        let of = |setting: &str| match self.get(&own(setting)) {
            Some(value) => Some(value),
            None => self.get(&format!("default_agent.{setting}")),
        };
        let count = |value: Option<&Value>| match value {
            Some(Value::Count(count)) => Some(usize::try_from(*count).unwrap_or(usize::MAX)),
            _ => None,
        };
        let failures = self.count(&own("breaker_failures"));
        AgentSettings {
            concurrency: count(of("max_concurrent_tasks")).unwrap_or(3),
            per_minute: count(of("max_requests_per_minute")),
            memory_mb: match self.get(&own("memory_mb")) {
                Some(Value::Count(megabytes)) => Some(*megabytes),
                _ => None,
            },
            breaker: failures.map(|failures| Breaker {
                failures: u32::try_from(failures).unwrap_or(u32::MAX),
                cool_down: self.time(&own("breaker_cool_down")).unwrap_or(COOL_DOWN),
            }),
        }
    }

    fn names<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a str> {
        self.settings.keys().filter_map(move |path| path.strip_prefix(section))
    }

    fn is(&self, path: &str) -> bool {
        matches!(self.get(path), Some(Value::Bool(true)))
    }

    fn count(&self, path: &str) -> Option<usize> {
        match self.get(path)? {
            Value::Count(count) => Some(usize::try_from(*count).unwrap_or(usize::MAX)),
            _ => None,
        }
    }

    fn number(&self, path: &str) -> Option<f64> {
        match self.get(path)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn time(&self, path: &str) -> Option<Duration> {
        match self.get(path)? {
            Value::Time(time) => Some(*time),
            _ => None,
        }
    }

    fn text(&self, path: &str) -> Option<&str> {
        match self.get(path)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// What one agent can bear.
#[derive(Debug, Clone, PartialEq)]
struct AgentSettings {
    concurrency: usize,
    per_minute: Option<usize>,
    memory_mb: Option<u64>,
    breaker: Option<Breaker>,
}

#[cfg(test)]
mod tests;
