//! The client: settings, requests, tasks, and what all of it took.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use tidegate_telemetry::{CounterVec, FloatCounter, Histogram, Registry};
use tokio::time::{Instant, timeout};

use super::error::{ChatConfigError, ChatError, Phase};
use super::sse::Events;
use super::transport::{Bounds, Transport};
use super::wire::{self, Piece, Said};
use super::{ChatAnswer, ChatRequest, Price, Usage};
use crate::context::Context;
use crate::retry::Retry;
use crate::task::{Task, TaskError};
#[cfg(feature = "otel")]
use crate::trace::TraceParent;

/// A model behind an OpenAI-compatible endpoint. Cheap to clone; clones share connections and totals.
///
/// The key comes from the environment and goes into one header, marked as sensitive: it is in no error, event, metric or
/// `Debug` text, not even where the server says it back in a refusal.
///
/// # Examples
/// ```no_run
/// use tidegate_workflow::chat::{ChatClient, ChatRequest, Price};
/// use tidegate_workflow::{Agent, Graph, Orchestrator};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let model = ChatClient::builder("https://api.openai.com/v1", "gpt-4o-mini")
///     .key_from_env("OPENAI_API_KEY")
///     .price(Price { prompt_per_million: 0.15, completion_per_million: 0.6 })
///     .build()?;
///
/// let mut graph = Graph::new();
/// graph.add(model.task("legs", |_| Ok(ChatRequest::new("How many legs has a spider?"))))?;
/// let orchestrator = Orchestrator::builder().agent("gpt-4o-mini", Agent::new(8).requests_per_minute(60)).build()?;
/// let finished = orchestrator.run(graph).await?;
/// println!("{} requests cost {}", model.totals().requests, model.totals().cost);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ChatClient(Arc<Inner>);

struct Inner {
    transport: Transport,
    uri: Uri,
    key: Option<HeaderValue>,
    model: String,
    agent: Arc<str>,
    price: Price,
    whole: Duration,
    totals: Mutex<ChatTotals>,
    metrics: Option<Metrics>,
}

impl fmt::Debug for ChatClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatClient")
            .field("host", &self.0.uri.host())
            .field("model", &self.0.model)
            .finish_non_exhaustive()
    }
}

/// What all requests of a client took so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ChatTotals {
    /// How many were sent.
    pub requests: u64,
    /// How many of them brought no answer. Those that were dropped are in neither.
    pub failures: u64,
    /// How many tokens the server counted.
    pub usage: Usage,
    /// What the answers cost, by the client's [`Price`].
    pub cost: f64,
    /// How long the answers took, all together.
    pub latency: Duration,
}

/// Settings of a client to be; see [`ChatClient::builder`].
#[derive(Clone)]
#[must_use]
pub struct ChatBuilder {
    url: String,
    model: String,
    agent: Option<Arc<str>>,
    key: Option<String>,
    price: Price,
    bounds: Bounds,
    whole: Duration,
    registry: Option<Registry>,
}

impl fmt::Debug for ChatBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatBuilder")
            .field("url", &public(&self.url))
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Metrics {
    requests: CounterVec<2>,
    tokens: CounterVec<2>,
    cost: FloatCounter,
    latency: Histogram,
}

impl ChatClient {
    /// Settings to start from: 10 s to connect, 60 s until the answer begins and between its pieces, 300 s for the whole, 1 MiB
    /// of answer, no key, no price.
    ///
    /// `url` is what stands before `/chat/completions`.
    pub fn builder(url: impl Into<String>, model: impl Into<String>) -> ChatBuilder {
        let bounds = Bounds {
            connect: Duration::from_secs(10),
            head: Duration::from_secs(60),
            piece: Duration::from_secs(60),
            bytes: 1 << 20,
        };
        ChatBuilder {
            url: url.into(),
            model: model.into(),
            agent: None,
            key: None,
            price: Price::default(),
            bounds,
            whole: Duration::from_secs(300),
            registry: None,
        }
    }

