//! The answers, without the connections.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body as HyperBody, Bytes, Frame, SizeHint};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    VARY,
};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::render::Renderer;
use crate::format::Format;
use crate::registry::Registry;

const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers `/metrics`, `/healthz` and `/readyz`; a hyper service whose clones are the same endpoint.
///
/// `/metrics` renders in the format that the client prefers, compressed when it accepts gzip. `/healthz` says that the
/// process is alive. `/readyz` runs the checks and is 503 when one fails, with the outcome of each by name. GET and
/// HEAD only; anything else is 405, another path 404.
///
/// Renderings and checks run on the blocking threads of the surrounding tokio runtime.
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

struct Inner {
    text: [Renderer; 2],
    open_metrics: [Renderer; 2],
    checks: Vec<Check>,
    patience: Duration,
}

struct Check {
    name: String,
    run: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// One that nobody waited for to the end: the next who asks waits for it, so that one that hangs has one thread.
    running: Mutex<Option<JoinHandle<Result<(), String>>>>,
}

impl Check {
    async fn outcome(&self, patience: Duration) -> Result<(), String> {
        let ended = timeout(patience, async {
            let mut running = self.running.lock().await;
            let run = Arc::clone(&self.run);
            let ended = running.get_or_insert_with(|| spawn_blocking(move || run())).await;
            *running = None;
            ended
        });
        match ended.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err("the check panicked".to_owned()),
            Err(_) => Err("the check takes too long".to_owned()),
        }
    }
}

impl Endpoint {
    /// An endpoint that is ready as soon as it runs.
    pub fn new(registry: Registry) -> Self {
        let renderers =
            |format| [false, true].map(|gzip| Renderer::new(registry.clone(), format, gzip));
        let inner = Inner {
            text: renderers(Format::Text),
            open_metrics: renderers(Format::OpenMetrics),
            checks: Vec::new(),
            patience: Duration::from_secs(10),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Adds a check to `/readyz`; it may block, and a panic in it is a failure. Checks run beside one another, each at most once
    /// at a time.
    ///
    /// # Panics
    ///
    /// The endpoint was cloned before.
    #[must_use]
    pub fn ready_when(
        mut self,
        name: impl Into<String>,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let (name, run) = (name.into(), Arc::new(check));
        self.inner_mut().checks.push(Check { name, run, running: Mutex::default() });
        self
    }

    /// How long a rendering or a check may take, 10 s unless set; 503 when it takes longer.
    ///
    /// # Panics
    ///
    /// The endpoint was cloned before.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.inner_mut().patience = patience;
        self
    }

    fn inner_mut(&mut self) -> &mut Inner {
        Arc::get_mut(&mut self.inner).expect("an endpoint is set up before it is cloned")
    }

    /// The answer to a request with this method, path and headers.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a rendering that has begun is finished.
    pub async fn respond(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Response<Body> {
        let answer = match path {
            "/metrics" | "/healthz" | "/readyz"
                if method != Method::GET && method != Method::HEAD =>
            {
                let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                answer
            }
            "/metrics" => self.metrics(headers).await,
            "/healthz" => plain(StatusCode::OK, "ok\n"),
            "/readyz" => self.ready().await,
            _ => plain(
                StatusCode::NOT_FOUND,
                "no such page; there are /metrics, /healthz and /readyz\n",
            ),
        };
        if method == Method::HEAD { without_body(answer) } else { answer }
    }

    async fn metrics(&self, headers: &HeaderMap) -> Response<Body> {
        let accept = joined(headers, ACCEPT);
        let format = Format::negotiate(&accept);
        let gzip = accepts_gzip(&joined(headers, ACCEPT_ENCODING));
        let renderers = match format {
            Format::Text => &self.inner.text,
            Format::OpenMetrics => &self.inner.open_metrics,
        };
        let Some(bytes) = renderers[usize::from(gzip)].render(self.inner.patience).await else {
            return plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "the rendering of the metrics takes too long\n",
            );
        };
        let mut answer = answer(StatusCode::OK, format.content_type(), bytes);
        answer.headers_mut().insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        if gzip {
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer
    }

    async fn ready(&self) -> Response<Body> {
        let mut status = StatusCode::OK;
        let mut text = String::new();
        let checks = &self.inner.checks;
        let outcomes = all(checks.iter().map(|check| check.outcome(self.inner.patience))).await;
        for (check, outcome) in checks.iter().zip(outcomes) {
            match outcome {
                Ok(()) => text.push_str(&format!("{}: ok\n", check.name)),
                Err(reason) => {
                    status = StatusCode::SERVICE_UNAVAILABLE;
                    text.push_str(&format!("{}: {reason}\n", check.name));
                }
            }
        }
        if text.is_empty() {
            text.push_str("ok\n");
        }
        answer(status, PLAIN, text.into())
    }
}

/// What each of the futures gives, polled side by side.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        for (future, output) in futures.iter_mut().filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(cx) {
                *output = Some(ready);
            }
        }
        if futures.iter().all(|(_, output)| output.is_some()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

impl<B: Send + 'static> Service<Request<B>> for Endpoint {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let endpoint = self.clone();
        let (head, _) = request.into_parts();
        Box::pin(
            async move { Ok(endpoint.respond(&head.method, head.uri.path(), &head.headers).await) },
        )
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks: Vec<&String> = self.inner.checks.iter().map(|check| &check.name).collect();
        f.debug_struct("Endpoint").field("checks", &checks).finish_non_exhaustive()
    }
}

/// The body of an answer: all of it at once.
#[derive(Debug)]
pub struct Body {
    bytes: Option<Bytes>,
}

impl Body {
    /// The bytes that are still to be sent.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }
}

impl HyperBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(
            self.bytes.take().filter(|bytes| !bytes.is_empty()).map(|bytes| Ok(Frame::data(bytes))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.bytes().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes().len() as u64)
    }
}

fn answer(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Response<Body> {
    let length = HeaderValue::from(bytes.len());
    let mut answer = Response::new(Body { bytes: Some(bytes) });
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    // Said here, since the answer to HEAD has no body to take it from.
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    answer
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    answer(status, PLAIN, Bytes::from_static(text.as_bytes()))
}

fn without_body(answer: Response<Body>) -> Response<Body> {
    answer.map(|_| Body { bytes: None })
}

/// All values of a header, as one list.
fn joined(headers: &HeaderMap, name: HeaderName) -> String {
    let values: Vec<&str> =
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

fn accepts_gzip(accept_encoding: &str) -> bool {
    accept_encoding.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let quality =
            parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        named && quality.is_none_or(|q| q.trim().parse().is_ok_and(|q: f32| q > 0.0))
    })
}
