//! Alerts on an orchestrator's own metrics, in this process; and the same rules as a file for Prometheus.
//!
//! ```sh
//! cargo run -p tidegate-workflow --example alerts                # tasks that fail, and what is told
//! cargo run -p tidegate-workflow --example alerts -- --rules     # the shipped rule file
//! ```

#![expect(clippy::print_stdout, reason = "an example that tells what it does")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tidegate_workflow::alert::{Alerts, Expr, Rule, Rules, Severity};
use tidegate_workflow::telemetry::Registry;
use tidegate_workflow::{Orchestrator, TaskError};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|arg| arg == "--rules") {
        print!("{}", Rules::shipped().to_prometheus_yaml("tidegate"));
        return Ok(());
    }
    let registry = Registry::new();
    let orchestrator = Orchestrator::builder().registry(registry.clone()).build()?;

    // The shipped rules look back over minutes; this one is quick enough to be watched.
    let second = Duration::from_secs(1);
    let failing =
        Rule::new("TasksFail", Expr::rate("orchestrator_task_errors_total", second).above(5.0))
            .lasting(Duration::from_millis(400))
            .severity(Severity::Critical)
            .summary("{task} fails {value} times a second");
    let alerts = Alerts::new(&registry, Rules::shipped().with(failing)?)?;
    let alerts = Arc::new(alerts.on_change(|alert| println!("{alert}")));
    let watching = Arc::clone(&alerts);
    let watch = tokio::spawn(async move { watching.watch(Duration::from_millis(100)).await });

    for attempt in 0..300_u32 {
        let is_outage = (60..160).contains(&attempt);
        orchestrator.go("fetch", async move |_token| {
            if is_outage { Err(TaskError::from("no connection")) } else { Ok(()) }
        })?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("healthy at the end: {}", alerts.is_healthy());
    watch.abort();
    orchestrator.shutdown().await;
    Ok(())
}
