//! What an exporter of OpenTelemetry gets, and what those get that attempts call.

mod collector;
mod otlp;

use std::sync::{Arc, Mutex};

use opentelemetry::trace::{SpanId, Status, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tidegate_workflow::chat::{ChatClient, ChatRequest};
use tidegate_workflow::{Context, Graph, Orchestrator, Retry, Task, TaskError, TraceParent};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;

/// Keeps what it is given.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Memory {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("nobody panics under it").extend(batch);
        Ok(())
    }
}

/// Does this with OpenTelemetry's layer in place; our spans, in the order in which they ended. Groups of tasks have spans of
/// their own where their feature `tracing` is on.
fn recorded<F: Future>(work: impl FnOnce() -> F) -> (F::Output, Vec<SpanData>) {
    let memory = Memory::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(memory.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let ours = Targets::new().with_target("tidegate_workflow", LevelFilter::TRACE);
    let watcher = tracing_subscriber::registry().with(layer.with_filter(ours));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let output = tracing::subscriber::with_default(watcher, || {
        runtime.expect("a runtime starts").block_on(work())
    });
    let spans = std::mem::take(&mut *memory.0.lock().expect("nobody panics under it"));
    (output, spans)
}

/// A server that refuses once and then answers; the `traceparent` of each request.
async fn server() -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let url = format!("http://{}/v1", listener.local_addr().expect("it is bound"));
    let body = r#"{"choices":[{"message":{"content":"ok"}}]}"#;
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"ok\"}}]}\n\ndata: [DONE]\n\n";
    let serving = tokio::spawn(async move {
        let mut parents = Vec::new();
        for (status, body) in [("500 No", ""), ("200 OK", stream), ("200 OK", body)] {
            let (mut socket, _) = listener.accept().await.expect("somebody comes");
            let mut request = String::new();
            while !request.contains("\r\n\r\n") {
                let mut bytes = [0; 4096];
                let count = socket.read(&mut bytes).await.expect("it is open");
                request.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            let parent = request.lines().find_map(|line| line.strip_prefix("traceparent: "));
            parents.push(parent.expect("it is there").to_owned());
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}");
            let answer = format!("{head}\r\n\r\n{body}");
            socket.write_all(answer.as_bytes()).await.expect("it is open");
            socket.shutdown().await.expect("it is open");
        }
        parents
    });
    (url, serving)
}

fn id(parent: &str) -> SpanId {
    let parent: TraceParent = parent.parse().expect("it is one");
    SpanId::from_hex(&parent.span_id()).expect("it is one")
}

#[test]
fn run_task_and_attempt_are_exported_each_in_the_other_and_servers_see_the_attempt() {
    let caller: TraceParent =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("it is one");
    let (parents, spans) = recorded(|| async {
        let (url, serving) = server().await;
        let client = ChatClient::builder(url, "m").build().expect("the address is one");
        let quick = Retry { first_delay: std::time::Duration::ZERO, ..Retry::attempts(2) };
        let ask = client.task("ask", |_| Ok(ChatRequest::new("?"))).retry(quick);
        // A request that is not told where it is: from inside an attempt it is there all the same.
        let inner = client.clone();
        let plain = Task::new("plain", move |cx: Context| {
            let client = inner.clone();
            async move {
                let answer = client.complete(&ChatRequest::new("?")).await;
                answer.map(|_| cx.trace_parent()).map_err(TaskError::fatal)
            }
        });
        let mut graph = Graph::new().trace_parent(caller);
        graph.add(ask).expect("no cycle");
        graph.add(plain.needs(["ask"])).expect("no cycle");
        let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
        let finished = orchestrator.run(graph).await.expect("it runs");
        let told = *finished.output::<TraceParent>("plain").expect("it succeeded");
        let mut parents = serving.await.expect("it serves");
        parents.push(told.to_string());
        parents
    });
    let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["attempt", "attempt", "task ask", "attempt", "task plain", "run"]);
    let [first, second, ask, third, plain, run] = &spans[..] else { panic!("six") };
    let of = |span: &SpanData| span.span_context.span_id();
    for span in &spans {
        assert_eq!(span.span_context.trace_id().to_string(), caller.trace_id());
    }
    assert_eq!(run.parent_span_id.to_string(), caller.span_id());
    assert_eq!((ask.parent_span_id, plain.parent_span_id), (of(run), of(run)));
    assert_eq!((first.parent_span_id, second.parent_span_id), (of(ask), of(ask)));
    assert_eq!(third.parent_span_id, of(plain));
    let seen: Vec<SpanId> = parents.iter().map(|parent| id(parent)).collect();
    assert_eq!(seen, [of(first), of(second), of(third), of(third)]);

    let Status::Error { description } = &first.status else { panic!("{:?}", first.status) };
    assert!(description.contains("status 500"), "{description}");
    assert_eq!((&ask.status, &second.status), (&Status::Unset, &Status::Unset));
    let has = |span: &SpanData, key: &str, value: &str| {
        span.attributes.iter().any(|of| of.key.as_str() == key && of.value.as_str() == value)
    };
    assert!(has(ask, "agent", "m") && has(ask, "outcome", "succeeded"));
    assert!(has(second, "attempt", "2") && has(run, "tasks", "2"));
    assert!(ask.start_time <= first.start_time && second.end_time <= ask.end_time);
    assert!(run.start_time <= ask.start_time && plain.end_time <= run.end_time);
}
