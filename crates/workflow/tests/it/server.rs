//! A server on loopback that answers as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What follows the answer.
#[derive(Debug, Clone, Copy)]
enum Then {
    Close,
    Silence,
    /// A comment of the stream every 20 ms.
    Drip,
    /// The next of the answers every 20 ms.
    Slow,
}

/// It answers one request a connection: the first request with the first answer, and so on; the last answer stays.
#[derive(Debug)]
pub(crate) struct Server {
    address: std::net::SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    asked: watch::Receiver<usize>,
    serving: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start<const N: usize>(answers: [Vec<u8>; N]) -> Self {
        Self::serve(answers.into(), Then::Close).await
    }

    /// It sends this, and nothing more.
    pub(crate) async fn silent(answer: Vec<u8>) -> Self {
        Self::serve(vec![answer], Then::Silence).await
    }

    /// It sends a stream that never ends.
    pub(crate) async fn dripping() -> Self {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n".to_vec();
        Self::serve(vec![head], Then::Drip).await
    }

    /// It streams these pieces, one every 20 ms.
    pub(crate) async fn slow(pieces: &[&str]) -> Self {
        let mut answers =
            vec![b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n".to_vec()];
        answers.extend(pieces.iter().map(|piece| {
            let chunk = serde_json::json!({ "choices": [{ "delta": { "content": piece } }] });
            format!("data: {chunk}\n\n").into_bytes()
        }));
        answers.push(b"data: [DONE]\n\n".to_vec());
        Self::serve(answers, Then::Slow).await
    }

    async fn serve(answers: Vec<Vec<u8>>, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (tell, asked) = watch::channel(0);
        let seen = Arc::clone(&requests);
        let next = AtomicUsize::new(0);
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, tell, answers) = (Arc::clone(&seen), tell.clone(), answers.clone());
                let at = next.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
                connections.spawn(async move {
                    let Some(request) = read(&mut stream).await else { return };
                    seen.lock().push(request);
                    tell.send_modify(|asked| *asked += 1);
                    // The client may have had enough before the end.
                    let _ = stream.write_all(&answers[at]).await;
                    match then {
                        Then::Close => drop(stream.shutdown().await),
                        Then::Slow => {
                            for answer in &answers[1..] {
                                tokio::time::sleep(Duration::from_millis(20)).await;
                                let _ = stream.write_all(answer).await;
                            }
                        }
                        Then::Silence => std::future::pending().await,
                        Then::Drip => {
                            while stream.write_all(b": still here\n").await.is_ok() {
                                tokio::time::sleep(Duration::from_millis(20)).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, requests, asked, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The requests so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }

    /// Returns once a request has come.
    pub(crate) async fn asked(&self) {
        let mut asked = self.asked.clone();
        asked.wait_for(|asked| *asked > 0).await.expect("the server is there");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Reads head and body of a request.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(text.into_owned());
        }
    }
}

/// An answer of this type, in one chunk, complete as HTTP.
pub(crate) fn chunked(content_type: &str, body: &str) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n";
    let length = body.len();
    format!("{head}Content-Type: {content_type}\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")
        .into_bytes()
}

/// A chat completion that says this.
pub(crate) fn json(text: &str) -> Vec<u8> {
    let body = serde_json::json!({
        "choices": [{ "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 7, "completion_tokens": 2 },
    });
    let body = body.to_string();
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A chat completion that says this piece by piece.
pub(crate) fn stream(pieces: &[&str]) -> Vec<u8> {
    let mut body = String::new();
    for piece in pieces {
        let chunk = serde_json::json!({ "choices": [{ "delta": { "content": piece } }] });
        body.push_str(&format!("data: {chunk}\n\n"));
    }
    let usage = serde_json::json!({
        "choices": [],
        "usage": { "prompt_tokens": 7, "completion_tokens": 2 },
    });
    body.push_str(&format!("data: {usage}\n\ndata: [DONE]\n\n"));
    chunked("text/event-stream", &body)
}

/// A refusal with this status and these further headers.
pub(crate) fn refusal(status: &str, headers: &str) -> Vec<u8> {
    let body = r#"{"error": {"message": "not like this"}}"#;
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}");
    format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}
