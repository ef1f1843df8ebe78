//! One HTTP exchange: bounded in size, every wait in time.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use super::error::{ChatError, Phase};
use super::wire;

/// How much of a refusal is read.
const LONGEST_REFUSAL: usize = 64 * 1024;

/// How long things may take, and how much may come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) connect: Duration,
    pub(crate) head: Duration,
    pub(crate) piece: Duration,
    pub(crate) bytes: usize,
}

/// A pool of connections.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    bounds: Bounds,
}

impl Transport {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(bounds.connect));
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector.wrap_connector(http));
        Self { client, bounds }
    }

    /// Sends a request with these further headers; gives the answer's body, whose bytes have yet to come.
    pub(super) async fn post(
        &self,
        uri: &Uri,
        more: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Body, ChatError> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = without_user(uri);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        headers.insert(USER_AGENT, HeaderValue::from_static("tidegate"));
        headers.extend(more);
        self.exchange(request).await
    }

    /// Asks for something; gives the answer's body, whose bytes have yet to come.
    pub(crate) async fn get(&self, uri: &Uri, accept: &'static str) -> Result<Body, ChatError> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = without_user(uri);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers.insert(USER_AGENT, HeaderValue::from_static("tidegate"));
        self.exchange(request).await
    }

    /// Sends a request as it is; no bound holds for what comes back.
    #[cfg(feature = "otlp")]
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ChatError> {
        *request.uri_mut() = without_user(request.uri());
        let sent = self.client.request(request).await;
        sent.map_err(|error| ChatError::Connection { why: chain(&error) })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Body, ChatError> {
        let after = self.bounds.head;
        let response = timeout(after, self.client.request(request))
            .await
            .map_err(|_| ChatError::TimedOut { phase: Phase::Head, after })?
            .map_err(|error| ChatError::Connection { why: chain(&error) })?;
        if response.status() == StatusCode::OK {
            return Ok(Body::new(response, self.bounds.bytes, self.bounds.piece));
        }
        let status = response.status().as_u16();
        let header = |name| response.headers().get(name)?.to_str().ok();
        let retry_after = header(RETRY_AFTER)
            .and_then(|value| wire::retry_after(value, header(DATE), SystemTime::now()));
        // The status says enough: what goes wrong with the text changes nothing.
        let mut body = Body::new(response, LONGEST_REFUSAL, self.bounds.piece);
        let message = wire::message(&body.rest().await.unwrap_or_default());
        Err(ChatError::Refused { status, message, retry_after })
    }
}

/// The body of an answer.
pub(crate) struct Body {
    incoming: Incoming,
    left: usize,
    limit: usize,
    piece: Duration,
}

impl Body {
    fn new(response: Response<Incoming>, limit: usize, piece: Duration) -> Self {
        Self { incoming: response.into_body(), left: limit, limit, piece }
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ChatError> {
        loop {
            let after = self.piece;
            let frame = timeout(after, self.incoming.frame())
                .await
                .map_err(|_| ChatError::TimedOut { phase: Phase::Piece, after })?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| ChatError::Connection { why: chain(&error) })?;
            // Trailers say nothing about the text.
            let Ok(bytes) = frame.into_data() else { continue };
            self.left = self
                .left
                .checked_sub(bytes.len())
                .ok_or(ChatError::TooLong { limit: self.limit })?;
            return Ok(Some(bytes));
        }
    }

    /// Everything that is left.
    pub(crate) async fn rest(&mut self) -> Result<Vec<u8>, ChatError> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }
}

/// The address without user and password: they are not sent, and the library would write them into its own log.
fn without_user(uri: &Uri) -> Uri {
    let mut parts = uri.clone().into_parts();
    let host = parts.authority.as_ref().and_then(|of| of.as_str().rsplit_once('@')?.1.parse().ok());
    parts.authority = host.or(parts.authority);
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
