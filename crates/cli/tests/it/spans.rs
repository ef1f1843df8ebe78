//! Spans of a run at a collector.

#[cfg(feature = "otlp")]
use std::io::{Read as _, Write as _};
#[cfg(feature = "otlp")]
use std::net::TcpListener;

#[cfg(feature = "otlp")]
use crate::place::Done;
use crate::place::Place;

const FLOW: &str = "
agents: {site: {}}
tasks:
  fetch: {run: 'test $TIDEGATE_ATTEMPT = 2; echo $TRACEPARENT', agent: site, retry: {attempts: 2, backoff: 1ms}}
  sum: {run: 'true', needs: fetch}
";

/// The first request of an exporter.
#[cfg(feature = "otlp")]
fn collector() -> (String, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = format!("http://{}", listener.local_addr().expect("it is bound"));
    let serving = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("it comes");
        let mut all = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let head = all.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(head) = head {
                let text = String::from_utf8_lossy(&all[..head]).to_lowercase();
                let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.expect("it has one").parse().expect("a number");
                if all.len() >= head + 4 + length {
                    break;
                }
            }
            let count = socket.read(&mut piece).expect("it is open");
            all.extend_from_slice(&piece[..count]);
        }
        let ok = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        socket.write_all(ok).expect("it is open");
        all
    });
    (address, serving)
}

#[cfg(feature = "otlp")]
#[test]
fn a_collector_gets_the_spans_of_a_run_and_commands_are_in_the_same_trace() {
    for by_flag in [true, false] {
        let place = Place::with(&format!("spans-{by_flag}"), FLOW);
        let (address, serving) = collector();
        let mut command = place.command(&["run", "flow.yaml", "-q"]);
        match by_flag {
            true => command.args(["--otlp", &address]),
            false => command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &address),
        };
        let done = Done::from(command.output().expect("the command runs"));
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
        let sent = serving.join().expect("it serves");
        let text = String::from_utf8_lossy(&sent);
        assert!(text.starts_with("POST /v1/traces "), "{text}");
        for part in ["tidegate", "run", "task fetch", "task sum", "attempt", "agent site"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        // The trace that the command was told of is the one that was sent.
        let parent = place.run(&["logs", "fetch"]).stdout;
        let trace = parent.split('-').nth(1).expect("it has a trace");
        let digits = trace.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).expect("ASCII"));
        let id: Vec<u8> = digits.map(|two| u8::from_str_radix(two, 16).expect("hex")).collect();
        assert!(sent.windows(16).any(|of| of == id), "{parent} is not in {text}");
    }
}

#[cfg(feature = "otlp")]
#[test]
fn spans_that_do_not_arrive_fail_no_run() {
    let place = Place::with("spans-lost", FLOW);
    let done = place.run(&["run", "flow.yaml", "-q", "--otlp", "http://127.0.0.1:9"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let warning = "warning: 6 spans did not arrive at http://127.0.0.1:9/v1/traces: ";
    assert!(done.stderr.starts_with(warning), "{}", done.stderr);
    let wrong = place.run(&["run", "flow.yaml", "--otlp", "localhost:4318"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("must begin with `http://`"), "{}", wrong.stderr);
}

#[cfg(not(feature = "otlp"))]
#[test]
fn a_command_that_cannot_send_spans_says_so() {
    let place = Place::with("no-spans", FLOW);
    let done = place.run(&["run", "flow.yaml", "--otlp", "http://127.0.0.1:9"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.contains("build it with `--features otlp`"), "{}", done.stderr);
}
