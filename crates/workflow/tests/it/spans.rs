//! What a `tracing` subscriber sees.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use tidegate_workflow::{Graph, Orchestrator, Retry, Task, TaskError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::watched;

/// Writes down each span of ours with its fields, and in which one an event happens.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    spans: Vec<String>,
    /// The number of each span's parent; 0 if it has none.
    parents: Vec<u64>,
    /// Of the fields that came later.
    records: Vec<String>,
    open: Vec<u64>,
    inside: Vec<u64>,
    events: Vec<String>,
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("a string takes it");
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tidegate_workflow") || metadata.target().starts_with("it")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(span.metadata().name().to_owned());
        span.record(&mut fields);
        let mut state = self.0.lock().expect("nobody panics under it");
        let inside = state.inside.last().copied().filter(|_| span.is_contextual());
        state.parents.push(span.parent().map(Id::into_u64).or(inside).unwrap_or(0));
        state.spans.push(fields.0);
        let id = state.spans.len() as u64;
        state.open.push(id);
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, record: &Record<'_>) {
        let mut fields = Fields(String::new());
        record.record(&mut fields);
        let mut state = self.0.lock().expect("nobody panics under it");
        state.records.push(fields.0);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.0.lock().expect("nobody panics under it").open.push(id.into_u64());
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut state = self.0.lock().expect("nobody panics under it");
        let at = state.open.iter().position(|open| *open == id.into_u64());
        state.open.swap_remove(at.expect("it is open"));
        false
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        let mut state = self.0.lock().expect("nobody panics under it");
        let within = state.inside.last().map(|at| state.spans[*at as usize - 1].clone());
        state.events.push(within.unwrap_or_default());
    }

    fn enter(&self, span: &Id) {
        self.0.lock().expect("nobody panics under it").inside.push(span.into_u64());
    }

    fn exit(&self, _: &Id) {
        self.0.lock().expect("nobody panics under it").inside.pop();
    }
}

#[test]
fn each_attempt_runs_in_a_span_of_its_task_in_one_of_its_run() {
    let log = Log::default();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime starts");
    watched(log.clone(), || {
        runtime.block_on(async {
            let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
            let mut graph = Graph::new();
            let work = async |cx: tidegate_workflow::Context| {
                tokio::task::yield_now().await;
                tracing::info!("at work");
                if cx.attempt() == 1 { Err(TaskError::from("again")) } else { Ok(()) }
            };
            graph.add(Task::new("fetch", work).retry(Retry::attempts(2))).expect("no cycle");
            let request = tracing::info_span!("request");
            let running = request.in_scope(|| orchestrator.start(graph)).expect("it starts");
            assert!(running.wait().await.expect("it ends").is_success());
        });
    });
    let state = log.0.lock().expect("nobody panics under it");
    let span = |attempt| format!("attempt run=0 task=\"fetch\" attempt={attempt}");
    assert_eq!(state.events, [span(1), span(2)]);
    // The layer of OpenTelemetry has names of its own for some of it.
    let plain = |text: &String| !text.contains("otel.");
    let spans: Vec<String> =
        state.spans.iter().map(|span| span.replace(" otel.name=\"task fetch\"", "")).collect();
    let task = "task run=0 task=\"fetch\" agent=\"default\"".to_owned();
    let run = "run run=0 tasks=1".to_owned();
    assert_eq!(spans, ["request".to_owned(), run, task, span(1), span(2)]);
    assert_eq!(state.parents, [0, 1, 2, 3, 3]);
    let records: Vec<&String> = state.records.iter().filter(|text| plain(text)).collect();
    assert_eq!(records, [" error=\"again\"", " outcome=\"succeeded\""]);
    assert!(state.open.is_empty(), "each is closed: {:?}", state.open);
}