    /// The client that the environment describes: `OPENAI_BASE_URL`, `OPENAI_MODEL` (`gpt-4o-mini` if it is not set), and
    /// `OPENAI_API_KEY` if it is set.
    ///
    /// # Errors
    /// When `OPENAI_BASE_URL` is not set, or is no address.
    pub fn from_env() -> Result<Self, ChatConfigError> {
        let url = from_env("OPENAI_BASE_URL")?;
        let model = from_env("OPENAI_MODEL").unwrap_or_else(|_| "gpt-4o-mini".to_owned());
        let builder = Self::builder(url, model);
        match from_env("OPENAI_API_KEY") {
            Ok(_) => builder.key_from_env("OPENAI_API_KEY").build(),
            Err(_) => builder.build(),
        }
    }

    /// The agent that its tasks belong to.
    pub fn agent(&self) -> &str {
        &self.0.agent
    }

    /// What all requests took so far.
    pub fn totals(&self) -> ChatTotals {
        *self.0.totals.lock()
    }

    /// Asks, and waits for the whole answer.
    ///
    /// # Errors
    /// When the server refuses, cannot be reached, takes too long, or answers with what is no chat completion.
    ///
    /// # Cancel safety
    /// Dropping the future ends the request; the server may have worked on it.
    pub async fn complete(&self, request: &ChatRequest) -> Result<ChatAnswer, ChatError> {
        let body = wire::body(request, &self.0.model, false);
        self.counted(async {
            let mut answer = self.post(request, body).await?;
            Ok((wire::whole(&answer.rest().await?)?, None))
        })
        .await
    }

    /// Asks, and hands on the text piece by piece. The answer at the end has all of it.
    ///
    /// # Errors
    /// As [`complete`](Self::complete); also when the stream ends before the server said that it is complete. Pieces may have
    /// been handed on by then.
    ///
    /// # Cancel safety
    /// As [`complete`](Self::complete).
    pub async fn stream(
        &self,
        request: &ChatRequest,
        mut on_text: impl FnMut(&str) + Send,
    ) -> Result<ChatAnswer, ChatError> {
        let body = wire::body(request, &self.0.model, true);
        let began = Instant::now();
        self.counted(async {
            let mut answer = self.post(request, body).await?;
            let (mut events, mut said, mut first) = (Events::default(), Said::default(), None);
            while let Some(bytes) = answer.next().await? {
                for data in events.push(&bytes) {
                    match said.take(&data)? {
                        Piece::Done => return Ok((said, first)),
                        Piece::Text(text) if text.is_empty() => {}
                        Piece::Text(text) => {
                            first = first.or_else(|| Some(began.elapsed()));
                            on_text(&text);
                        }
                    }
                }
            }
            let why = "the stream ended before `[DONE]`".to_owned();
            Err(ChatError::Connection { why })
        })
        .await
    }

    /// A task that asks and returns a [`ChatAnswer`]. Each attempt makes its request anew, out of its inputs. The answer is
    /// streamed, so that each piece counts as [progress](Context::progress).
    ///
    /// It belongs to the client's [`agent`](Self::agent) and is tried three times; both can be set otherwise on the task.
    /// After 429 and 503 the whole agent waits for as long as the server said. Each request carries the task's
    /// [`idempotency_key`](Context::idempotency_key) and the attempt's [`trace_parent`](Context::trace_parent) in its headers.
    pub fn task(
        &self,
        id: impl Into<Arc<str>>,
        request: impl Fn(&Context) -> Result<ChatRequest, TaskError> + Send + Sync + 'static,
    ) -> Task {
        let client = self.clone();
        Task::new(id, move |cx: Context| {
            let (client, request) = (client.clone(), request(&cx));
            async move {
                let mut request = request?;
                request.trace_parent.get_or_insert_with(|| cx.trace_parent());
                request.idempotency_key.get_or_insert_with(|| cx.idempotency_key());
                let stopped = cx.token().clone();
                tokio::select! {
                    biased;
                    () = stopped.cancelled() => Err(TaskError::fatal("it was asked to stop")),
                    answer = client.stream(&request, |_| cx.progress()) => {
                        answer.map_err(ChatError::into_task_error)
                    }
                }
            }
        })
        .agent(Arc::clone(&self.0.agent))
        .kind(Arc::clone(&self.0.agent))
        .retry(Retry::default())
    }

