//! Spans arrive at a collector, and those that do not are told.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tidegate_workflow::otlp::{NotSent, Otlp};
use tidegate_workflow::{Graph, Orchestrator, Retry, Task, TaskError, TraceParent};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::collector::{Collector, attributes};

/// A task that fails once, and one that needs it; how the exporter ended, and the trace of the caller.
fn exported(otlp: Otlp, caller: Option<TraceParent>) -> Result<u64, NotSent> {
    let watcher = tracing_subscriber::registry().with(otlp.layer());
    // One thread and a clock that stands still: the exporter needs neither.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime starts");
    tracing::subscriber::with_default(watcher, || {
        runtime.block_on(async {
            let quick = Retry { first_delay: Duration::ZERO, ..Retry::attempts(2) };
            let flaky = Task::new("flaky", async |cx: tidegate_workflow::Context| {
                if cx.attempt() == 1 { Err(TaskError::from("not yet")) } else { Ok(()) }
            });
            let mut graph = Graph::new();
            if let Some(caller) = caller {
                graph = graph.trace_parent(caller);
            }
            graph.add(flaky.agent("model").retry(quick)).expect("no cycle");
            let after = Task::new("after", async |_| Ok::<(), TaskError>(()));
            graph.add(after.needs(["flaky"])).expect("no cycle");
            let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
            assert!(orchestrator.run(graph).await.expect("it runs").is_success());
            otlp.shutdown().await
        })
    })
}

#[test]
fn run_task_and_attempt_arrive_at_a_collector_with_their_parents_and_attributes() {
    let mut collector = Collector::answering(&["200 OK"]);
    let caller: TraceParent =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("it is one");
    let otlp = Otlp::to(&collector.address, "night-shift").expect("it is an address");
    assert_eq!(exported(otlp, Some(caller)), Ok(6));

    let received = collector.received();
    let head = &received[0].head;
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    let resource = received[0].spans[0].resource.as_ref().expect("it is there");
    let service = format!("{:?}", resource.attributes);
    assert!(service.contains("service.name") && service.contains("night-shift"), "{service}");

    let of_scopes = received.iter().flat_map(|one| &one.spans).flat_map(|of| &of.scope_spans);
    let spans: Vec<&Span> = of_scopes.flat_map(|of| &of.spans).collect();
    assert_eq!(spans.len(), 6);
    let named = |name: &str| -> Vec<&Span> {
        spans.iter().copied().filter(|span| span.name == name).collect()
    };
    let [run] = named("run")[..] else { panic!("one run") };
    let [flaky] = named("task flaky")[..] else { panic!("one span for the task") };
    let [after] = named("task after")[..] else { panic!("one span for the task") };
    let [first, second, last] = named("attempt")[..] else { panic!("three attempts") };
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(spans.iter().all(|span| hex(&span.trace_id) == caller.trace_id()));
    assert_eq!(hex(&run.parent_span_id), caller.span_id());
    assert_eq!((&flaky.parent_span_id, &after.parent_span_id), (&run.span_id, &run.span_id));
    assert_eq!(first.parent_span_id, flaky.span_id);
    assert_eq!(second.parent_span_id, flaky.span_id);
    assert_eq!(last.parent_span_id, after.span_id);

    let of = |span, key: &str| attributes(span).get(key).cloned().unwrap_or_default();
    assert_eq!(of(run, "tasks"), "2");
    assert_eq!((of(flaky, "agent"), of(flaky, "outcome")), ("model".into(), "succeeded".into()));
    assert_eq!((of(first, "attempt"), of(second, "attempt")), ("1".into(), "2".into()));
    let status = first.status.as_ref().expect("it failed");
    assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, "not yet"));
    assert!(second.status.as_ref().is_none_or(|status| status.code() == StatusCode::Unset));
    assert!(spans.iter().all(|span| span.start_time_unix_nano <= span.end_time_unix_nano));
    assert!(!of(first, "thread.id").contains(char::is_numeric), "no place in our sources");
}

#[test]
fn spans_that_do_not_arrive_are_told_with_their_number_and_the_reason() {
    let collector = Collector::answering(&["503 Service Unavailable"]);
    let to = |address: &str| Otlp::to(address, "s").expect("it is an address");
    let refused = exported(to(&collector.address), None).expect_err("it takes nothing");
    assert_eq!(refused.lost, 6, "{refused}");
    assert!(refused.why.contains("503"), "{refused}");

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = format!("http://user:hunter2@{}", nobody.local_addr().expect("it is bound"));
    drop(nobody);
    let error = exported(to(&address), None).expect_err("nobody is there");
    let text = error.to_string();
    assert!(text.starts_with("6 spans did not arrive at http://127.0.0.1:"), "{text}");
    assert!(text.contains("refused") && !text.contains("hunter2"), "{text}");
}

#[test]
fn what_is_no_address_is_told() {
    for (address, why) in [
        (
            "localhost:4318",
            "cannot send spans to `localhost:4318/v1/traces`: it must begin with `http://` or `https://`",
        ),
        ("http://", "cannot send spans to `http:/v1/traces`"),
        (
            "grpc://x:4317",
            "cannot send spans to `grpc://x:4317/v1/traces`: it must begin with `http://` or `https://`",
        ),
    ] {
        let error = Otlp::to(address, "s").map(drop).expect_err("it is none").to_string();
        assert!(error.starts_with(why), "{error}");
    }
}
