//! The server, and clients that mean it no good. Every client is a plain blocking socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use tidegate_telemetry::Registry;
use tidegate_telemetry::http::{Endpoint, Running, Server};

/// Long enough for a busy machine, short enough to end.
const LONG: Duration = Duration::from_secs(30);

fn start(server: Server) -> Running {
    server.bind(([127, 0, 0, 1], 0)).start().expect("a free port on the loopback")
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("the server listens");
    stream.set_read_timeout(Some(LONG)).expect("a timeout that is not zero");
    stream
}

/// Status line and headers, and the body.
fn request(addr: SocketAddr, head: &str) -> (String, Vec<u8>) {
    let mut stream = connect(addr);
    write!(stream, "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .expect("the server reads");
    answer(stream)
}

fn request_with(addr: SocketAddr, head: &str, header: &str) -> (String, Vec<u8>) {
    let mut stream = connect(addr);
    write!(stream, "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n\r\n")
        .expect("the server reads");
    answer(stream)
}

fn answer(mut stream: TcpStream) -> (String, Vec<u8>) {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("an answer, then the end");
    let end = all.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
    let body = all.split_off(end + 4);
    (String::from_utf8(all).expect("a head is ASCII"), body)
}

fn sample() -> Registry {
    let registry = Registry::new();
    registry.counter("jobs_total", "Jobs.").expect("it is in order").inc_by(3);
    registry
}

/// So much text that no socket buffer holds it.
fn huge() -> Registry {
    let registry = Registry::new();
    let vec = registry
        .define("big", "Long labels.")
        .max_series(100_000)
        .gauge_vec(["n"])
        .expect("it is in order");
    let long = "x".repeat(2_000);
    (0..10_000).for_each(|n| vec.set([&format!("{long}{n}")], 1.0));
    registry
}

/// Until the server closes the connection; how much it had sent.
fn drain(mut stream: TcpStream) -> usize {
    let (mut total, mut buffer) = (0, [0; 65536]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return total,
            Ok(n) => total += n,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::ConnectionReset) => {
                return total;
            }
            Err(error) => panic!("the connection is still open: {error}"),
        }
    }
}

#[test]
fn metrics_come_in_the_format_and_coding_that_was_asked_for() {
    let running = start(sample().into());
    let (head, body) = request(running.addr(), "GET /metrics");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    for header in [
        "vary: accept, accept-encoding",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
    ] {
        assert!(head.contains(&format!("{header}\r\n")), "{header}: {head}");
    }
    assert_eq!(body, b"# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total 3\n");

    let open = "accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let (head, body) = request_with(running.addr(), "GET /metrics?x=1", open);
    assert!(
        head.contains(
            "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
        ),
        "{head}"
    );
    assert!(body.ends_with(b"jobs_total 3\n# EOF\n"));

    let (head, body) =
        request_with(running.addr(), "GET /metrics", "accept-encoding: br, GZIP;q=0.5");
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    let mut text = String::new();
    GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
    assert!(text.ends_with("jobs_total 3\n"));

    for (accepted, is_packed) in [
        ("accept-encoding: gzip;q=0", false),
        ("accept-encoding: gzip;Q=0", false),
        // Two headers are one list.
        ("accept-encoding: br\r\naccept-encoding: gzip", true),
    ] {
        let (head, _) = request_with(running.addr(), "GET /metrics", accepted);
        assert_eq!(head.contains("content-encoding: gzip"), is_packed, "{accepted}: {head}");
    }
    running.stop();
}

#[test]
fn head_has_the_length_and_no_body() {
    let running = start(sample().into());
    let (_, whole) = request(running.addr(), "GET /metrics");
    let (head, body) = request(running.addr(), "HEAD /metrics");
    assert!(head.contains(&format!("content-length: {}\r\n", whole.len())), "{head}");
    assert!(body.is_empty());
}

