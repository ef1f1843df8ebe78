//! The HTTP client of the exporter: bounded in size and time, on a runtime of its own.
//!
//! The exporter's thread is none of a runtime and waits for each answer. It must not depend on the program's runtime, which may
//! have one thread only, or a clock that stands still.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::counted::Counts;
use crate::chat::transport::{Bounds, Transport};

/// How much of an answer is read, in bytes.
const LONGEST: usize = 64 * 1024;
/// In milliseconds; the first one counts more.
const TIMEOUTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];

pub(super) struct Client {
    /// Taken when this goes.
    runtime: Option<Runtime>,
    transport: Transport,
    within: Duration,
    /// Learns why a request came to nothing: of it the exporter tells only that it did.
    counts: Arc<Counts>,
}

impl Client {
    /// # Errors
    /// When there is no file descriptor left for its runtime.
    pub(super) fn new(counts: Arc<Counts>) -> io::Result<Self> {
        let millis = TIMEOUTS.iter().find_map(|name| std::env::var(name).ok()?.parse().ok());
        let within = millis.map_or(Duration::from_secs(10), Duration::from_millis);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let bounds = Bounds { connect: within, head: within, piece: within, bytes: LONGEST };
        Ok(Self { runtime: Some(runtime), transport: Transport::new(bounds), within, counts })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self.transport.send(request.map(Full::new)).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LONGEST).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("within", &self.within).finish_non_exhaustive()
    }
}

impl HttpClient for Client {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> std::pin::Pin<
        Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>,
    >
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let runtime = self.runtime.as_ref().expect("it is there until this goes");
        let answer = runtime.block_on(async { timeout(self.within, self.send(request)).await });
        let late = |_| format!("no answer within {:?}", self.within).into();
        let answer: Result<_, HttpError> = answer.map_err(late).flatten();
        Box::pin(std::future::ready(
            answer.inspect_err(|error| self.counts.failed(error.to_string())),
        ))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Dropped in a task, a runtime that may block would panic.
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}
