//! A collector that keeps what it is sent.

use std::collections::HashMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A collector on a runtime of its own, so that it also answers while a test blocks its thread.
pub(crate) struct Collector {
    pub(crate) address: String,
    received: mpsc::UnboundedReceiver<Received>,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) spans: Vec<ResourceSpans>,
}

impl Collector {
    /// One that answers each request with the next of these heads, and with the last of them from then on.
    pub(crate) fn answering(heads: &'static [&'static str]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (told, received) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                listener.set_nonblocking(true).expect("it can be");
                let listener = TcpListener::from_std(listener).expect("it is bound");
                let mut answers = heads.iter().chain(heads.last().into_iter().cycle());
                while let Ok((socket, _)) = listener.accept().await {
                    let answer = answers.next().expect("they do not end");
                    let Some(one) = receive(socket, answer).await else { continue };
                    if told.send(one).is_err() {
                        return;
                    }
                }
            });
        });
        Self { address, received }
    }

    /// All requests so far.
    pub(crate) fn received(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }
}

async fn receive(mut socket: TcpStream, answer: &str) -> Option<Received> {
    let mut bytes = Vec::new();
    let (head, mut body) = loop {
        socket.read_buf(&mut bytes).await.ok().filter(|count| *count > 0)?;
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            break (String::from_utf8(bytes).ok()?.to_lowercase(), body);
        }
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let length: usize = length.parse().ok()?;
    while body.len() < length {
        socket.read_buf(&mut body).await.ok().filter(|count| *count > 0)?;
    }
    let request = ExportTraceServiceRequest::decode(&body[..]).ok()?;
    // Told before it is answered: who has the answer finds it.
    let received = Received { head, spans: request.resource_spans };
    let text = format!("HTTP/1.1 {answer}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    socket.write_all(text.as_bytes()).await.ok()?;
    socket.shutdown().await.ok()?;
    Some(received)
}

/// The attributes of a span as text.
pub(crate) fn attributes(span: &Span) -> HashMap<&str, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let pairs = span.attributes.iter().filter_map(|pair| {
        let value = pair.value.as_ref()?.value.as_ref()?;
        Some((pair.key.as_str(), text(value)))
    });
    pairs.collect()
}
