//! Calls to a service that can bear only three at once and fails now and then, over real sockets.
//!
//! ```sh
//! cargo run -p tidegate-workflow --example service
//! ```
//!
//! The service, in this program, answers a fourth call at once with an error, and every seventh call as well. Limits and
//! retries make sixty calls succeed all the same, and the service never sees a fourth at once.

#![expect(clippy::print_stdout, reason = "an example that tells what it does")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_workflow::telemetry::Registry;
use tidegate_workflow::{Agent, Breaker, Graph, Orchestrator, Retry, TaskError};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

const CALLS: u32 = 60;
const AT_ONCE: usize = 3;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let busiest = Arc::new(AtomicUsize::new(0));
    let address = serve(Arc::clone(&busiest)).await?;

    let registry = Registry::new();
    let breaker = Breaker { failures: 5, cool_down: Duration::from_millis(100) };
    let orchestrator = Orchestrator::builder()
        .limit(32)
        .agent("squares", Agent::new(AT_ONCE).breaker(breaker))
        .registry(registry.clone())
        .build()?;
    let retry = Retry { attempts: 6, first_delay: Duration::from_millis(5), ..Retry::default() };
    let mut graph = Graph::new();
    let mut squares = Vec::new();
    for n in 0..CALLS {
        let call = graph.task(format!("square of {n}")).agent("squares").retry(retry);
        let call = call.timeout(Duration::from_secs(5));
        squares.push(call.run(move |()| ask(address, n))?);
    }
    let sum = graph
        .task("sum")
        .after(&squares)
        .run(async |squares| Ok(squares.iter().map(|square| **square).sum::<u32>()))?;

    let finished = orchestrator.run(graph).await?;
    let retries = registry.value("orchestrator_task_retries_total").unwrap_or_default();
    let at_once = busiest.load(Ordering::Relaxed);
    println!("the sum is {}, after {retries} retries; {at_once} at once", finished.get(&sum)?);
    assert_eq!(*finished.get(&sum)?, (0..CALLS).map(|n| n * n).sum::<u32>());
    assert!(retries > 0.0 && at_once <= AT_ONCE);
    Ok(())
}

/// One call: a number, a line with its square or with an error.
async fn ask(address: SocketAddr, n: u32) -> Result<u32, TaskError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{n}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    match answer.trim().parse() {
        Ok(square) => Ok(square),
        Err(_) => Err(answer.trim().into()),
    }
}

async fn serve(busiest: Arc<AtomicUsize>) -> Result<SocketAddr, Box<dyn Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let (busy, calls) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (busy, calls) = (Arc::clone(&busy), Arc::clone(&calls));
            let busiest = Arc::clone(&busiest);
            tokio::spawn(async move {
                let now = busy.fetch_add(1, Ordering::Relaxed) + 1;
                busiest.fetch_max(now, Ordering::Relaxed);
                let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
                let answered =
                    answer(stream, now <= AT_ONCE && !call.is_multiple_of(7), &busy).await;
                drop(answered);
            });
        }
    });
    Ok(address)
}

async fn answer(stream: TcpStream, well: bool, busy: &AtomicUsize) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let read = stream.read_line(&mut line).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    // Before the caller learns that it is over.
    busy.fetch_sub(1, Ordering::Relaxed);
    read?;
    let text = match line.trim().parse::<u32>() {
        Ok(n) if well => (n * n).to_string(),
        Ok(_) => "overloaded".to_owned(),
        Err(why) => why.to_string(),
    };
    stream.get_mut().write_all(text.as_bytes()).await?;
    stream.get_mut().shutdown().await
}
