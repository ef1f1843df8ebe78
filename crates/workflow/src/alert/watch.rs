//! The shell around the evaluator: clock, lock, callbacks, streams.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_telemetry::{Counter, GaugeVec, RegisterError, Registry};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior};

use super::evaluator::{Alert, AlertState, Evaluator};
use super::rule::{Rules, Severity};

/// How many changes a reader may be behind before it loses some.
const BEHIND: usize = 1024;

type Callback = Box<dyn Fn(&Alert) + Send + Sync>;

/// Evaluates rules on a registry. Time is that of tokio, which a test can pause.
///
/// It writes `alerts_firing{alert,severity}`, how many label sets each rule fires for, and `alert_callback_panics_total`.
pub struct Alerts {
    registry: Registry,
    evaluator: Mutex<Evaluator>,
    begun: Instant,
    callbacks: Vec<Callback>,
    changes: broadcast::Sender<Alert>,
    firing: GaugeVec<2>,
    panics: Counter,
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts").field("active", &self.active()).finish_non_exhaustive()
    }
}

impl Alerts {
    /// These rules, on this registry; nothing is evaluated yet.
    ///
    /// # Errors
    /// When a metric of its names is in the registry.
    pub fn new(registry: &Registry, rules: Rules) -> Result<Self, RegisterError> {
        let firing = registry.gauge_vec(
            "alerts_firing",
            "Of how many label sets the alert fires.",
            ["alert", "severity"],
        )?;
        rules.iter().for_each(|rule| firing.set([rule.name(), &rule.severity.to_string()], 0.0));
        Ok(Self {
            registry: registry.clone(),
            evaluator: Mutex::new(Evaluator::new(rules)),
            begun: Instant::now(),
            callbacks: Vec::new(),
            changes: broadcast::Sender::new(BEHIND),
            firing,
            panics: registry.counter(
                "alert_callback_panics_total",
                "Panics of those who were told of alerts.",
            )?,
        })
    }

    /// Calls this with each change, on the thread that checks, after the lock is gone. A panic of it is counted and goes no
    /// further.
    pub fn on_change(mut self, callback: impl Fn(&Alert) + Send + Sync + 'static) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Evaluates the rules now, and gives what has changed: in the order of the rules, what is over before what is new.
    pub fn check(&self) -> Vec<Alert> {
        let snapshot = self.registry.snapshot();
        let changed = {
            let mut evaluator = self.evaluator.lock();
            // Within the lock, so that time never goes back.
            let changed = evaluator.check(self.begun.elapsed(), &snapshot);
            self.publish(&changed, &evaluator.active());
            changed
        };
        for alert in &changed {
            self.tell(alert);
        }
        changed
    }

    /// Checks at intervals, the first time at once, for as long as the future is polled.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: another one goes on.
    pub async fn watch(&self, every: Duration) -> Infallible {
        let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.check();
        }
    }

    /// What changes from now on.
    pub fn changes(&self) -> Changes {
        Changes { receiver: self.changes.subscribe(), lost: 0 }
    }

    /// What is pending or firing, by the last check.
    pub fn active(&self) -> Vec<Alert> {
        self.evaluator.lock().active()
    }

    /// Whether nothing critical fires, by the last check: for a check of readiness.
    pub fn is_healthy(&self) -> bool {
        let is_bad = |alert: &Alert| {
            alert.state == AlertState::Firing && alert.severity == Severity::Critical
        };
        !self.active().iter().any(is_bad)
    }

    fn publish(&self, changed: &[Alert], active: &[Alert]) {
        let rules: BTreeMap<&str, Severity> =
            changed.iter().map(|alert| (&*alert.rule, alert.severity)).collect();
        for (rule, severity) in rules {
            let of_rule = |other: &&Alert| other.rule == rule && other.state == AlertState::Firing;
            let count = active.iter().filter(of_rule).count();
            self.firing.set([rule, &severity.to_string()], count as f64);
        }
    }

    fn tell(&self, alert: &Alert) {
        match (alert.state, alert.severity) {
            (AlertState::Firing, Severity::Critical) => tracing::error!("{alert}"),
            (AlertState::Firing, Severity::Warning) => tracing::warn!("{alert}"),
            _ => tracing::info!("{alert}"),
        }
        for callback in &self.callbacks {
            if std::panic::catch_unwind(AssertUnwindSafe(|| callback(alert))).is_err() {
                self.panics.inc();
            }
        }
        // An error says that nobody listens.
        let _ = self.changes.send(alert.clone());
    }
}

/// Changes of alerts, one after the other; see [`Alerts::changes`].
#[derive(Debug)]
pub struct Changes {
    receiver: broadcast::Receiver<Alert>,
    lost: u64,
}

impl Changes {
    /// The next change, or `None` once the [`Alerts`] are gone. A reader that is too slow loses the oldest ones.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Alert> {
        loop {
            match self.receiver.recv().await {
                Ok(alert) => return Some(alert),
                Err(RecvError::Lagged(count)) => self.lost += count,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// How many changes were lost because this reader was too slow.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}
