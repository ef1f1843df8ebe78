//! What an orchestrator is made of.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_limiter::{Law, Threshold};
use tidegate_taskgroup::{Policy, TaskGroup};
use tidegate_telemetry::{RegisterError, Registry};
use tokio::sync::watch;

use super::Orchestrator;
use crate::agent::Agent;
use crate::controller;
use crate::durations::Durations;
use crate::engine::{Engine, Link, Runners, Settings, Shared, memory_of};
use crate::event::Log;
use crate::executor::Executor;
use crate::metrics::Metrics;
use crate::prioritizer::Prioritizer;
use crate::source::{Source, Troubles};
use crate::{Config, ConfigError};

type Controller = Pin<Box<dyn Future<Output = Result<(), Infallible>> + Send>>;
type Steering = Box<dyn FnOnce(Arc<Shared>, Arc<Link>) -> Controller + Send>;

/// Settings of an orchestrator to be; see [`Orchestrator::builder`].
#[must_use]
pub struct Builder {
    limit: usize,
    adaptive: Option<Config>,
    steering: Option<Steering>,
    settings: Settings,
    registry: Option<Registry>,
    fail_fast: bool,
    event_capacity: usize,
    executor: Option<Arc<dyn Executor>>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("limit", &self.limit)
            .field("agents", &self.settings.agents)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            limit: std::thread::available_parallelism().map_or(1, usize::from),
            adaptive: None,
            steering: None,
            settings: Settings {
                agent_default: 3,
                agent_default_rate: None,
                agents: HashMap::new(),
                resources: HashMap::new(),
                tenants: HashMap::new(),
                tenant_budgets: HashMap::new(),
                score: None,
                durations: Durations::default(),
            },
            registry: None,
            fail_fast: false,
            event_capacity: 4096,
            executor: None,
        }
    }

    /// How many tasks run at once.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Follows live metrics by the threshold rule: starts at `config.base_limit`, and reads `source` every
    /// `config.adaptation_interval`.
    pub fn adaptive(mut self, config: Config, source: impl Source) -> Self {
        self.limit = config.base_limit;
        self.adaptive = Some(config.clone());
        let interval = config.adaptation_interval;
        self.steering = Some(Box::new(move |shared, link| match Threshold::new(config) {
            Ok(law) => Box::pin(controller::steer(source, Box::new(law), interval, shared, link)),
            // `build` has refused such a configuration.
            Err(_) => Box::pin(std::future::ready(Ok(()))),
        }));
        self
    }

    /// Follows live metrics by another law, which reads `source` every `interval`. Starts at [`limit`](Self::limit).
    pub fn law(mut self, law: impl Law + 'static, interval: Duration, source: impl Source) -> Self {
        self.adaptive = None;
        self.steering = Some(Box::new(move |shared, link| {
            Box::pin(controller::steer(source, Box::new(law), interval, shared, link))
        }));
        self
    }

    /// What an agent can bear; a number is how many of its tasks run at once.
    pub fn agent(mut self, name: impl Into<Arc<str>>, agent: impl Into<Agent>) -> Self {
        self.settings.agents.insert(name.into(), agent.into());
        self
    }

    /// How many tasks of an agent without settings of its own run at once; 3 by default. Tasks that name no agent are under
    /// the overall limit only.
    pub fn agent_default(mut self, limit: usize) -> Self {
        self.settings.agent_default = limit;
        self
    }

    /// How many attempts of an agent without settings of its own may start in a minute; as many as come by default.
    pub fn agent_default_requests_per_minute(mut self, requests: Option<usize>) -> Self {
        self.settings.agent_default_rate = requests;
        self
    }

    /// Something of which there is so much and of which tasks take amounts with [`Task::uses`](crate::Task::uses).
    pub fn resource(mut self, name: impl Into<Arc<str>>, capacity: u64) -> Self {
        self.settings.resources.insert(name.into(), capacity);
        self
    }

    /// Someone who shares the slots with others. While several have tasks that could start, each gets slot time in
    /// proportion to its weight: the next start is of the tenant that has had the least for its weight. 1 by default, and for
    /// graphs that name no tenant; what is not positive counts as the smallest share.
    pub fn tenant(mut self, name: impl Into<Arc<str>>, weight: f64) -> Self {
        self.settings.tenants.insert(name.into(), positive(weight));
        self
    }

    /// What a tenant's tasks may [`cost`](crate::Task::cost) together, over all its runs, as
    /// [`Graph::budget`](crate::Graph::budget) does for one. It can be [renewed](Orchestrator::set_tenant_budget).
    pub fn tenant_budget(mut self, name: impl Into<Arc<str>>, budget: u64) -> Self {
        self.settings.tenant_budgets.insert(name.into(), budget);
        self
    }

    /// What earlier runs have taught of how long tasks of a kind take; see [`Orchestrator::durations`].
    pub fn durations(mut self, durations: Durations) -> Self {
        self.settings.durations = durations;
        self
    }

    /// Another order of the ready tasks.
    pub fn prioritizer(mut self, prioritizer: impl Prioritizer) -> Self {
        self.settings.score = Some(crate::prioritizer::contained(prioritizer));
        self
    }

    /// Who runs the tasks that name their function; see [`executor`](crate::executor).
    pub fn executor(mut self, executor: impl Executor) -> Self {
        self.executor = Some(Arc::new(executor));
        self
    }

    /// The registry for the metrics; a new one by default. Orchestrators that are to share one are told apart by
    /// [`Registry::with_label`], each given the registry that it returns.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// The first failing task of [`Orchestrator::go`] cancels everything else; off by default.
    pub fn fail_fast(mut self, fail_fast: bool) -> Self {
        self.fail_fast = fail_fast;
        self
    }

    /// How many events a reader may be behind before it loses some; 4096 by default.
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.event_capacity = events.clamp(1, 1 << 20);
        self
    }

    /// The orchestrator, started.
    ///
    /// # Errors
    /// When the configuration makes no sense, or a metric of its names is in the registry.
    ///
    /// # Panics
    /// Outside a tokio runtime, or in one without its clock (`enable_time`).
    pub fn build(self) -> Result<Orchestrator, BuildError> {
        // Rather now than when the first timer is needed, somewhere within.
        drop(tokio::time::sleep(Duration::ZERO));
        if let Some(config) = &self.adaptive {
            config.check().map_err(BuildError::Config)?;
        }
        let metrics =
            Metrics::register(&self.registry.unwrap_or_default()).map_err(BuildError::Metric)?;
        let mut settings = self.settings;
        let mut capacities = settings.resources.clone();
        let mut laws = Vec::new();
        for (name, agent) in &mut settings.agents {
            let memory = agent.memory_mb.map(|memory| (Arc::from(memory_of(name)), memory));
            capacities.extend(memory);
            laws.extend(agent.adaptive.take().map(|adaptive| (Arc::clone(name), adaptive)));
        }
        let link = Arc::new(Link::new(capacities, self.executor));
        let shared = Arc::new(Shared {
            limit: AtomicUsize::new(self.limit),
            next_run: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            live: watch::Sender::new(0),
            failure: Mutex::new(None),
            events: Log::new(self.event_capacity),
            troubles: Troubles::new(metrics.source_failures.clone()),
        });
        let group = TaskGroup::builder().policy(Policy::Supervise).build();
        let engine = Engine::new(
            self.limit,
            settings,
            Arc::clone(&link),
            Runners::start(&link, group.spawner()),
            Arc::clone(&shared),
            metrics,
            self.fail_fast,
        );
        link.attach(engine);
        let open = "the group was made above";
        let ends = Ends(Arc::clone(&link), Arc::clone(&shared));
        let drive = async move {
            let ends = ends;
            Arc::clone(&ends.0).drive().await
        };
        group.named("engine").spawn(drive).expect(open);
        if let Some(steering) = self.steering {
            let steering = steering(Arc::clone(&shared), Arc::clone(&link));
            group.named("controller").spawn(steering).expect(open);
        }
        for (agent, adaptive) in laws {
            let steering = controller::steer_agent(agent, adaptive, Arc::clone(&link));
            group.named("controller").spawn(steering).expect(open);
        }
        Ok(Orchestrator { link, shared, group })
    }
}

/// Held by the engine's own task: when that is dropped, because the runtime ends before its orchestrator does, nothing that
/// is live will ever end by itself, and whoever waits for it is told.
struct Ends(Arc<Link>, Arc<Shared>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.close();
        self.1.live.send_replace(0);
    }
}

/// A weight by which can be divided.
pub(super) fn positive(weight: f64) -> f64 {
    if weight.is_finite() { weight.max(1e-6) } else { 1.0 }
}

/// Why an orchestrator cannot be built.
#[derive(Debug, Clone, PartialEq)]
pub enum BuildError {
    /// The configuration makes no sense.
    Config(ConfigError),
    /// The registry refused a metric.
    Metric(RegisterError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(why) => why.fmt(f),
            Self::Metric(why @ RegisterError::Taken { .. }) => write!(
                f,
                "{why}; if another orchestrator has this registry, give each a `Registry::with_label` of it"
            ),
            Self::Metric(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {}
