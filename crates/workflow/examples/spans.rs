//! Spans of a run sent to a collector by OTLP.
//!
//! ```sh
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 \
//!     cargo run -p tidegate-workflow --features otlp --example spans
//! ```
//!
//! A collector to look at them: `docker run -p 4318:4318 -p 16686:16686 jaegertracing/jaeger`, then
//! <http://localhost:16686>. Three pages are fetched, one of them at the second try, and summed up: one span for the run, in
//! it one for each task, in that one for each attempt, and what the tasks themselves span.

#![expect(clippy::print_stdout, reason = "an example that tells what it does")]

use std::time::Duration;

use tidegate_workflow::otlp::Otlp;
use tidegate_workflow::{Graph, Orchestrator, Retry, TaskError};
use tokio::time::sleep;
use tracing::{Instrument as _, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let otlp = match Otlp::from_env("pages")? {
        Some(otlp) => otlp,
        None => Otlp::to("http://localhost:4318", "pages")?,
    };
    tracing_subscriber::registry().with(otlp.layer()).init();

    let retry = Retry { first_delay: Duration::from_millis(20), ..Retry::attempts(2) };
    let mut graph = Graph::new();
    let mut pages = Vec::new();
    for page in 1..=3_u64 {
        let task = graph.task(format!("page {page}")).agent("site").retry(retry);
        pages.push(task.run_with(move |cx, ()| async move {
            sleep(Duration::from_millis(10 * page)).await;
            if page == 2 && cx.attempt() == 1 {
                return Err(TaskError::from("the connection was reset"));
            }
            // A span of its own, in that of the attempt.
            let parse = sleep(Duration::from_millis(5)).instrument(info_span!("parse", page));
            parse.await;
            Ok(100 * page)
        })?);
    }
    let sum = graph.task("sum").after(&pages);
    let sum = sum.run(async |pages| Ok(pages.iter().map(|page| **page).sum::<u64>()))?;
    let finished = Orchestrator::builder().agent("site", 2).build()?.run(graph).await?;
    println!("{} words", finished.get(&sum)?);

    match otlp.shutdown().await {
        Ok(sent) => println!("{sent} spans sent"),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
