//! Chat tasks against a server that answers well, badly, slowly, half and not at all.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_workflow::chat::{ChatClient, ChatError, ChatRequest, Phase, Price, Usage};
use tidegate_workflow::laws::Aimd;
use tidegate_workflow::telemetry::Registry;
use tidegate_workflow::{
    Agent, Context, EventKind, Graph, Next, Orchestrator, Outcome, Retry, Task, TaskError,
    TraceParent,
};
use tokio::time::Instant;

use crate::server::{Server, chunked, json, refusal, stream};

/// Short enough for a test, long enough for a busy machine.
const SHORT: Duration = Duration::from_millis(300);

fn client(server: &Server) -> ChatClient {
    ChatClient::builder(server.url(), "test-model").build().expect("the address is one")
}

async fn complete(answer: Vec<u8>) -> Result<String, ChatError> {
    let server = Server::start([answer]).await;
    let client = ChatClient::builder(server.url(), "test-model")
        .idle_timeout(SHORT)
        .build()
        .expect("the address is one");
    client.complete(&ChatRequest::new("?")).await.map(|answer| answer.text)
}

#[tokio::test]
async fn an_answer_comes_with_its_tokens_and_its_cost() {
    let server = Server::start([json("eight"), stream(&["ei", "ght"])]).await;
    let registry = Registry::new();
    let client = ChatClient::builder(format!("{}/", server.url()), "test-model")
        .key_from_env("CARGO_PKG_NAME")
        .price(Price { prompt_per_million: 1e6, completion_per_million: 2e6 })
        .registry(registry.clone())
        .build()
        .expect("the settings are sound");
    let request = ChatRequest::new("How many legs?").system("Be short.").max_tokens(5);
    let answer = client.complete(&request).await.expect("it answers well");
    assert_eq!(answer.text, "eight");
    assert_eq!(answer.usage, Usage { prompt_tokens: 7, completion_tokens: 2 });
    assert_eq!(answer.cost, 11.0);
    assert_eq!(answer.finish_reason.as_deref(), Some("stop"));

    let mut pieces = Vec::new();
    let streamed = client.stream(&request, |text| pieces.push(text.to_owned())).await;
    let streamed = streamed.expect("it answers well");
    assert_eq!(pieces, ["ei", "ght"]);
    assert_eq!((streamed.text.as_str(), streamed.usage), ("eight", answer.usage));
    assert!(streamed.first_piece.is_some_and(|first| first <= streamed.latency));

    let totals = client.totals();
    assert_eq!((totals.requests, totals.failures, totals.cost), (2, 0, 22.0));
    assert_eq!(totals.latency, answer.latency + streamed.latency);
    assert_eq!(registry.value("chat_cost_total"), Some(22.0));
    let model = ("model", "test-model");
    let of = |name, label, value| registry.value_of(name, &[model, (label, value)]);
    assert_eq!(of("chat_requests_total", "outcome", "answered"), Some(2.0));
    assert_eq!(of("chat_tokens_total", "kind", "prompt"), Some(14.0));
    assert_eq!(of("chat_tokens_total", "kind", "completion"), Some(4.0));
    assert_eq!(registry.value("chat_latency_seconds_count"), Some(2.0));

    let requests = server.requests();
    assert!(requests[0].starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
    assert!(requests[0].contains("authorization: Bearer tidegate-workflow\r\n"));
    assert!(requests[0].contains(r#""max_tokens":5"#) && requests[0].contains("Be short."));
    assert!(!requests[0].contains(r#""stream""#) && requests[1].contains(r#""stream":true"#));
    assert!(!format!("{client:?}").contains("tidegate-workflow"), "the key is in no Debug text");
}

#[tokio::test]
async fn how_each_request_ended_is_counted() {
    let half = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 99\r\n\r\nhalf".to_vec();
    let answers =
        [refusal("429 Too Many Requests", ""), half, chunked("text/html", "<html>"), json("eight")];
    let server = Server::start(answers).await;
    let registry = Registry::new();
    let client = ChatClient::builder(server.url(), "test-model").registry(registry.clone());
    let client = client.build().expect("the settings are sound");
    let mut refused = Vec::new();
    for _ in 0..4 {
        let answer = client.complete(&ChatRequest::new("?")).await;
        refused.extend(answer.err().map(|error| error.to_string()));
    }
    assert_eq!(refused[1], "the server answered with status 502", "what else it says is lost");
    for outcome in ["overloaded", "refused", "not_understood", "answered"] {
        let labels = [("model", "test-model"), ("outcome", outcome)];
        assert_eq!(registry.value_of("chat_requests_total", &labels), Some(1.0), "{outcome}");
    }
    assert_eq!((client.totals().requests, client.totals().failures), (4, 3));
}

#[tokio::test]
async fn the_first_piece_is_timed_when_it_comes() {
    let server = Server::slow(&["a", "b", "c", "d"]).await;
    let answer = client(&server).stream(&ChatRequest::new("?"), |_| {}).await.expect("it answers");
    let first = answer.first_piece.expect("it came in pieces");
    assert!(first + Duration::from_millis(60) <= answer.latency, "{first:?} of {answer:?}");
}

#[tokio::test]
async fn a_server_that_counts_without_measure_breaks_no_total() {
    let usage = serde_json::json!({ "prompt_tokens": u64::MAX, "completion_tokens": u64::MAX });
    let body = serde_json::json!({ "choices": [{ "message": { "content": "" } }], "usage": usage });
    let server = Server::start([chunked("application/json", &body.to_string())]).await;
    let client = client(&server);
    for _ in 0..2 {
        client.complete(&ChatRequest::new("?")).await.expect("it answers");
    }
    let most = Usage { prompt_tokens: u64::MAX, completion_tokens: u64::MAX };
    assert_eq!(client.totals().usage, most);
}

#[tokio::test]
async fn bad_answers_are_errors_that_say_what_is_wrong() {
    let not_json = complete(chunked("text/html", "<html>welcome</html>")).await;
    let Err(ChatError::NotUnderstood { why }) = not_json else { panic!("{not_json:?}") };
    assert!(why.contains("<html>welcome"), "{why}");

    let wrong_type = complete(chunked("application/json", r#"{"choices": {"text": 1}}"#)).await;
    assert!(matches!(wrong_type, Err(ChatError::NotUnderstood { .. })), "{wrong_type:?}");

    let not_text = r#"{"choices": [{"message": {"content": {"a": 1}}}]}"#;
    let not_text = complete(chunked("application/json", not_text)).await;
    assert!(matches!(not_text, Err(ChatError::NotUnderstood { .. })), "{not_text:?}");

    let refused = complete(refusal("400 Bad Request", "")).await;
    let Err(error @ ChatError::Refused { status: 400, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(!error.is_retryable());
    assert_eq!(error.to_string(), "the server answered with status 400: not like this");
}

#[tokio::test]
async fn ten_megabytes_are_not_read() {
    let long = complete(json(&"x".repeat(10 << 20))).await;
    assert_eq!(long, Err(ChatError::TooLong { limit: 1 << 20 }));
    let server = Server::start([stream(&["y".repeat(10 << 20).as_str()])]).await;
    let streamed = client(&server).stream(&ChatRequest::new("?"), |_| {}).await;
    assert_eq!(streamed, Err(ChatError::TooLong { limit: 1 << 20 }));
}

#[tokio::test]
async fn a_connection_that_ends_half_way_is_an_error() {
    let whole = json("an answer that is cut");
    let half = complete(whole[..whole.len() - 9].to_vec()).await;
    assert!(matches!(half, Err(ChatError::Connection { .. })), "{half:?}");

    // Complete as HTTP, but the stream never said that the answer is.
    let open =
        chunked("text/event-stream", "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
    let server = Server::start([open]).await;
    let cut = client(&server).stream(&ChatRequest::new("?"), |_| {}).await;
    assert!(matches!(cut, Err(ChatError::Connection { .. })), "{cut:?}");

    let nothing = complete(Vec::new()).await;
    assert!(matches!(nothing, Err(ChatError::Connection { .. })), "{nothing:?}");
}

#[tokio::test]
async fn a_server_that_is_silent_or_slow_is_left_in_time() {
    let silent = Server::silent(Vec::new()).await;
    let impatient = |server: &Server, whole| {
        let builder = ChatClient::builder(server.url(), "test-model").idle_timeout(SHORT);
        builder.timeout(whole).build().expect("the address is one")
    };
    let request = ChatRequest::new("?");
    let head = impatient(&silent, 9 * SHORT).complete(&request).await;
    assert_eq!(head, Err(ChatError::TimedOut { phase: Phase::Head, after: SHORT }));

    let whole = json("an answer that stops");
    let stops = Server::silent(whole[..whole.len() - 9].to_vec()).await;
    let piece = impatient(&stops, 9 * SHORT).complete(&request).await;
    assert_eq!(piece, Err(ChatError::TimedOut { phase: Phase::Piece, after: SHORT }));

    // A piece now and then, for ever: only the time for the whole answer ends it.
    let drips = Server::dripping().await;
    let endless = impatient(&drips, 3 * SHORT).stream(&request, |_| {}).await;
    assert_eq!(endless, Err(ChatError::TimedOut { phase: Phase::Whole, after: 3 * SHORT }));
}

#[tokio::test]
async fn nobody_there_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let client = ChatClient::builder(format!("http://{address}/v1"), "m").build();
    let gone = client.expect("the address is one").complete(&ChatRequest::new("?")).await;
    assert!(matches!(gone, Err(ChatError::Connection { .. })), "{gone:?}");
}

#[tokio::test]
async fn after_429_the_agent_waits_as_long_as_the_server_said_and_then_succeeds() {
    let server =
        Server::start([refusal("429 Too Many Requests", "Retry-After: 1\r\n"), stream(&["ok"])])
            .await;
    let client = client(&server);
    let mut graph = Graph::new();
    let quick = Retry { first_delay: Duration::from_millis(1), ..Retry::attempts(2) };
    let task = client.task("ask", |_| Ok(ChatRequest::new("?"))).retry(quick);
    graph.add(task).expect("no cycle");
    let began = Instant::now();
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    let finished = orchestrator.run(graph).await.expect("every need is there");
    assert!(finished.is_success(), "{}", finished.report());
    assert_eq!(finished.report().tasks[0].attempts, 2);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(client.totals().failures, 1);
}

#[tokio::test]
async fn the_requests_of_a_task_carry_its_key_and_the_place_of_each_attempt_in_the_trace() {
    let refused = refusal("500 Internal Server Error", "");
    let server = Server::start([refused, stream(&["ok"]), json("plain"), json("named")]).await;
    let client = client(&server);
    let placed = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&placed);
    let ask = client.task("ask", move |cx: &Context| {
        seen.lock().push((cx.trace_parent().to_string(), cx.idempotency_key()));
        Ok(ChatRequest::new("?"))
    });
    let quick = Retry { first_delay: Duration::from_millis(1), ..Retry::attempts(2) };
    let mut graph = Graph::new();
    graph.add(ask.retry(quick)).expect("no cycle");
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    assert!(orchestrator.run(graph).await.expect("it runs").is_success());
    client.complete(&ChatRequest::new("?")).await.expect("it answers well");
    let parent: TraceParent =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().expect("it is one");
    let named = ChatRequest::new("?").trace_parent(parent).idempotency_key("mine");
    client.complete(&named).await.expect("it answers well");

    let header = |at: usize, name: &str| {
        let requests = server.requests();
        let mut lines = requests[at].lines().skip(1).map_while(|line| line.split_once(": "));
        lines.find(|(of, _)| *of == name).map(|(_, value)| value.to_owned())
    };
    let placed = placed.lock();
    for (at, (trace, key)) in placed.iter().enumerate() {
        assert_eq!(header(at, "traceparent").as_ref(), Some(trace), "attempt {at}");
        assert_eq!(header(at, "idempotency-key").as_ref(), Some(key), "attempt {at}");
    }
    assert_eq!(placed.len(), 2);
    assert_ne!(placed[0].0, placed[1].0, "each attempt is a place of its own");
    assert_eq!(placed[0].1, placed[1].1, "whatever the attempt, it is done once");
    assert_eq!((header(2, "traceparent"), header(2, "idempotency-key")), (None, None));
    assert_eq!(header(3, "traceparent"), Some(parent.to_string()));
    assert_eq!(header(3, "idempotency-key").as_deref(), Some("mine"));
}

#[tokio::test]
async fn a_run_goes_on_with_the_trace_of_whoever_asked_for_it() {
    let parent: TraceParent =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().expect("it is one");
    let mut graph = Graph::new().trace_parent(parent);
    let work = async |cx: Context| Ok::<_, TaskError>(cx.trace_parent());
    graph.add(Task::new("task", work)).expect("no cycle");
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    let finished = orchestrator.run(graph).await.expect("it runs");
    assert_eq!(*finished.output::<TraceParent>("task").expect("it succeeded"), parent);
}

#[tokio::test]
async fn what_cannot_get_better_is_asked_once_and_what_can_until_the_attempts_are_used_up() {
    let run = async |answer: Vec<u8>| {
        let server = Server::start([answer]).await;
        let client = client(&server);
        let quick = Retry { first_delay: Duration::from_millis(1), ..Retry::attempts(3) };
        let mut graph = Graph::new();
        let task = client.task("ask", |_| Ok(ChatRequest::new("?"))).retry(quick);
        graph.add(task).expect("no cycle");
        let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
        let finished = orchestrator.run(graph).await.expect("every need is there");
        let task = &finished.report().tasks[0];
        let Outcome::Failed { error } = &task.outcome else { panic!("{:?}", task.outcome) };
        (task.attempts, error.clone())
    };
    let (attempts, error) = run(refusal("401 Unauthorized", "")).await;
    assert_eq!((attempts, error.contains("401")), (1, true), "{error}");
    let (attempts, error) = run(refusal("500 Internal Server Error", "")).await;
    assert_eq!((attempts, error.contains("500")), (3, true), "{error}");
    let (attempts, error) = run(chunked("text/event-stream", "data: nonsense\n\n")).await;
    assert_eq!((attempts, error.contains("nonsense")), (3, true), "{error}");
    let wrong_type = "data: {\"choices\": {\"delta\": 1}}\n\n";
    let (attempts, error) = run(chunked("text/event-stream", wrong_type)).await;
    assert_eq!((attempts, error.contains("expected a sequence")), (3, true), "{error}");
    let (attempts, error) = run(stream(&["y".repeat(10 << 20).as_str()])).await;
    assert_eq!((attempts, error.contains("longer than 1048576 bytes")), (1, true), "{error}");
    let half = stream(&["half an ", "answer"]);
    let (attempts, error) = run(half[..half.len() / 2].to_vec()).await;
    assert_eq!((attempts, error.contains("connection")), (3, true), "{error}");
    let (attempts, error) = run(refusal("408 Request Timeout", "")).await;
    assert_eq!((attempts, error.contains("408")), (3, true), "{error}");
}

#[tokio::test]
async fn a_run_ends_with_the_reason_when_the_server_says_nothing_or_never_ends() {
    for (server, why) in [
        (Server::silent(Vec::new()).await, "no answer began within 300ms"),
        (Server::dripping().await, "the answer was not complete within 900ms"),
    ] {
        let client = ChatClient::builder(server.url(), "m").idle_timeout(SHORT).timeout(3 * SHORT);
        let client = client.build().expect("the address is one");
        let mut graph = Graph::new();
        let ask = client.task("ask", |_| Ok(ChatRequest::new("?"))).retry(Retry::NEVER);
        graph.add(ask).expect("no cycle");
        let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
        let finished = orchestrator.run(graph).await.expect("it ends");
        let outcome = &finished.report().tasks[0].outcome;
        assert_eq!(*outcome, Outcome::Failed { error: why.to_owned() });
    }
}

#[tokio::test]
async fn each_piece_of_an_answer_is_a_sign_of_life() {
    // 60 pieces 20 ms apart: longer than the task may be without a sign of life, each shorter.
    let server = Server::slow(&["piece"; 60]).await;
    let client = client(&server);
    let mut graph = Graph::new();
    let ask = client.task("ask", |_| Ok(ChatRequest::new("?"))).retry(Retry::NEVER);
    graph.add(ask.idle_timeout(Duration::from_millis(800))).expect("no cycle");
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    let finished = orchestrator.run(graph).await.expect("it ends");
    let answer = finished.output::<tidegate_workflow::chat::ChatAnswer>("ask");
    assert_eq!(answer.expect("it took its time").text, "piece".repeat(60));
}

#[tokio::test]
async fn after_429_nothing_else_of_the_agent_is_asked_before_its_time_and_its_limit_falls() {
    let wait =
        "Retry-After: Fri, 01 Jan 2027 00:00:01 GMT\r\nDate: Fri, 01 Jan 2027 00:00:00 GMT\r\n";
    let server = Server::start([refusal("429 Too Many Requests", wait), stream(&["ok"])]).await;
    let client = client(&server);
    let law = Aimd { min: 1, ratio: 0.5, ..Aimd::default() };
    let agent = Agent::new(8).adaptive(law, Duration::from_millis(100));
    let orchestrator = Orchestrator::builder().limit(1).agent("test-model", agent).build();
    let orchestrator = orchestrator.expect("the settings are sound");
    let mut events = orchestrator.events();
    let mut graph = Graph::new();
    for (id, priority) in [("first", 1), ("next", 0)] {
        let ask = client.task(id, |_| Ok(ChatRequest::new("?"))).retry(Retry::attempts(1));
        graph.add(ask.priority(priority)).expect("no cycle");
    }
    let began = Instant::now();
    let finished = orchestrator.run(graph).await.expect("it ends");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    let Outcome::Failed { error } = &finished.report().tasks[0].outcome else { panic!("refused") };
    assert_eq!(
        error,
        "the server answered with status 429 and wants nothing for 1s: not like this"
    );
    assert!(finished.report().tasks[1].outcome.is_success());
    let mut limits = Vec::new();
    while let Some(Next::Event(event)) = events.try_next() {
        if let EventKind::AgentLimitChanged { from, to, .. } = event.kind {
            limits.push((from, to));
        }
    }
    assert_eq!(limits.first(), Some(&(8, 4)), "it heard of the overload");
}

#[tokio::test]
async fn a_chat_task_reads_the_answers_before_it_and_stops_when_it_is_told() {
    let server = Server::start([stream(&["to be"]), stream(&["or not"])]).await;
    let client = client(&server);
    let mut graph = Graph::new();
    graph.add(client.task("first", |_| Ok(ChatRequest::new("Begin.")))).expect("no cycle");
    let next = client.task("next", |cx: &Context| {
        let first = cx.input::<tidegate_workflow::chat::ChatAnswer>("first")?;
        Ok::<_, TaskError>(ChatRequest::new(format!("Go on: {}", first.text)))
    });
    graph.add(next.needs(["first"])).expect("no cycle");
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    let finished = orchestrator.run(graph).await.expect("every need is there");
    assert!(finished.is_success(), "{}", finished.report());
    assert!(server.requests()[1].contains("Go on: to be"));

    let silent = Server::silent(Vec::new()).await;
    let mut graph = Graph::new();
    let ask = self::client(&silent).task("ask", |_| Ok(ChatRequest::new("?")));
    graph.add(ask.grace(Duration::from_secs(3600))).expect("no cycle");
    let running = orchestrator.start(graph).expect("every need is there");
    silent.asked().await;
    running.cancel();
    let finished = running.wait().await.expect("the orchestrator is there");
    assert_eq!(finished.report().tasks[0].outcome, Outcome::Cancelled);
}

#[test]
fn addresses_and_keys_that_cannot_be_are_told_without_their_secrets() {
    let error = |url: &str| ChatClient::builder(url, "m").build().expect_err("no address");
    assert!(error("ftp://host").to_string().contains("ftp://host"));
    let shown = format!("{:?}", ChatClient::builder("http://user:secret@host/v1", "m"));
    assert!(shown.contains("host/v1") && !shown.contains("secret"), "{shown}");
    let secret = error("h ttp://user:secret@host/v1").to_string();
    assert!(!secret.contains("secret"), "{secret}");
    let unset = ChatClient::builder("http://host", "m").key_from_env("TIDEGATE_NO_SUCH").build();
    let unset = unset.expect_err("it is not set").to_string();
    assert_eq!(unset, "environment variable `TIDEGATE_NO_SUCH` is not set");
}
