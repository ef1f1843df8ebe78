//! A service whose concurrency follows live metrics: a registry, a source that reads it back, a configuration, tasks, and
//! `/metrics` for Prometheus.
//!
//! ```sh
//! cargo run -p tidegate-workflow --example adaptive
//! curl http://127.0.0.1:9097/metrics      # while it runs
//! cargo run -p tidegate-workflow --example adaptive -- --machine      # the machine has a say, too
//! cargo run -p tidegate-workflow --features nvml --example adaptive -- --machine      # and its cards
//! ```
//!
//! The work is real, if small: every task counts the primes below a number, on a pool of threads for computations. Requests
//! arrive faster than the base limit can serve them; the queue grows past the watermark, and the limit follows.

#![expect(clippy::print_stdout, reason = "an example that tells what it does")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tidegate_workflow::pools::{CpuPool, Priority};
use tidegate_workflow::telemetry::http::Server;
use tidegate_workflow::telemetry::{Format, Registry};
use tidegate_workflow::{
    Builder, Config, EventKind, MachineSource, Next, Orchestrator, RegistrySource, Source,
    TaskError,
};

const REQUESTS: u64 = 120;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Metrics: our own beside those that the orchestrator adds.
    let registry = Registry::new();
    let queue = registry.gauge("queue_depth", "Requests that wait.")?;
    let gpu_wait = registry.gauge("gpu_wait_seconds", "How long work waits for the GPU.")?;
    let error_rate = registry.gauge("error_rate", "The share of requests that fail.")?;
    let primes = registry.counter("primes_total", "Primes that were found.")?;
    gpu_wait.set(0.0);
    error_rate.set(0.0);

    // The controller reads them back by name. A metric whose threshold is on and that is not there changes nothing.
    let source = RegistrySource::new(registry.clone())
        .queue_depth("queue_depth")
        .gpu_wait("gpu_wait_seconds")
        .error_rate("error_rate");
    let config = Config {
        base_limit: 4,
        min_limit: 1,
        max_limit: 16,
        increase_step: 2,
        decrease_step: 2,
        queue_high_watermark: 50.0,
        gpu_wait_high: 5.0,
        error_rate_high: 0.3,
        adaptation_interval: Duration::from_millis(100),
    };

    let builder = Orchestrator::builder().registry(registry.clone());
    let orchestrator = if std::env::args().any(|arg| arg == "--machine") {
        // What is scarce is the machine then: at 1 a figure of it is high, and the limit steps down.
        let config = Config { gpu_wait_high: 1.0, error_rate_high: 0.0, ..config };
        let queue = RegistrySource::new(registry.clone()).queue_depth("queue_depth");
        let source = queue.and(MachineSource::new().publish(&registry)?);
        with_cards(builder, config, source, &registry)?.build()?
    } else {
        builder.adaptive(config, source).build()?
    };
    let server = Server::from(registry.clone()).bind(([127, 0, 0, 1], 9097)).start()?;
    println!("metrics at http://{}/metrics", server.addr());

    // What the controller decides, as it happens.
    let mut events = orchestrator.events();
    let watcher = tokio::spawn(async move {
        while let Some(next) = events.next().await {
            if let Next::Event(event) = next
                && let EventKind::LimitChanged { from, to } = event.kind
            {
                println!("{:>6} ms  limit {from} -> {to}", event.at.as_millis());
            }
        }
    });

    let pool = Arc::new(CpuPool::builder().build()?);
    for request in 1..=REQUESTS {
        let (queue, primes, pool) = (queue.clone(), primes.clone(), Arc::clone(&pool));
        queue.inc();
        orchestrator.go("count_primes", move |token| async move {
            queue.dec();
            if token.is_cancelled() {
                return Ok(());
            }
            let below = 20_000 + 500 * request;
            let job = pool.submit(Priority::Normal, move || count_primes(below)).await?;
            let found = job.await?;
            primes.inc_by(found);
            Ok::<(), TaskError>(())
        })?;
    }

    orchestrator.wait().await?;
    println!(
        "{REQUESTS} requests, {} primes, limit at the end {}",
        primes.value(),
        orchestrator.limit()
    );
    for name in ["orchestrator_concurrency_limit", "orchestrator_inflight_tasks"] {
        println!("{name} {}", registry.value(name).unwrap_or(f64::NAN));
    }
    let text = registry.render(Format::Text);
    let machine = ["machine_", "gpu_"];
    for line in text.lines().filter(|line| machine.iter().any(|start| line.starts_with(start))) {
        println!("{line}");
    }
    if let Some(trouble) = orchestrator.source_trouble() {
        println!("{} reads were incomplete, the last because {}", trouble.count, trouble.why);
    }
    orchestrator.shutdown().await;
    drop(orchestrator);
    watcher.await?;
    server.stop();
    Ok(())
}

/// Adds the cards of this machine, if there are any.
#[cfg(feature = "nvml")]
fn with_cards(
    builder: Builder,
    config: Config,
    source: impl Source,
    registry: &Registry,
) -> Result<Builder, Box<dyn Error>> {
    match tidegate_workflow::GpuSource::new() {
        Ok(cards) => Ok(builder.adaptive(config, source.and(cards.publish(registry)?))),
        Err(none) => {
            println!("no cards are watched: {none}");
            Ok(builder.adaptive(config, source))
        }
    }
}

#[cfg(not(feature = "nvml"))]
fn with_cards(
    builder: Builder,
    config: Config,
    source: impl Source,
    _registry: &Registry,
) -> Result<Builder, Box<dyn Error>> {
    Ok(builder.adaptive(config, source))
}

/// By trial division, which is slow enough to be work.
fn count_primes(below: u64) -> u64 {
    let is_prime = |n: u64| (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    (2..below).filter(|n| is_prime(*n)).count() as u64
}
