//! The settings: their names, what they may be, and what they are unless set.

use std::fmt;
use std::time::Duration;

use super::tree::Raw;

/// A setting's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// None: no limit, no time-out.
    Off,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Count(u64),
    /// A number.
    Number(f64),
    /// A time.
    Time(Duration),
    /// A name.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Bool(is_true) => is_true.fmt(f),
            Self::Count(count) => count.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Time(time) => write!(f, "{time:?}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<bool> for Value {
    fn from(is_true: bool) -> Self {
        Self::Bool(is_true)
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// What a setting may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Bool,
    Count { least: u64, most: u64 },
    Number { least: f64, most: f64 },
    Time { least: Duration },
    Choice(&'static [&'static str]),
    Text,
}

/// What a change while it runs does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is in force.
    Now,
    /// It holds for tasks and graphs that are [prepared](super::Configuration::prepare) from now on.
    NewTasks,
    /// It holds for the next orchestrator that is built.
    NextStart,
}

/// A setting; `*` in its path stands for a name.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    /// Whether it may be off.
    pub(super) may_be_off: bool,
    pub(super) effect: Effect,
    /// What it is unless set; nothing is told of it if this is empty.
    pub(super) unset: &'static str,
}

const MOST: u64 = 1_000_000;
const COUNT: Kind = Kind::Count { least: 0, most: MOST };
const ATTEMPTS: Kind = Kind::Count { least: 1, most: MOST };
const AMOUNT: Kind = Kind::Count { least: 0, most: u64::MAX };
const POSITIVE: Kind = Kind::Number { least: 0.0, most: f64::MAX };
const SHARE: Kind = Kind::Number { least: 0.0, most: 1.0 };
const TIME: Kind = Kind::Time { least: Duration::ZERO };
const SOME_TIME: Kind = Kind::Time { least: Duration::from_millis(1) };
const LEVELS: Kind = Kind::Choice(&["error", "warn", "info", "debug", "trace"]);
const MODES: Kind = Kind::Choice(&["simple", "hierarchical", "adaptive"]);

const fn key(path: &'static str, kind: Kind, effect: Effect, unset: &'static str) -> Key {
    Key { path, kind, may_be_off: false, effect, unset }
}

const fn off(path: &'static str, kind: Kind, effect: Effect, unset: &'static str) -> Key {
    Key { path, kind, may_be_off: true, effect, unset }
}

/// Every setting there is.
pub(super) const KEYS: &[Key] = &[
    key("enabled", Kind::Bool, Effect::Now, "true"),
    key("max_concurrent_tasks", COUNT, Effect::Now, "processors"),
    key("default_mode", MODES, Effect::Now, "hierarchical"),
    key("sync_mode", Kind::Bool, Effect::Now, "false"),
    key("fallback_sync", Kind::Bool, Effect::NextStart, "false"),
    key("adaptive_scheduling", Kind::Bool, Effect::NextStart, "false"),
    key("performance_monitoring", Kind::Bool, Effect::NextStart, "false"),
    key("log_level", LEVELS, Effect::NextStart, "info"),
    off("default_timeout", SOME_TIME, Effect::NewTasks, "off"),
    key("retry.attempts", ATTEMPTS, Effect::NewTasks, "1"),
    key("retry.first_delay", TIME, Effect::NewTasks, "1s"),
    key("retry.factor", POSITIVE, Effect::NewTasks, "2"),
    key("retry.max_delay", TIME, Effect::NewTasks, "60s"),
    key("retry.jitter", SHARE, Effect::NewTasks, "0.5"),
    off("prioritization.base", POSITIVE, Effect::NextStart, "off"),
    off("prioritization.time", POSITIVE, Effect::NextStart, "off"),
    off("prioritization.dependents", POSITIVE, Effect::NextStart, "off"),
    off("prioritization.complexity", POSITIVE, Effect::NextStart, "off"),
    key("adaptive.base_limit", COUNT, Effect::NextStart, "2"),
    key("adaptive.min_limit", COUNT, Effect::NextStart, "1"),
    key("adaptive.max_limit", COUNT, Effect::NextStart, "5"),
    key("adaptive.increase_step", COUNT, Effect::NextStart, "1"),
    key("adaptive.decrease_step", COUNT, Effect::NextStart, "2"),
    key("adaptive.queue_high_watermark", POSITIVE, Effect::NextStart, "10"),
    key("adaptive.gpu_wait_high", POSITIVE, Effect::NextStart, "4"),
    key("adaptive.error_rate_high", POSITIVE, Effect::NextStart, "0.2"),
    key("adaptive.adaptation_interval", SOME_TIME, Effect::NextStart, "2s"),
    off("adaptive.queue_metric", Kind::Text, Effect::NextStart, "orchestrator_ready_tasks"),
    off("adaptive.gpu_wait_metric", Kind::Text, Effect::NextStart, "off"),
    off("adaptive.error_rate_metric", Kind::Text, Effect::NextStart, "off"),
    key("default_agent.max_concurrent_tasks", COUNT, Effect::NextStart, "3"),
    off("default_agent.max_requests_per_minute", ATTEMPTS, Effect::NextStart, "off"),
    key("agents.*.max_concurrent_tasks", COUNT, Effect::Now, ""),
    off("agents.*.max_requests_per_minute", ATTEMPTS, Effect::Now, ""),
    off("agents.*.memory_mb", AMOUNT, Effect::Now, ""),
    off("agents.*.breaker_failures", ATTEMPTS, Effect::Now, ""),
    key("agents.*.breaker_cool_down", SOME_TIME, Effect::Now, ""),
    key("resources.*", AMOUNT, Effect::Now, ""),
    key("tenants.*", Kind::Number { least: 1e-6, most: f64::MAX }, Effect::Now, ""),
];

