//! A job that hangs is killed on its timeout, with the process it had started, and the program carries on.
//!
//! `cargo run -p tidegate-pools --example process_timeout`

use std::time::{Duration, Instant};

use tidegate_pools::process::{Context, Function, Functions, JobError, ProcessPool, init};

const PRIMES: Function<u64, u64, String> = Function::new("primes", primes);
const HANG: Function<(), (), String> =
    Function::new("hang", hang).timeout(Duration::from_millis(300));
const CRASH: Function<(), (), String> = Function::new("crash", crash);

fn primes(below: u64, _: &Context<'_>) -> Result<u64, String> {
    Ok((2..below).filter(|n| (2..).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count() as u64)
}

#[expect(clippy::print_stderr, reason = "the parent shows it")]
fn hang((): (), _: &Context<'_>) -> Result<(), String> {
    let child =
        std::process::Command::new("sleep").arg("1000").spawn().map_err(|e| e.to_string())?;
    eprintln!("started process {} and now hang", child.id());
    loop {
        std::hint::spin_loop();
    }
}

fn crash((): (), _: &Context<'_>) -> Result<(), String> {
    std::process::abort()
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let host = init(Functions::new().with(PRIMES).with(HANG).with(CRASH));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let pool = ProcessPool::builder(&host).workers(2).build()?;
        pool.ready().await?;
        let start = Instant::now();
        let hang = async {
            match pool.run(HANG, &()).await {
                Err(error @ JobError::TimedOut { .. }) => {
                    println!("after {:.0?}: {error}", start.elapsed());
                }
                other => println!("unexpected: {other:?}"),
            }
        };
        let compute = async {
            let count = pool.run(PRIMES, &200_000).await?;
            println!("primes below 200,000: {count}, from the other worker meanwhile");
            Ok::<_, JobError<String>>(())
        };
        tokio::join!(hang, compute).1?;
        println!("a crash: {}", pool.run(CRASH, &()).await.expect_err("it aborts"));
        println!("primes below 100,000: {}", pool.run(PRIMES, &100_000).await?);
        let stats = pool.stats();
        println!(
            "{} jobs done, {} timed out, {} died, {} workers started",
            stats.done, stats.timed_out, stats.died, stats.started
        );
        pool.shutdown().await;
        Ok(())
    })
}
