//! Spans of runs, tasks and attempts sent to a collector by OTLP over HTTP (feature `otlp`).
//!
//! Any collector takes them: OpenTelemetry's own, Jaeger, Tempo, Honeycomb and others, on port 4318 by custom. What
//! `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*` and `OTEL_EXPORTER_OTLP_HEADERS` say is heeded.
//!
//! # Examples
//! ```no_run
//! use tidegate_workflow::otlp::Otlp;
//! use tidegate_workflow::{Graph, Orchestrator, Task, TaskError};
//! use tracing_subscriber::layer::SubscriberExt as _;
//! use tracing_subscriber::util::SubscriberInitExt as _;
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let otlp = Otlp::to("http://localhost:4318", "my-service")?; // or `from_env`
//! tracing_subscriber::registry().with(otlp.layer()).init();
//!
//! let mut graph = Graph::new();
//! graph.add(Task::new("greet", async |_| Ok::<(), TaskError>(())))?;
//! Orchestrator::builder().build()?.run(graph).await?;
//!
//! println!("{} spans sent", otlp.shutdown().await?);
//! # Ok(()) }
//! ```

mod client;
mod counted;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider,
};
use tracing_opentelemetry::OpenTelemetryLayer;

use client::Client;
use counted::{Counted, Counts};

/// Where the address of the collector stands; the first one is used as it is, `/v1/traces` is put behind the second.
const ADDRESSES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PATH: &str = "/v1/traces";
/// How many spans may wait to be sent, unless `OTEL_BSP_MAX_QUEUE_SIZE` says otherwise. A graph of short tasks ends many
/// thousands of them in a second.
const WAITING: usize = 1 << 16;
/// How long the last spans may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends spans to a collector, from a thread of its own, while the program goes on.
///
/// What waits to be sent is bounded; a span that finds no room is lost and counted. Dropped without
/// [`shutdown`](Self::shutdown), it blocks its thread until the last spans are sent, at most five seconds.
#[derive(Debug)]
pub struct Otlp {
    provider: SdkTracerProvider,
    counts: Arc<Counts>,
    address: String,
}

impl Otlp {
    /// To the collector at this address, such as `http://localhost:4318`; `/v1/traces` is put behind one that does not end so.
    /// The service is what the collector calls this program, unless `OTEL_SERVICE_NAME` is set.
    ///
    /// # Errors
    /// When this is no address of HTTP, or an `OTEL_` variable makes no sense.
    pub fn to(address: &str, service: &str) -> Result<Self, OtlpError> {
        let address = address.trim_end_matches('/');
        let behind = if address.ends_with(PATH) { "" } else { PATH };
        Self::at(format!("{address}{behind}"), service)
    }

    /// The same by `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, else `OTEL_EXPORTER_OTLP_ENDPOINT`. `None` if neither is set, or
    /// `OTEL_SDK_DISABLED` is `true`, or `OTEL_TRACES_EXPORTER` is `none`.
    ///
    /// # Errors
    /// Those of [`to`](Self::to).
    pub fn from_env(service: &str) -> Result<Option<Self>, OtlpError> {
        let of = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let is =
            |name: &str, value: &str| of(name).is_some_and(|of| of.eq_ignore_ascii_case(value));
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        match ADDRESSES.map(of) {
            [Some(whole), _] => Self::at(whole, service).map(Some),
            [None, Some(base)] => Self::to(&base, service).map(Some),
            [None, None] => Ok(None),
        }
    }

    fn at(address: String, service: &str) -> Result<Self, OtlpError> {
        let wrong = |why: String| OtlpError { address: shown(&address), why };
        let scheme = address.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("http" | "https")) {
            return Err(wrong("it must begin with `http://` or `https://`".to_owned()));
        }
        let counts = Arc::new(Counts::default());
        let client = Client::new(Arc::clone(&counts)).map_err(|error| wrong(error.to_string()))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(&address)
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        let mut batches = BatchConfigBuilder::default();
        if std::env::var_os("OTEL_BSP_MAX_QUEUE_SIZE").is_none() {
            batches = batches.with_max_queue_size(WAITING);
        }
        let exporter = Counted::new(exporter, &counts);
        let processor =
            BatchSpanProcessor::builder(exporter).with_batch_config(batches.build()).build();
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(service.to_owned());
        }
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Counted::new(processor, &counts))
            .with_resource(resource.build())
            .build();
        let address = shown(&address);
        Ok(Self { provider, counts, address })
    }

    /// The layer for a subscriber of `tracing` that takes in the spans: ours, and those that tasks make.
    ///
    /// It takes all levels; [`with_filter`](https://docs.rs/tracing-subscriber/latest/tracing_subscriber/layer/trait.Layer.html#method.with_filter)
    /// chooses. Spans of a run, of its tasks and attempts are of level `INFO` and target `tidegate_workflow`.
    pub fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
    where
        S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
    {
        let tracer = self.provider.tracer("tidegate");
        // Where in our sources a span is made says nothing about a run.
        tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false)
    }

    /// Sends what has not been sent; the number of spans that the collector has taken since the beginning.
    ///
    /// Spans that end later are lost.
    ///
    /// # Errors
    /// When some were not taken, with their number and the first reason.
    ///
    /// # Cancel safety
    /// The spans are sent all the same.
    pub async fn shutdown(self) -> Result<u64, NotSent> {
        let Self { provider, counts, address } = self;
        let closing = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(PATIENCE));
        let closed = match closing.await {
            Ok(closed) => closed.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let (ended, sent, why) = counts.read();
        match ended - sent {
            0 => Ok(sent),
            lost => {
                let why = why.or(closed.err()).unwrap_or_else(|| "too many at once".to_owned());
                Err(NotSent { lost, address, why })
            }
        }
    }
}

/// The address without what may be a password.
fn shown(address: &str) -> String {
    match address
        .split_once("://")
        .and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?)))
    {
        Some((scheme, (_, host))) => format!("{scheme}://{host}"),
        None => address.to_owned(),
    }
}

/// Spans cannot be sent there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpError {
    /// The address, without user and password.
    pub address: String,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for OtlpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot send spans to `{}`: {}", self.address, self.why)
    }
}

impl std::error::Error for OtlpError {}

/// Spans that did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotSent {
    /// How many.
    pub lost: u64,
    /// The collector's address, without user and password.
    pub address: String,
    /// Why the first of them did not.
    pub why: String,
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, address, why } = self;
        write!(f, "{lost} spans did not arrive at {address}: {why}")
    }
}

impl std::error::Error for NotSent {}
