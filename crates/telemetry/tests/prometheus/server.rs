//! A Prometheus server on the loopback.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::folder::Folder;

const LONG: Duration = Duration::from_secs(60);

/// A Prometheus server that is killed afterwards.
pub(crate) struct Prometheus {
    child: Child,
    addr: SocketAddr,
    _folder: Folder,
}

impl Prometheus {
    pub(crate) fn start(scraped: SocketAddr) -> Self {
        let folder = Folder::new("server");
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts/tidegate.rules.yml");
        let config = format!(
            "global:\n  scrape_interval: 250ms\n  evaluation_interval: 250ms\nrule_files: [{rules:?}]\n\
             scrape_configs:\n  - job_name: us\n    static_configs:\n      - targets: [\"{scraped}\"]\n"
        );
        let file = folder.0.join("prometheus.yml");
        fs::write(&file, config).expect("it can be written");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let addr = free.expect("a free port on the loopback");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.0.join("data").display()))
            .arg(format!("--web.listen-address={addr}"))
            .arg("--enable-feature=exemplar-storage")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("apt-get install prometheus");
        Self { child, addr, _folder: folder }
    }

    /// The answer of the server's interface; nothing while it does not answer yet.
    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.addr).ok()?;
        stream.set_read_timeout(Some(LONG)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nhost: x\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }

    /// Asks until the answer contains `wanted`.
    pub(crate) fn until(&self, path: &str, wanted: &str) {
        let begun = Instant::now();
        let mut last = None;
        while begun.elapsed() < LONG * 3 {
            last = self.get(path);
            if last.as_ref().is_some_and(|answer| answer.contains(wanted)) {
                return;
            }
            // The server scrapes at intervals of its own.
            thread::sleep(Duration::from_millis(100));
        }
        panic!("{path} never answered {wanted}: {last:?}");
    }

    /// Waits until the query has this value.
    pub(crate) fn query(&self, query: &str, value: &str) {
        let path: String = query
            .bytes()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    (c as char).to_string()
                } else {
                    format!("%{c:02X}")
                }
            })
            .collect();
        self.until(&format!("/api/v1/query?query={path}"), &format!(",\"{value}\"]"));
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
