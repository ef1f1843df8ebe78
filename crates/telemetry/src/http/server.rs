//! Connections: accepted, bounded in number and in time, closed in order.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::endpoint::Endpoint;
use super::patience::Patience;
use crate::registry::Registry;

/// How long connections may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(1);

/// A server for an [`Endpoint`], before it is started.
#[derive(Debug)]
pub struct Server {
    endpoint: Endpoint,
    addr: SocketAddr,
    header_timeout: Duration,
    write_timeout: Duration,
    max_connections: usize,
}

impl From<Registry> for Server {
    fn from(registry: Registry) -> Self {
        Self::new(Endpoint::new(registry))
    }
}

impl Server {
    /// A server on `127.0.0.1:9464`.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            addr: SocketAddr::from(([127, 0, 0, 1], 9464)),
            header_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
            max_connections: 128,
        }
    }

    /// Listens here. Whoever reaches the address can read every metric: there is no login.
    #[must_use]
    pub fn bind(mut self, addr: impl Into<SocketAddr>) -> Self {
        self.addr = addr.into();
        self
    }

    /// How long a client may take to send a request, from the connection or from its last response on.
    #[must_use]
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }

    /// How long a client may take to accept a response.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// How many connections may be open; past it the oldest is closed for the newest. At least one.
    #[must_use]
    pub fn max_connections(mut self, max: usize) -> Self {
        self.max_connections = max.max(1);
        self
    }

    /// Listens and serves on a thread of its own, until the value that is returned is stopped or dropped.
    ///
    /// # Errors
    ///
    /// The address cannot be bound, or the thread cannot be started.
    pub fn start(self) -> io::Result<Running> {
        let listener = StdListener::bind(self.addr)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(8).build()?;
        let (stop, mut stopped) = watch::channel(());
        let serve = async move {
            // Inside the runtime, which the listener needs.
            if let Ok(listener) = TcpListener::from_std(listener) {
                // An error says that the sender was dropped, which means the same.
                self.serve(listener, async move { drop(stopped.changed().await) }).await;
            }
        };
        let thread = thread::Builder::new().name("telemetry-http".to_owned()).spawn(move || {
            runtime.block_on(serve);
            // A check or callback that hangs must not hold the end up.
            runtime.shutdown_background();
        })?;
        Ok(Running { addr, stop, thread })
    }

    /// Serves on this listener, within the surrounding runtime, until `stop` is ready and the connections have ended
    /// (within a second; then they are closed).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the listener and every connection.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let server = Arc::new(self);
        let open = Open::default();
        let (closing, _) = watch::channel(());
        let mut stop = pin!(stop);
        loop {
            let accepted = poll_fn(|cx| match stop.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => listener.poll_accept(cx).map(Some),
            });
            match accepted.await {
                None => break,
                Some(Ok((stream, _))) => {
                    let server = Arc::clone(&server);
                    let (mut close, alive) = (closing.subscribe(), closing.subscribe());
                    open.spawn(server.max_connections, async move {
                        let _alive = alive;
                        server.connection(stream, async move { drop(close.changed().await) }).await;
                    });
                }
                // Out of file descriptors, or the client is gone already: the next one may fare better.
                Some(Err(_)) => sleep(Duration::from_millis(20)).await,
            }
        }
        drop(listener);
        // Nobody listens when there is no connection.
        let _ = closing.send(());
        // The rest is closed when `open` is dropped.
        let _ = timeout(GRACE, closing.closed()).await;
    }

    async fn connection(&self, stream: TcpStream, close: impl Future<Output = ()>) {
        // A missing option costs latency, nothing else.
        let _ = stream.set_nodelay(true);
        let stream = TokioIo::new(Patience::new(stream, self.write_timeout));
        let mut connection = pin!(
            http1::Builder::new()
                // Without a timer the header timeout is inert.
                .timer(TokioTimer::new())
                .header_read_timeout(self.header_timeout)
                .max_buf_size(16 * 1024)
                .max_headers(64)
                .serve_connection(stream, self.endpoint.clone())
        );
        let mut close = pin!(close);
        let mut closing = false;
        poll_fn(|cx| {
            if !closing && close.as_mut().poll(cx).is_ready() {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            // The client sees the error, nobody else needs it.
            connection.as_mut().poll(cx).map(drop)
        })
        .await;
    }
}

/// Open connections, in the order in which they came; closes them when it is dropped.
#[derive(Debug, Default)]
struct Open {
    tasks: Arc<Mutex<Tasks>>,
}

#[derive(Debug, Default)]
struct Tasks {
    next: u64,
    open: BTreeMap<u64, AbortHandle>,
}

impl Open {
    /// Runs a connection; before that, closes the oldest until there is room.
    fn spawn(&self, max: usize, connection: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().expect("nothing panics while the lock is held");
        while tasks.open.len() >= max
            && let Some((_, oldest)) = tasks.open.pop_first()
        {
            oldest.abort();
        }
        let number = tasks.next;
        tasks.next += 1;
        let closes = Closes { tasks: Arc::clone(&self.tasks), number };
        let task = tokio::spawn(async move {
            let _closes = closes;
            connection.await;
        });
        // Under the same lock as the spawn, so that a connection that ends at once finds itself.
        tasks.open.insert(number, task.abort_handle());
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut tasks = self.tasks.lock().expect("nothing panics while the lock is held");
        std::mem::take(&mut tasks.open).into_values().for_each(|task| task.abort());
    }
}

/// Removes a connection when it is dropped.
#[derive(Debug)]
struct Closes {
    tasks: Arc<Mutex<Tasks>>,
    number: u64,
}

impl Drop for Closes {
    fn drop(&mut self) {
        self.tasks.lock().expect("nothing panics while the lock is held").open.remove(&self.number);
    }
}

/// A server that runs; from [`Server::start`]. Dropping it stops the server without waiting.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    stop: watch::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops the server and waits until its connections have ended, at most a second.
    ///
    /// # Panics
    ///
    /// The server's thread panicked.
    pub fn stop(self) {
        drop(self.stop);
        self.thread.join().expect("the server does not panic");
    }
}
