//! A real HTTP server on loopback, offered twice what it can do, with no limiter, a limit fixed by hand, and ours.
//!
//! `cargo run --release -p tidegate-benches --features limiter --bin overload`; it takes some 20 seconds and stops by itself.
//!
//! The server works on [`WORKERS`] requests at a time, first come, first served, for 5 to 15 ms each. The client sends at
//! random moments, whether or not answers come, and gives up after [`PATIENCE`]: an answer later than that is
//! no goodput, but the server has spent its time on it. What a limiter does not admit is refused at once.

#![expect(clippy::print_stdout, reason = "a command prints")]

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidegate_limiter::{Fixed, Knee, Limiter, OwnedTicket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time;

const WORKERS: usize = 8;
const SERVICE: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_millis(250);
/// Not counted: limiters find their limit, connections are opened.
const WARM_UP: Duration = Duration::from_millis(1500);
const MEASURED: Duration = Duration::from_secs(3);

fn main() -> Result<(), Box<dyn Error>> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let capacity = WORKERS as f64 / SERVICE.as_secs_f64();
    println!("server: {WORKERS} at a time, 5 to 15 ms each, so {capacity:.0} answers/s at most\n");
    println!("| client | offered/s | answers in time/s | p50 ms | p99 ms | limit at the end |");
    println!("|---|---|---|---|---|---|");
    let row = |name: &str, load: f64, limiter: Option<Limiter>| -> io::Result<Measured> {
        let limiter = limiter.map(Arc::new);
        let measured = runtime.block_on(run(load * capacity, limiter.clone()))?;
        let limit = limiter.map_or("–".to_owned(), |limiter| limiter.limit().to_string());
        println!(
            "| {name} | {:.0} | {:.0} | {:.1} | {:.1} | {limit} |",
            load * capacity,
            measured.goodput,
            measured.quantile(0.5) * 1e3,
            measured.quantile(0.99) * 1e3
        );
        Ok(measured)
    };
    let unloaded = row("unloaded, no limiter", 0.2, None)?;
    row("no limiter", 2.0, None)?;
    let small = row("limit fixed at 4", 2.0, Some(Limiter::new(4, Fixed(4))))?;
    let right = row("limit fixed at 8", 2.0, Some(Limiter::new(8, Fixed(8))))?;
    let large = row("limit fixed at 64", 2.0, Some(Limiter::new(64, Fixed(64))))?;
    let ours = row("Limiter with Knee", 2.0, Some(Limiter::new(20, Knee::default())))?;
    let best = [&small, &right, &large, &ours].iter().map(|m| m.goodput).fold(0.0, f64::max);
    let goodput = ours.goodput / best;
    let p99 = ours.quantile(0.99) / unloaded.quantile(0.99);
    println!("\nKnee: {goodput:.3} of the best goodput (at least 0.95 promised)");
    println!("      {p99:.2} times the p99 without load (at most 2 promised)");
    if goodput < 0.95 || 2.0 < p99 {
        return Err("a promise was not kept in this run".into());
    }
    Ok(())
}

/// What the client saw.
struct Measured {
    goodput: f64,
    /// Seconds, sorted; of all answers, those that came too late as well.
    latencies: Vec<f64>,
}

impl Measured {
    fn quantile(&self, share: f64) -> f64 {
        let at = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(at).copied().unwrap_or(f64::NAN)
    }
}

/// Connections that wait for their next request.
type Pool = Arc<Mutex<Vec<TcpStream>>>;

/// Offers `rate` requests per second to a fresh server.
async fn run(rate: f64, limiter: Option<Arc<Limiter>>) -> io::Result<Measured> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(listener));
    let pool = Pool::default();
    let mut requests = JoinSet::new();
    let mut chance = Chance(7);
    let start = Instant::now();
    let mut due = Duration::ZERO;
    while due < WARM_UP + MEASURED {
        due += Duration::from_secs_f64(-chance.unit().ln() / rate);
        time::sleep_until((start + due).into()).await;
        let ticket = match &limiter {
            None => None,
            Some(limiter) => match Arc::clone(limiter).try_acquire_owned() {
                Ok(ticket) => Some(ticket),
                Err(_) => continue, // refused: the client may go elsewhere
            },
        };
        requests.spawn(request(address, Arc::clone(&pool), ticket, start + due, start));
    }
    let mut latencies = Vec::new();
    while let Some(done) = requests.join_next().await {
        let Ok(Ok((sent, latency))) = done else { continue };
        if WARM_UP <= sent {
            latencies.push(latency);
        }
    }
    server.abort();
    let in_time = latencies.iter().filter(|latency| **latency <= PATIENCE.as_secs_f64()).count();
    latencies.sort_by(f64::total_cmp);
    Ok(Measured { goodput: in_time as f64 / MEASURED.as_secs_f64(), latencies })
}

/// Sends one; when it was due, and the seconds from then until the answer.
async fn request(
    address: SocketAddr,
    pool: Pool,
    ticket: Option<OwnedTicket>,
    due: Instant,
    start: Instant,
) -> io::Result<(Duration, f64)> {
    let idle = pool.lock().expect("no panic under the lock").pop();
    let mut stream = match idle {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            stream
        }
    };
    stream.write_all(b"GET /work HTTP/1.1\r\nHost: loopback\r\n\r\n").await?;
    let answer = read_head(&mut stream).await?;
    let latency = due.elapsed().as_secs_f64();
    pool.lock().expect("no panic under the lock").push(stream);
    match ticket {
        Some(ticket) if answer.starts_with(b"HTTP/1.1 200") => ticket.success(),
        Some(ticket) => ticket.overload(),
        None => {}
    }
    Ok((due - start, latency))
}

/// Reads up to the empty line.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(128);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// A server that works on a few at a time; the rest waits in line inside it.
async fn serve(listener: TcpListener) -> io::Result<()> {
    let workers = Arc::new(Semaphore::new(WORKERS));
    let mut connections = JoinSet::new();
    for number in 1.. {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let workers = Arc::clone(&workers);
        connections.spawn(async move {
            let mut chance = Chance(number);
            while read_head(&mut stream).await.is_ok() {
                let Ok(_worker) = workers.acquire().await else { return };
                time::sleep(SERVICE.mul_f64(0.5 + chance.unit())).await;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}

/// splitmix64.
struct Chance(u64);

impl Chance {
    /// Between 0 and 1, neither of them.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) as f64 + 0.5) / 2_f64.powi(64)
    }
}
