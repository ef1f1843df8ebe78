//! The rules that are shipped.

use std::time::Duration;

use super::condition::Condition;
use super::expr::Expr;
use super::rule::{Rule, Rules, Severity};

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// How far a rate looks back.
const WINDOW: Duration = minutes(5);

impl Rules {
    /// The rules of `tidegate.rules.yml`: on the health of the orchestrator, of its controller and machine, of the process, and
    /// of the metrics themselves.
    ///
    /// `TidegateDown` is for Prometheus servers alone, since a process that is down evaluates nothing.
    pub fn shipped() -> Self {
        Self::of(metrics().into_iter().chain(process()).chain(orchestrator()).collect())
    }
}

fn metrics() -> [Rule; 4] {
    [
        Rule::new("TidegateDown", Expr::metric("up").equals(0.0))
            .lasting(minutes(1))
            .severity(Severity::Critical)
            .summary("{instance} cannot be scraped"),
        Rule::new("TidegateSeriesOverflow", Condition::grown("telemetry_overflow_total", WINDOW))
            .summary(
                "{metric} has more label values than it may have; further ones share one series",
            ),
        Rule::new(
            "TidegateInvalidObservations",
            Condition::grown("telemetry_invalid_observations_total", WINDOW),
        )
        .summary("{metric} was given values that it cannot hold"),
        Rule::new(
            "TidegateCallbackPanics",
            Condition::grown("telemetry_callback_panics_total", WINDOW),
        )
        .summary("the callback of {metric} panics"),
    ]
}

fn process() -> [Rule; 2] {
    let fds = Expr::metric("process_open_fds").per(Expr::metric("process_max_fds"));
    [
        Rule::new("TidegateFileDescriptors", fds.above(0.9))
            .lasting(minutes(5))
            .summary("{instance} uses more than nine in ten of its file descriptors"),
        Rule::new("TidegateMemory", Expr::metric("machine_memory_use_ratio").above(0.9))
            .lasting(minutes(2))
            .summary("more than nine tenths of the memory that {instance} may have are in use"),
    ]
}

fn orchestrator() -> [Rule; 7] {
    let errors = || Expr::rate("orchestrator_task_errors_total", WINDOW);
    let ended = Expr::rate("orchestrator_tasks_total", WINDOW).sum_by(["instance"]);
    let running = || Expr::metric("orchestrator_inflight_tasks");
    let timeouts = Expr::rate("orchestrator_attempt_timeouts_total", WINDOW);
    let attempts = Expr::rate("orchestrator_attempt_duration_seconds_count", WINDOW);
    let breaker =
        Expr::rate("orchestrator_constraints_hit_total", WINDOW).label("constraint", "breaker");
    [
        Rule::new("TidegateTaskErrors", errors().sum_by(["instance", "task"]).above(0.1))
            .lasting(minutes(2))
            .summary("task {task} fails more than once in ten seconds"),
        Rule::new("TidegateFailing", errors().sum_by(["instance"]).per(ended).above(0.5))
            .lasting(minutes(5))
            .severity(Severity::Critical)
            .summary("more than half of what {instance} runs fails"),
        Rule::new("TidegateTimeouts", timeouts.per(attempts).above(0.1))
            .lasting(minutes(5))
            .summary("more than one in ten attempts of {instance} times out"),
        Rule::new(
            "TidegateStalled",
            Expr::metric("orchestrator_ready_tasks").above(0.0).and(running().equals(0.0)),
        )
        .lasting(minutes(5))
        .severity(Severity::Critical)
        .summary("tasks of {instance} are ready and none runs"),
        Rule::new("TidegateAgentBroken", breaker.above(0.0))
            .lasting(minutes(2))
            .summary("agent {agent} fails so often that work is kept away from it"),
        Rule::new(
            "TidegateBlind",
            Expr::rate("orchestrator_source_failures_total", WINDOW).above(0.0),
        )
        .lasting(minutes(5))
        .summary("the controller of {instance} lacks readings, and its limit may stay as it is"),
        Rule::new(
            "TidegateSaturated",
            running().per(Expr::metric("orchestrator_concurrency_limit")).at_least(1.0),
        )
        .lasting(minutes(10))
        .severity(Severity::Info)
        .summary("{instance} has run at its concurrency limit for ten minutes"),
    ]
}