    async fn post(
        &self,
        request: &ChatRequest,
        body: Vec<u8>,
    ) -> Result<super::transport::Body, ChatError> {
        let mut headers = HeaderMap::new();
        headers.extend(self.0.key.clone().map(|key| (AUTHORIZATION, key)));
        let trace_parent = request.trace_parent;
        // Of what is asked from inside an attempt without its context, as planners do.
        #[cfg(feature = "otel")]
        let trace_parent = trace_parent.or_else(|| TraceParent::of(&tracing::Span::current()));
        let trace_parent = trace_parent.map(|parent| parent.to_string());
        for (name, value) in
            [("traceparent", trace_parent), ("idempotency-key", request.idempotency_key.clone())]
        {
            // A key that cannot stand in a header is none.
            let value = value.and_then(|value| HeaderValue::try_from(value).ok());
            headers.extend(value.map(|value| (HeaderName::from_static(name), value)));
        }
        self.0.transport.post(&self.0.uri, headers, body).await
    }

    /// Runs an exchange within its time, and counts it.
    async fn counted(
        &self,
        exchange: impl Future<Output = Result<(Said, Option<Duration>), ChatError>>,
    ) -> Result<ChatAnswer, ChatError> {
        let began = Instant::now();
        self.0.totals.lock().requests += 1;
        let after = self.0.whole;
        let late = Err(ChatError::TimedOut { phase: Phase::Whole, after });
        let result = timeout(after, exchange).await.unwrap_or(late);
        let result = result.map_err(|error| match &self.0.key {
            Some(key) => error.without(bare(key)),
            None => error,
        });
        let latency = began.elapsed();
        let answer = result.map(|(said, first_piece)| {
            let Said { text, finish_reason, usage } = said;
            let cost = self.0.price.of(usage);
            ChatAnswer { text, finish_reason, usage, cost, latency, first_piece }
        });
        self.0.count(&answer);
        answer
    }
}

impl Inner {
    fn count(&self, answer: &Result<ChatAnswer, ChatError>) {
        let mut totals = self.totals.lock();
        match answer {
            Err(_) => totals.failures += 1,
            Ok(answer) => {
                totals.usage = totals.usage.and(answer.usage);
                totals.cost += answer.cost;
                totals.latency += answer.latency;
            }
        }
        drop(totals);
        let Some(metrics) = &self.metrics else { return };
        let outcome = match answer {
            Ok(_) => "answered",
            Err(ChatError::Connection { .. }) => "connection",
            Err(ChatError::TimedOut { .. }) => "timed_out",
            Err(ChatError::Refused { status: 429, .. }) => "overloaded",
            Err(ChatError::Refused { .. }) => "refused",
            Err(ChatError::TooLong { .. } | ChatError::NotUnderstood { .. }) => "not_understood",
        };
        metrics.requests.with([&self.model, outcome]).inc();
        if let Ok(answer) = answer {
            let Usage { prompt_tokens, completion_tokens } = answer.usage;
            metrics.tokens.with([&self.model, "prompt"]).inc_by(prompt_tokens);
            metrics.tokens.with([&self.model, "completion"]).inc_by(completion_tokens);
            metrics.cost.inc_by(answer.cost);
            metrics.latency.observe_duration(answer.latency);
        }
    }
}

