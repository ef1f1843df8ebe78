//! Settings put to use: an orchestrator to be, one that runs, tasks.

use std::collections::BTreeSet;
use std::fmt;

use tidegate_telemetry::{Registry, register_process_metrics};

use super::explain::masked;
use super::schema::{Effect, Key, Value};
use super::{Configuration, Layers, Origin, Problems};
use crate::engine::memory_of;
use crate::graph::Graph;
use crate::machine::Policy;
use crate::orchestrator::{Builder, Orchestrator};
use crate::retry::Retry;
use crate::source::RegistrySource;
use crate::task::Task;

/// A setting that is another now.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its path.
    pub setting: String,
    /// What it was; `None` if it was not set.
    pub from: Option<String>,
    /// What it is; `None` if it is not set any more.
    pub to: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
    /// From when on it is in force.
    pub effect: Effect,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unset = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
        let when = match self.effect {
            Effect::Now => "now",
            Effect::NewTasks => "for new tasks",
            Effect::NextStart => "at the next start",
        };
        let (from, to) = (unset(&self.from), unset(&self.to));
        write!(f, "{}: {from} becomes {to} {when}, {}", self.setting, self.origin)
    }
}

impl Configuration {
    /// An orchestrator to be, with its metrics in `registry`, from which an adaptive one also reads.
    ///
    /// It can be given more than settings say: another source, a law, an executor.
    pub fn builder(&self, registry: &Registry) -> Builder {
        let mut builder = Orchestrator::builder()
            .registry(registry.clone())
            .limit(self.limit())
            .agent_default(self.count("default_agent.max_concurrent_tasks").unwrap_or(3))
            .agent_default_requests_per_minute(self.count("default_agent.max_requests_per_minute"));
        for name in self.agents() {
            builder = builder.agent(name, self.agent(name));
        }
        for name in self.names("resources.") {
            if let Some(Value::Count(capacity)) = self.get(&format!("resources.{name}")) {
                builder = builder.resource(name, *capacity);
            }
        }
        for name in self.names("tenants.") {
            builder = builder.tenant(name, self.weight_of(name));
        }
        if let Some(weights) = self.weights() {
            builder = builder.prioritizer(weights);
        }
        if self.performance_monitoring() {
            // They are there already if a name is taken.
            let _ = register_process_metrics(registry);
        }
        if self.is_adaptive() {
            let mut source = RegistrySource::new(registry.clone());
            if let Some(metric) = self.text("adaptive.queue_metric") {
                source = source.queue_depth(metric);
            }
            if let Some(metric) = self.text("adaptive.gpu_wait_metric") {
                source = source.gpu_wait(metric);
            }
            if let Some(metric) = self.text("adaptive.error_rate_metric") {
                source = source.error_rate(metric);
            }
            builder = builder.adaptive(self.adaptive(), source);
        }
        builder
    }

    /// The task, with the time-out and the retries that are set for those that have none of their own.
    pub fn task(&self, mut task: Task) -> Task {
        self.complete(&mut task.policy);
        task
    }

    /// The same for every task of a graph.
    pub fn prepare<K>(&self, mut graph: Graph<K>) -> Graph<K> {
        graph.parts.run.policies_mut().iter_mut().for_each(|policy| self.complete(policy));
        graph
    }

    fn complete(&self, Policy { timeout, retry }: &mut Policy) {
        *timeout = timeout.or(self.default_timeout());
        if *retry == Retry::NEVER && self.retry().attempts > 1 {
            *retry = self.retry();
        }
    }

    /// Reads files and environment again, and lets an orchestrator have what has changed. What it cannot have while it runs is
    /// among the changes, with the [effect](Change::effect) that says so.
    ///
    /// # Errors
    /// Those of [`Layers::load`]. Then nothing has changed.
    pub fn reload(&mut self, orchestrator: &Orchestrator) -> Result<Vec<Change>, Problems> {
        self.become_(self.layers.clone(), orchestrator)
    }

    /// Sets one setting in code, and lets an orchestrator have it; files and environment are read again, too.
    ///
    /// # Errors
    /// Those of [`reload`](Self::reload).
    pub fn update(
        &mut self,
        orchestrator: &Orchestrator,
        path: &str,
        value: impl Into<Value>,
    ) -> Result<Vec<Change>, Problems> {
        self.become_(self.layers.clone().set(path, value), orchestrator)
    }

    fn become_(
        &mut self,
        layers: Layers,
        orchestrator: &Orchestrator,
    ) -> Result<Vec<Change>, Problems> {
        let before = std::mem::replace(self, layers.load()?);
        Ok(self.apply(&before, orchestrator))
    }

    fn weight_of(&self, tenant: &str) -> f64 {
        self.number(&format!("tenants.{tenant}")).unwrap_or(1.0)
    }

    /// Lets the orchestrator have what is other than before.
    fn apply(&self, before: &Self, orchestrator: &Orchestrator) -> Vec<Change> {
        let follows_metrics = before.is_adaptive() || self.is_adaptive();
        if self.limit() != before.limit() && !follows_metrics {
            orchestrator.set_limit(self.limit());
        }
        let agents: BTreeSet<&str> = before.agents().union(&self.agents()).copied().collect();
        for name in agents {
            let (from, to) = (before.agent_settings(name), self.agent_settings(name));
            if from.concurrency != to.concurrency {
                orchestrator.set_agent_limit(name, to.concurrency);
            }
            if from.per_minute != to.per_minute {
                orchestrator.set_requests_per_minute(name, to.per_minute);
            }
            if from.breaker != to.breaker {
                orchestrator.set_breaker(name, to.breaker);
            }
            if let (Some(from), Some(to)) = (from.memory_mb, to.memory_mb)
                && from != to
            {
                orchestrator.set_resource(&memory_of(name), to);
            }
        }
        let paths: BTreeSet<&String> = before.settings.keys().chain(self.settings.keys()).collect();
        let mut changes = Vec::new();
        for path in paths {
            let (from, to) = (before.get(path), self.get(path));
            let Some(key) = Key::find(path).filter(|_| from != to) else { continue };
            let mut effect = key.effect;
            if let Some(name) = path.strip_prefix("tenants.") {
                orchestrator.set_tenant_weight(name, self.weight_of(name));
            }
            match (path.strip_prefix("resources."), to) {
                (Some(name), Some(Value::Count(capacity))) => {
                    orchestrator.set_resource(name, *capacity)
                }
                // What there is cannot cease to be.
                (Some(_), _) => effect = Effect::NextStart,
                (None, _) => {}
            }
            // Tasks know whether their agent's memory is counted from its beginning.
            let counts = |value: Option<&Value>| matches!(value, Some(Value::Count(_)));
            if path.ends_with(".memory_mb") && !(counts(from) && counts(to)) {
                effect = Effect::NextStart;
            }
            let limits = ["max_concurrent_tasks", "sync_mode", "enabled", "default_mode"];
            if follows_metrics && limits.contains(&path.as_str()) {
                effect = Effect::NextStart;
            }
            let shown = |value: Option<&Value>| value.map(|value| masked(path, value));
            let origin = self.origin(path).cloned().unwrap_or(Origin::Default);
            let setting = path.clone();
            changes.push(Change { setting, from: shown(from), to: shown(to), origin, effect });
        }
        changes
    }
}
