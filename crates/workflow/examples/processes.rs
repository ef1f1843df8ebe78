//! Functions by name in worker processes: what hangs is killed, what crashes is told, the rest goes on.
//!
//! ```sh
//! cargo run -p tidegate-workflow --example processes
//! ```
//!
//! A range of numbers is searched for primes in eight parts, each in a worker process. Two further tasks misbehave: one never
//! ends, one ends its process. The sum is right all the same.

#![expect(clippy::print_stdout, reason = "an example that tells what it does")]

use std::error::Error;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tidegate_workflow::executor::{Named, Processes, Registry};
use tidegate_workflow::pools::process::{ProcessPool, init};
use tidegate_workflow::{Graph, Orchestrator, Outcome, TaskError};

const PRIMES: Named<Range<u32>, u32> = Named::new("primes");
const SUM: Named<Vec<Arc<u32>>, u32> = Named::new("sum");
const HANG: Named<(), ()> = Named::new("hang");
const CRASH: Named<(), ()> = Named::new("crash");

async fn primes(range: Range<u32>) -> Result<u32, TaskError> {
    let is_prime =
        |n: &u32| *n > 1 && (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    Ok(u32::try_from(range.filter(is_prime).count())?)
}

async fn sum(parts: Vec<Arc<u32>>) -> Result<u32, TaskError> {
    Ok(parts.iter().map(|part| **part).sum())
}

async fn hang((): ()) -> Result<(), TaskError> {
    loop {
        std::hint::spin_loop();
    }
}

async fn crash((): ()) -> Result<(), TaskError> {
    std::process::abort()
}

fn main() -> Result<(), Box<dyn Error>> {
    let registry =
        Registry::new().with(PRIMES, primes).with(SUM, sum).with(HANG, hang).with(CRASH, crash);
    // First: in a worker this call serves and never returns.
    let host = init(Processes::functions(registry));
    tokio::runtime::Runtime::new()?.block_on(run(&host))
}

async fn run(host: &tidegate_workflow::pools::process::Host) -> Result<(), Box<dyn Error>> {
    let mut graph = Graph::new();
    let mut parts = Vec::new();
    for part in 0..8_u32 {
        let range = part * 12_500..(part + 1) * 12_500;
        parts.push(graph.task(format!("part {part}")).call_with(PRIMES, range)?);
    }
    let all = graph.task("all").after(&parts).call(SUM)?;
    let brief = Duration::from_millis(300);
    graph.task("hang").timeout(brief).call_with(HANG, ())?;
    graph.task("crash").call_with(CRASH, ())?;

    let pool = ProcessPool::builder(host).workers(4).build()?;
    let orchestrator = Orchestrator::builder().limit(4).executor(Processes::new(pool)).build()?;
    let finished = orchestrator.run(graph).await?;
    println!("{} primes below 100000", finished.get(&all)?);
    for task in finished.report().tasks.iter().filter(|task| !task.outcome.is_success()) {
        println!("{}: {:?}", task.id, task.outcome);
    }
    assert_eq!(*finished.get(&all)?, 9592);
    assert_eq!(finished.report().counts()["timed_out"], 1);
    let crashed = &finished.report().tasks.last().ok_or("there are tasks")?.outcome;
    assert!(matches!(crashed, Outcome::Failed { .. }));
    Ok(())
}
