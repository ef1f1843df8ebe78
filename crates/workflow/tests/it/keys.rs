//! A secret key is in nothing that is told or kept, whatever a server does with it.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_workflow::chat::{ChatClient, ChatRequest};
use tidegate_workflow::journal::{Durability, FileStore, History};
use tidegate_workflow::telemetry::Registry;
use tidegate_workflow::{Graph, HttpSource, Next, Orchestrator, Retry, Source, Task, TaskError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::server::{Server, chunked, json, refusal, stream};
use crate::watched;

/// A variable whose value stands nowhere else; Cargo sets it for tests.
const VARIABLE: &str = "CARGO_PKG_DESCRIPTION";

/// Writes down whatever anybody tells, of whatever level.
#[derive(Clone, Default)]
struct Everything(Arc<Mutex<String>>);

impl Everything {
    fn text(&self) -> String {
        self.0.lock().expect("nobody panics under it").clone()
    }
}

impl Visit for Everything {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = self.0.lock().expect("nobody panics under it");
        writeln!(text, "{}={value:?}", field.name()).expect("a string takes it");
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, record: &Record<'_>) {
        record.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A server that says the key back in every way there is: refused and tried again, not understood, refused for good.
fn misbehaving(key: &str) -> [Vec<u8>; 6] {
    let said = format!(r#"{{"error": {{"message": "no such key: {key}"}}}}"#);
    let refused = |status: &str| {
        let length = said.len();
        let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nX-Key: {key}\r\n");
        format!("{head}Content-Length: {length}\r\n\r\n{said}").into_bytes()
    };
    let long = format!("{}{key}", "x".repeat(480));
    [
        refused("500 Internal Server Error"),
        refused("429 Too Many Requests"),
        chunked("application/json", &format!("{{\"key\": \"{key}\"}}")),
        chunked("application/json", &long),
        format!("HTTP/1.1 200 OK\r\nX-Key: {key}\r\nContent-Length: 9\r\n\r\n{{").into_bytes(),
        refused("401 Unauthorized"),
    ]
}

#[test]
fn a_key_is_in_no_span_event_metric_journal_report_or_error() {
    let key = std::env::var(VARIABLE).expect("Cargo sets it");
    let folder = std::env::temp_dir().join(format!("tidegate-keys-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let watcher = Everything::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let told = watched(watcher.clone(), || {
        runtime.expect("a runtime starts").block_on(everything_told(&key, &folder))
    });
    let journal = std::fs::read(folder.join("journal")).expect("it is there");
    std::fs::remove_dir_all(&folder).expect("it is there");
    let journal = String::from_utf8_lossy(&journal);
    let spans = watcher.text();
    // Each of them tells of what the server said.
    for (name, text) in [("spans", &*spans), ("journal", &*journal), ("told", &*told)] {
        assert!(text.contains("no such key"), "{name}: {text}");
        // Nor a part of it where a text was cut off.
        for part in [&key[..12], &key[..12].replace(' ', "-")] {
            assert!(!text.contains(part), "the key is in {name}: {text}");
        }
    }
}

/// All texts that a chat task, a durable one and a source give, where servers say the key back.
async fn everything_told(key: &str, folder: &std::path::Path) -> String {
    let mut told = String::new();
    let mut tell = |what: &dyn Debug| writeln!(told, "{what:?}").expect("a string takes it");
    let registry = Registry::new();
    let server = Server::start(misbehaving(key)).await;
    let builder = ChatClient::builder(server.url(), "model").key_from_env(VARIABLE);
    let builder = builder.registry(registry.clone());
    tell(&builder);
    let client = builder.build().expect("the settings are sound");
    tell(&client);

    // As an address can hold it.
    let written = key.replace(' ', "-");
    let back = Server::start(misbehaving(&written)).await;
    let address = back.url().replace("://", &format!("://user:{written}@"));
    let mut source = HttpSource::new(&format!("{address}?token={written}"))
        .expect("it is an address")
        .gpu_wait("nothing");
    tell(&source);

    let orchestrator = Orchestrator::builder().registry(registry.clone()).build();
    let orchestrator = orchestrator.expect("the settings are sound");
    let mut events = orchestrator.events();

    // Streamed, with what each attempt came to.
    let quick = Retry { first_delay: Duration::ZERO, ..Retry::attempts(6) };
    let mut graph = Graph::new();
    let ask = client.task("ask", |_| Ok(ChatRequest::new("?")));
    graph.add(ask.retry(quick)).expect("no cycle");
    let finished = orchestrator.run(graph).await.expect("it runs");
    assert_eq!(finished.report().tasks[0].attempts, 6, "{}", finished.report());
    let seen = server.requests();
    assert!(seen.iter().all(|request| request.contains(&format!("Bearer {key}"))), "{seen:?}");
    tell(finished.report());
    tell(&finished.report().to_string());
    tell(&serde_json::to_string(finished.report()).expect("it can be written"));

    // The same in a journal, not streamed.
    let server = Server::start(misbehaving(key)).await;
    let client = ChatClient::builder(server.url(), "model").key_from_env(VARIABLE);
    let client = client.build().expect("the settings are sound");
    let ask = Task::durable("ask", move |_| {
        let client = client.clone();
        async move {
            let answer = client.complete(&ChatRequest::new("?")).await;
            answer.map(|answer| answer.text).map_err(|error| match error.is_retryable() {
                true => TaskError::from(error),
                false => error.into_task_error(),
            })
        }
    });
    let store = FileStore::open(folder.join("journal")).expect("a journal");
    let history = History::open(store).expect("it is new");
    let mut graph = Graph::durable().journal(history, Durability::ProcessCrash);
    graph.add(ask.retry(quick)).expect("no cycle");
    let finished = orchestrator.run(graph).await.expect("it runs");
    assert_eq!(finished.report().tasks[0].attempts, 6, "{}", finished.report());
    tell(finished.report());

    // One that goes well after a failure.
    let bad = refusal("503 Service Unavailable", "");
    let server = Server::start([bad, json("fine"), stream(&["fi", "ne"])]).await;
    let client = ChatClient::builder(server.url(), "model").key_from_env(VARIABLE);
    let client = client.build().expect("the settings are sound");
    let error = client.complete(&ChatRequest::new("?")).await.expect_err("it refuses");
    tell(&error);
    let answer = client.complete(&ChatRequest::new("?")).await.expect("it answers");
    tell(&answer);

    // Where there is nothing to read.
    tell(&source.read().await);
    tell(&source.trouble());
    tell(&source);
    while let Some(next) = events.try_next() {
        if let Next::Event(event) = &next {
            tell(&serde_json::to_string(event).expect("it can be written"));
        }
        tell(&next);
    }
    tell(&registry.render(tidegate_workflow::telemetry::Format::Text));
    told
}
