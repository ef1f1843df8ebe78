//! What a `tracing` subscriber sees.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use tidegate_workflow::{Graph, Orchestrator, Retry, Task, TaskError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes down each span of ours with its fields, and in which one an event happens.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    spans: Vec<String>,
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
        state.spans.push(fields.0);
        Id::from_u64(state.spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

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
fn each_attempt_runs_in_a_span_of_its_run_task_and_number() {
    let log = Log::default();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime starts");
    // With a single subscriber, tracing asks the thread that comes to a span first whether anybody cares; another test's has none.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    tracing::subscriber::with_default(log.clone(), || {
        runtime.block_on(async {
            let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
            let mut graph = Graph::new();
            let work = async |cx: tidegate_workflow::Context| {
                tokio::task::yield_now().await;
                tracing::info!("at work");
                if cx.attempt() == 1 { Err(TaskError::from("again")) } else { Ok(()) }
            };
            graph.add(Task::new("fetch", work).retry(Retry::attempts(2))).expect("no cycle");
            assert!(orchestrator.run(graph).await.expect("it runs").report.is_success());
        });
    });
    let state = log.0.lock().expect("nobody panics under it");
    let span = |attempt| format!("attempt run=0 task=\"fetch\" attempt={attempt}");
    assert_eq!(state.events, [span(1), span(2)]);
}