/// Other names in files, of other designs, and what they mean here; `!` in front of a path turns yes into no, `+` adds one.
pub(super) const OTHER_PATHS: &[(&str, &str)] = &[
    ("max_concurrent", "max_concurrent_tasks"),
    ("default_task_timeout_seconds", "default_timeout"),
    ("enable_performance_monitoring", "performance_monitoring"),
    ("enable_metrics", "performance_monitoring"),
    ("adaptive_scheduling_enabled", "adaptive_scheduling"),
    ("default_agent_max_concurrent_tasks", "default_agent.max_concurrent_tasks"),
    ("default_agent_max_requests_per_minute", "default_agent.max_requests_per_minute"),
    ("agent_specific_configs.*.max_concurrent_tasks", "agents.*.max_concurrent_tasks"),
    ("agent_specific_configs.*.max_requests_per_minute", "agents.*.max_requests_per_minute"),
    ("agent_specific_configs.*.memory_mb", "agents.*.memory_mb"),
    ("task_execution.timeout_seconds", "default_timeout"),
    ("task_execution.max_retries", "+retry.attempts"),
    ("task_execution.backoff_factor", "retry.factor"),
    ("prioritization.base_priority_weight", "prioritization.base"),
    ("prioritization.time_weight", "prioritization.time"),
    ("prioritization.dependency_weight", "prioritization.dependents"),
    ("prioritization.complexity_weight", "prioritization.complexity"),
    ("performance.enable_parallel_execution", "!sync_mode"),
    ("performance.enable_resource_monitoring", "performance_monitoring"),
    ("performance.enable_adaptive_scheduling", "adaptive_scheduling"),
];

/// A mapping around all settings that may be there.
pub(super) const WRAPPERS: &[&str] = &["advanced_orchestration", "orchestration", "tidegate"];

/// Environment variables of other designs; those of our own are made from the paths. A later one counts more.
pub(super) const VARIABLES: &[(&str, &str)] = &[
    ("ADVANCED_ORCHESTRATION_MAX_CONCURRENT_TASKS", "max_concurrent_tasks"),
    ("ADVANCED_ORCHESTRATION_DEFAULT_MODE", "default_mode"),
    ("ADVANCED_ORCHESTRATION_ENABLE_METRICS", "performance_monitoring"),
    ("ADVANCED_ORCHESTRATION_LOG_LEVEL", "log_level"),
    ("ADVANCED_ORCHESTRATION_TASK_TIMEOUT", "default_timeout"),
    ("ADVANCED_ORCHESTRATION_RETRY_ATTEMPTS", "retry.attempts"),
    ("ADVANCED_ORCHESTRATION_BACKOFF_FACTOR", "retry.factor"),
    ("ORCHESTRATION_ENABLED", "enabled"),
    ("ORCHESTRATION_MAX_CONCURRENT", "max_concurrent_tasks"),
    ("ORCHESTRATION_DEFAULT_TIMEOUT", "default_timeout"),
    ("ORCHESTRATION_PERFORMANCE_MONITORING", "performance_monitoring"),
    ("ORCHESTRATION_ADAPTIVE_SCHEDULING", "adaptive_scheduling"),
    ("ORCHESTRATION_SYNC_MODE", "sync_mode"),
    ("ORCHESTRATION_FALLBACK_SYNC", "fallback_sync"),
    ("AGENT_MAX_CONCURRENT_TASKS", "default_agent.max_concurrent_tasks"),
    ("AGENT_MAX_REQUESTS_PER_MINUTE", "default_agent.max_requests_per_minute"),
];