impl ChatBuilder {
    /// The environment variable that holds the key, read by [`build`](Self::build).
    pub fn key_from_env(mut self, variable: impl Into<String>) -> Self {
        self.key = Some(variable.into());
        self
    }

    /// The agent that the tasks belong to; one with the model's name by default.
    pub fn agent(mut self, name: impl Into<Arc<str>>) -> Self {
        self.agent = Some(name.into());
        self
    }

    /// What tokens cost.
    pub fn price(mut self, price: Price) -> Self {
        self.price = price;
        self
    }

    /// How long a connection may take.
    pub fn connect_timeout(mut self, duration: Duration) -> Self {
        self.bounds.connect = duration;
        self
    }

    /// How long it may take until an answer begins, and between two pieces of it.
    pub fn idle_timeout(mut self, duration: Duration) -> Self {
        (self.bounds.head, self.bounds.piece) = (duration, duration);
        self
    }

    /// How long a whole answer may take.
    pub fn timeout(mut self, duration: Duration) -> Self {
        self.whole = duration;
        self
    }

    /// How many bytes an answer may have as it comes over the wire.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// Counts in this registry too: `chat_requests_total{model,outcome}`, `chat_tokens_total{model,kind}`, `chat_cost_total`,
    /// `chat_latency_seconds`. One client of a registry can do so.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// The client.
    ///
    /// # Errors
    /// When the address is none, the key's variable is not set or cannot stand in a header, or the registry refuses.
    pub fn build(self) -> Result<ChatClient, ChatConfigError> {
        let address = format!("{}/chat/completions", self.url.trim_end_matches('/'));
        let uri: Uri = address.parse().map_err(|_| bad_url(&self.url))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(bad_url(&self.url));
        }
        let key = self.key.map(|variable| {
            let value = format!("{BEARER}{}", from_env(&variable)?);
            let mut value: HeaderValue =
                value.parse().map_err(|_| ChatConfigError::NoKey { variable })?;
            value.set_sensitive(true);
            Ok(value)
        });
        let metrics = self.registry.as_ref().map(Metrics::register);
        let agent = self.agent.unwrap_or_else(|| Arc::from(self.model.as_str()));
        Ok(ChatClient(Arc::new(Inner {
            transport: Transport::new(self.bounds),
            uri,
            key: key.transpose()?,
            model: self.model,
            agent,
            price: self.price,
            whole: self.whole,
            totals: Mutex::default(),
            metrics: metrics.transpose().map_err(ChatConfigError::Metric)?,
        })))
    }
}

impl Metrics {
    fn register(registry: &Registry) -> Result<Self, tidegate_telemetry::RegisterError> {
        let buckets = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
        Ok(Self {
            requests: registry.counter_vec(
                "chat_requests_total",
                "Chat completions that ended, by how.",
                ["model", "outcome"],
            )?,
            tokens: registry.counter_vec(
                "chat_tokens_total",
                "Tokens that the server counted.",
                ["model", "kind"],
            )?,
            cost: registry
                .define("chat_cost_total", "What the answers cost, in the currency of the prices.")
                .float_counter()?,
            latency: registry.histogram(
                "chat_latency_seconds",
                "How long answers took, from the request to the last byte.",
                buckets,
            )?,
        })
    }
}

/// What stands before the key in its header.
const BEARER: &str = "Bearer ";

/// The key that a header holds.
fn bare(header: &HeaderValue) -> &str {
    header.to_str().ok().and_then(|text| text.strip_prefix(BEARER)).unwrap_or_default()
}

fn from_env(variable: &str) -> Result<String, ChatConfigError> {
    let unset = |_| ChatConfigError::Unset { variable: variable.to_owned() };
    std::env::var(variable).map_err(unset)
}

fn bad_url(url: &str) -> ChatConfigError {
    ChatConfigError::Url { url: public(url).to_owned() }
}

/// User and password before an `@` are nobody's business.
fn public(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, host)| host)
}
