//! Alerts that turn on metrics: in this process, and as a rule file for Prometheus, from one definition.
//!
//! [`Rules`] say what is wrong when; [`Rules::shipped`] are about the health of the orchestrator, of the metrics and of the
//! process. [`Alerts`] evaluates them on a registry: what is true becomes *pending*, *firing* once it has been true for as long as
//! the rule says, and *resolved* when it is not true any more. [`Rules::to_prometheus_yaml`] writes the same rules for a
//! Prometheus server.
//!
//! # Examples
//! ```
//! use std::time::Duration;
//! use tidegate_workflow::alert::{AlertState, Alerts, Expr, Rule, Rules, Severity};
//! use tidegate_workflow::telemetry::Registry;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new();
//! let depth = registry.gauge_vec("queue_depth", "Jobs that wait.", ["queue"])?;
//! let minute = Duration::from_secs(60);
//! let long = Rule::new("QueueTooLong", Expr::metric("queue_depth").above(100.0))
//!     .lasting(minute)
//!     .severity(Severity::Critical)
//!     .summary("{value} jobs wait in {queue}");
//! let rules = Rules::shipped().with(long)?;
//! let yaml = rules.to_prometheus_yaml("mine");
//! assert!(yaml.contains("expr: 'queue_depth > 100'"));
//!
//! let alerts = Alerts::new(&registry, rules)?.on_change(|alert| println!("{alert}"));
//! depth.set(["mail"], 250.0);
//! assert_eq!(alerts.check()[0].state, AlertState::Pending);
//! tokio::time::advance(minute).await;
//! let alert = &alerts.check()[0];
//! assert_eq!((alert.state, alert.summary.as_str()), (AlertState::Firing, "250 jobs wait in mail"));
//! assert!(!alerts.is_healthy());
//! # Ok(()) }
//! ```
//! A service checks at intervals, with [`Alerts::watch`].

mod condition;
mod evaluator;
mod expr;
mod history;
mod rule;
mod selector;
mod shipped;
mod watch;
mod yaml;

pub use condition::Condition;
pub use evaluator::{Alert, AlertState};
pub use expr::Expr;
pub use rule::{Rule, RuleError, Rules, Severity};
pub use watch::{Alerts, Changes};