#[test]
fn other_paths_and_methods_are_told_so() {
    let running = start(sample().into());
    assert!(request(running.addr(), "GET /").0.starts_with("HTTP/1.1 404 "));
    let (head, _) = request(running.addr(), "DELETE /metrics");
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("allow: GET, HEAD\r\n"), "{head}");
    let mut stream = connect(running.addr());
    // The answer may come, and the end after it, before all was sent or read.
    let _ = write!(stream, "GET /metrics HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(40_000));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn ready_means_that_every_check_passes() {
    let failing = Arc::new(Mutex::new(false));
    let seen = Arc::clone(&failing);
    let check = move || if *seen.lock().unwrap() { Err("no disk".to_owned()) } else { Ok(()) };
    let running = start(Server::new(
        Endpoint::new(sample()).ready_when("store", check).ready_when("x", || Ok(())),
    ));
    let (head, body) = request(running.addr(), "GET /readyz");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, b"store: ok\nx: ok\n");
    *failing.lock().unwrap() = true;
    let (head, body) = request(running.addr(), "GET /readyz");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(body, b"store: no disk\nx: ok\n");
    assert_eq!(request(running.addr(), "GET /healthz").1, b"ok\n");

    let running =
        start(Server::new(Endpoint::new(sample()).ready_when("bad", || panic!("from a test"))));
    assert_eq!(request(running.addr(), "GET /readyz").1, b"bad: the check panicked\n");
}

#[test]
fn a_check_that_hangs_takes_one_thread_however_often_it_is_asked() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (held, runs) = (Mutex::new(held), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&runs);
    let hangs = move || {
        seen.fetch_add(1, Ordering::Relaxed);
        // An error says that the test is over.
        let _ = held.lock().unwrap().recv();
        Ok(())
    };
    let endpoint = Endpoint::new(sample()).ready_when("disk", hangs).ready_when("net", || Ok(()));
    let running = start(Server::new(endpoint.patience(Duration::from_millis(300))));
    for _ in 0..9 {
        let (head, body) = request(running.addr(), "GET /readyz");
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert_eq!(body, b"disk: the check takes too long\nnet: ok\n");
        assert!(request(running.addr(), "GET /metrics").0.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    release.send(()).unwrap();
}

#[test]
fn a_check_that_hangs_is_a_failure_after_the_patience() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let check = move || {
        held.pass();
        Ok(())
    };
    let endpoint = Endpoint::new(sample()).ready_when("disk", check);
    let running = start(Server::new(endpoint.patience(Duration::from_millis(50))));
    let (head, body) = request(running.addr(), "GET /readyz");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(body, b"disk: the check takes too long\n");
    gate.open();
}

#[test]
fn without_a_server_an_answer_to_head_has_no_body_either() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (endpoint, headers) = (Endpoint::new(sample()), hyper::HeaderMap::new());
    let [get, head] = [hyper::Method::GET, hyper::Method::HEAD]
        .map(|method| runtime.block_on(endpoint.respond(&method, "/metrics", &headers)));
    assert!(head.body().bytes().is_empty() && !get.body().bytes().is_empty());
    assert_eq!(head.headers()["content-length"], get.body().bytes().len().to_string().as_str());
}

#[test]
fn half_sent_requests_and_clients_that_never_read_starve_nobody() {
    let limit = Duration::from_millis(1_500);
    let running =
        start(Server::from(huge()).header_timeout(limit).write_timeout(limit).max_connections(200));
    let half: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = connect(running.addr());
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost:").unwrap();
            stream
        })
        .collect();
    let deaf: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = connect(running.addr());
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    let mut whole = 0;
    while begun.elapsed() < limit * 2 {
        assert_eq!(request(running.addr(), "GET /healthz").1, b"ok\n");
        let (head, body) = request(running.addr(), "GET /metrics");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        whole = body.len();
    }
    // They are closed by now: what they have yet to read is there, and nothing is waited for.
    let soon = Some(Duration::from_secs(2));
    half.iter().chain(&deaf).for_each(|stream| stream.set_read_timeout(soon).unwrap());
    half.into_iter().for_each(|stream| assert!(drain(stream) < 1_000));
    deaf.into_iter()
        .for_each(|stream| assert!(drain(stream) < whole, "it was closed before all was sent"));
}

#[test]
fn a_drip_of_header_bytes_does_not_keep_a_connection() {
    let running = start(Server::from(sample()).header_timeout(Duration::from_millis(300)));
    let mut stream = connect(running.addr());
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let begun = Instant::now();
    // Some byte is refused when the server has closed.
    while stream.write_all(b"x").is_ok() && begun.elapsed() < LONG {
        let mut end = [0; 256];
        if matches!(stream.read(&mut end), Ok(0)) {
            break;
        }
    }
    assert!(begun.elapsed() < LONG);
}