impl Key {
    /// The setting of this path, and the path in our own words.
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| fits(key.path, path))
    }

    /// The value, if it is one.
    pub(super) fn read(&self, raw: &Raw) -> Result<Value, String> {
        if self.may_be_off && is_off(raw) {
            return Ok(Value::Off);
        }
        let value = match self.kind {
            Kind::Bool => match raw {
                Raw::Bool(is_true) => Some(Value::Bool(*is_true)),
                Raw::Text(text) => yes_or_no(text).map(Value::Bool),
                _ => None,
            },
            Kind::Count { least, most } => match raw {
                Raw::Int(int) => u64::try_from(*int).ok(),
                Raw::Text(text) => text.trim().parse().ok(),
                _ => None,
            }
            .filter(|count| (least..=most).contains(count))
            .map(Value::Count),
            Kind::Number { least, most } => match raw {
                Raw::Int(int) => Some(*int as f64),
                Raw::Float(float) => Some(*float),
                Raw::Text(text) => text.trim().parse().ok(),
                _ => None,
            }
            .filter(|number| (least..=most).contains(number))
            .map(Value::Number),
            Kind::Time { least } => match raw {
                Raw::Int(int) => seconds(*int as f64),
                Raw::Float(float) => seconds(*float),
                Raw::Text(text) => time(text),
                _ => None,
            }
            .filter(|time| *time >= least)
            .map(Value::Time),
            Kind::Choice(names) => match raw {
                Raw::Text(text) => {
                    let text = text.trim().to_lowercase();
                    names.iter().find(|name| **name == text).map(|name| Value::from(*name))
                }
                _ => None,
            },
            Kind::Text => match raw {
                Raw::Text(text) if !text.trim().is_empty() => Some(Value::from(text.trim())),
                _ => None,
            },
        };
        value.ok_or_else(|| self.wanted())
    }

    /// What would be right.
    fn wanted(&self) -> String {
        let wanted = match self.kind {
            Kind::Bool => "`true` or `false`".to_owned(),
            Kind::Count { least, most: u64::MAX } => format!("a whole number from {least}"),
            Kind::Count { least, most } => format!("a whole number from {least} to {most}"),
            Kind::Number { least: 0.0, most: f64::MAX } => {
                "a number that is not negative".to_owned()
            }
            Kind::Number { most: f64::MAX, .. } => "a number above 0".to_owned(),
            Kind::Number { least, most } => format!("a number from {least} to {most}"),
            Kind::Time { least: Duration::ZERO } => {
                "a time such as `30s`, `1h30m` or a number of seconds".to_owned()
            }
            Kind::Time { .. } => {
                "a time above 0 such as `30s`, `1h30m` or a number of seconds".to_owned()
            }
            Kind::Choice(names) => format!("one of `{}`", names.join("`, `")),
            Kind::Text => "a text".to_owned(),
        };
        if self.may_be_off { format!("{wanted}, or `off`") } else { wanted }
    }
}

/// Whether a path has this form, in which `*` is a name.
pub(super) fn fits(form: &str, path: &str) -> bool {
    match form.split_once('*') {
        None => form == path,
        Some((before, after)) => {
            let name = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            name.is_some_and(|name| !name.is_empty())
        }
    }
}

fn is_off(raw: &Raw) -> bool {
    match raw {
        Raw::Null | Raw::Bool(false) => true,
        Raw::Text(text) => matches!(text.trim().to_lowercase().as_str(), "off" | "none" | "no"),
        _ => false,
    }
}

pub(super) fn yes_or_no(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Longest time that is taken: a year. Above it, deadlines overflow clocks.
const LONGEST: f64 = 366.0 * 86_400.0;

fn seconds(number: f64) -> Option<Duration> {
    (0.0..=LONGEST).contains(&number).then(|| Duration::from_secs_f64(number))
}

/// `30`, `0.5`, `500ms`, `30s`, `1h30m`: numbers with their units, the larger unit first.
fn time(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number);
    }
    let (mut rest, mut total, mut last) = (text, 0.0, f64::INFINITY);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let letters = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
        let unit_seconds = match &unit[..letters] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        if unit_seconds >= last {
            return None;
        }
        (total, last) = (total + number * unit_seconds, unit_seconds);
        rest = unit[letters..].trim_start();
    }
    seconds(total)
}