#[test]
fn a_full_house_makes_room_for_the_newest() {
    let running = start(Server::from(sample()).max_connections(8));
    let idle: Vec<TcpStream> = (0..50).map(|_| connect(running.addr())).collect();
    assert_eq!(request(running.addr(), "GET /healthz").1, b"ok\n");
    let begun = Instant::now();
    assert_eq!(idle.into_iter().take(40).map(drain).sum::<usize>(), 0);
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "closed for the newer ones, not by the time-out"
    );
}

/// A gate that holds callbacks until it is opened.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let open = self.open.lock().expect("nothing panics while the lock is held");
        drop(
            self.opened
                .wait_while(open, |open| !*open)
                .expect("nothing panics while the lock is held"),
        );
    }

    fn open(&self) {
        *self.open.lock().expect("nothing panics while the lock is held") = true;
        self.opened.notify_all();
    }
}

#[test]
fn a_crowd_of_scrapes_shares_a_rendering_while_health_is_still_answered() {
    let (gate, renderings) = (Arc::new(Gate::default()), Arc::new(AtomicUsize::new(0)));
    let registry = sample();
    let (held, count) = (Arc::clone(&gate), Arc::clone(&renderings));
    let read = move || {
        count.fetch_add(1, Ordering::SeqCst);
        held.pass();
        1.0
    };
    registry.define("slow", "Waits.").gauge_fn(read).unwrap();
    let running = start(registry.into());
    let addr = running.addr();
    let all_sent = Barrier::new(31);
    thread::scope(|scope| {
        let crowd: Vec<_> = (0..30)
            .map(|_| {
                scope.spawn(|| {
                    let mut stream = connect(addr);
                    stream
                        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                        .unwrap();
                    all_sent.wait();
                    answer(stream).1
                })
            })
            .collect();
        all_sent.wait();
        // Connections are answered in turn: when a later one has its answer, the crowd has been heard.
        assert_eq!(request(addr, "GET /healthz").1, b"ok\n");
        assert_eq!(request(addr, "GET /healthz").1, b"ok\n");
        gate.open();
        for body in crowd {
            assert!(body.join().unwrap().ends_with(b"slow 1\n"));
        }
    });
    let renderings = renderings.load(Ordering::SeqCst);
    assert!(renderings <= 4, "{renderings} renderings for 30 scrapes");
}

#[test]
fn a_rendering_that_hangs_is_given_up_and_not_begun_twice() {
    let (gate, renderings) = (Arc::new(Gate::default()), Arc::new(AtomicUsize::new(0)));
    let registry = sample();
    let (held, count) = (Arc::clone(&gate), Arc::clone(&renderings));
    let read = move || {
        count.fetch_add(1, Ordering::SeqCst);
        held.pass();
        1.0
    };
    registry.define("slow", "Waits.").gauge_fn(read).unwrap();
    let running = start(Server::new(Endpoint::new(registry).patience(Duration::from_millis(200))));
    for _ in 0..3 {
        assert!(request(running.addr(), "GET /metrics").0.starts_with("HTTP/1.1 503 "));
    }
    assert_eq!(renderings.load(Ordering::SeqCst), 1);
    gate.open();
    assert!(request(running.addr(), "GET /metrics").0.starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_stopped_server_closes_its_connections_and_its_port() {
    let running = start(sample().into());
    let addr = running.addr();
    let idle = connect(addr);
    assert_eq!(request(addr, "GET /healthz").1, b"ok\n");
    let begun = Instant::now();
    running.stop();
    assert!(begun.elapsed() < Duration::from_secs(4), "before the header time-out");
    assert_eq!(drain(idle), 0);
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn a_saturated_runtime_is_still_observable() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // The runtime's only thread is in here, and gives nothing else a turn.
    runtime.block_on(async {
        let running = start(sample().into());
        let (head, body) = request(running.addr(), "GET /metrics");
        assert!(head.starts_with("HTTP/1.1 200 ") && body.ends_with(b"jobs_total 3\n"), "{head}");
    });
}
