//! What others make of our text: promtool, both parsers of Python's client, and a Prometheus server that scrapes us.
//!
//! Needs, on Debian: `apt-get install prometheus python3-pip` and `pip install prometheus_client==0.26.0`.

#[path = "support/random.rs"]
mod random;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tidegate_telemetry::http::Server;
use tidegate_telemetry::{Format, Registry, register_process_metrics};

const LONG: Duration = Duration::from_secs(60);

/// A folder that is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("tidegate-telemetry-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes the texts of random registries, in both formats.
fn write_samples(folder: &Path, count: usize) {
    let mut runner = TestRunner::deterministic();
    for i in 0..count {
        let spec = random::spec().new_tree(&mut runner).expect("a registry").current();
        let (registry, _) = spec.build();
        fs::write(folder.join(format!("{i}.txt")), registry.render(Format::Text))
            .expect("it can be written");
        fs::write(folder.join(format!("{i}.om")), registry.render(Format::OpenMetrics))
            .expect("it can be written");
    }
}

#[test]
fn python_parsers_take_everything() {
    let folder = Folder::new("python");
    write_samples(&folder.0, 3_000);
    let script = r##"
import glob, sys
from prometheus_client.parser import text_string_to_metric_families as text
from prometheus_client.openmetrics.parser import text_string_to_metric_families as om
bad, samples = 0, 0
for parse, pattern in ((text, "txt"), (om, "om")):
    for path in glob.glob(sys.argv[1] + "/*." + pattern):
        content = open(path, newline="").read()
        try:
            got = [s for family in parse(content) for s in family.samples]
            lines = [l for l in content.split("\n") if l and not l.startswith("#")]
            assert len(got) == len(lines), (len(got), len(lines))
            samples += len(got)
        except Exception as error:
            bad += 1
            if bad < 10:
                print(path, repr(error), repr(content))
print(samples, "samples")
sys.exit(bad > 0 or samples < 1000)
"##;
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(&folder.0)
        .output()
        .expect("install python3");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "(pip install prometheus_client==0.26.0)\n{said}");
}

#[test]
fn promtool_takes_everything() {
    let folder = Folder::new("promtool");
    write_samples(&folder.0, 200);
    for i in 0..200 {
        let text = fs::read(folder.0.join(format!("{i}.txt"))).unwrap();
        let mut child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("apt-get install prometheus");
        child.stdin.take().unwrap().write_all(&text).unwrap();
        let output = child.wait_with_output().unwrap();
        // 3 is advice on names; 1 is an error.
        let taken = matches!(output.status.code(), Some(0 | 3));
        assert!(
            taken,
            "{}\n{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&text)
        );
    }
}

/// A Prometheus server that is killed afterwards.
struct Prometheus {
    child: Child,
    addr: SocketAddr,
    _folder: Folder,
}

impl Prometheus {
    fn start(scraped: SocketAddr) -> Self {
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
    fn until(&self, path: &str, wanted: &str) {
        let begun = Instant::now();
        let mut last = None;
        while begun.elapsed() < LONG {
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
    fn query(&self, query: &str, value: &str) {
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

#[test]
fn a_prometheus_server_reads_what_we_counted() {
    let registry = Registry::builder().label("zone", "eu").build().unwrap();
    register_process_metrics(&registry).unwrap();
    let jobs = registry.counter_vec("jobs_total", "Jobs \"done\".", ["path"]).unwrap();
    jobs.inc_by(["a\"b\\c\nd é"], 42);
    registry.gauge("depth", "Depth.").unwrap().set(-2.5e-7);
    let wait = registry.histogram("wait_seconds", "Wait.", [0.1, 1.0, 10.0]).unwrap();
    (0..50).for_each(|_| wait.observe(0.05));
    (0..50).for_each(|_| wait.observe(5.0));
    wait.observe_with_exemplar(0.5, &[("trace_id", "4bf92f3577b34da6")]).unwrap();
    wait.observe(f64::NAN);
    let few = registry.define("users_total", "Users.").max_series(1).counter_vec(["user"]).unwrap();
    few.inc(["a"]);
    few.inc(["b"]);
    registry.define("bad", "Panics.").gauge_fn(|| panic!("from a test")).unwrap();

    let running = Server::from(registry.clone()).bind(([127, 0, 0, 1], 0)).start().unwrap();
    let server = Prometheus::start(running.addr());
    server.query("up", "1");
    server.query(r#"jobs_total{zone="eu",path="a\"b\\c\nd é"}"#, "42");
    server.query("depth", "-2.5e-07");
    server.query("wait_seconds_count", "101");
    server.query("wait_seconds_bucket{le=\"0.1\"}", "50");
    server.query("wait_seconds_bucket{le=\"1.0\"}", "51");
    let ours = registry.histogram_of("wait_seconds", &[]).unwrap().quantile(0.75).unwrap();
    server.query("histogram_quantile(0.75, wait_seconds_bucket)", &ours.to_string());
    server.query("telemetry_overflow_total{metric=\"users_total\"}", "1");
    server.query("process_resident_memory_bytes > bool 0", "1");
    jobs.inc_by(["a\"b\\c\nd é"], 8);
    server.query("sum(jobs_total)", "50");
    let exemplars = "/api/v1/query_exemplars?query=wait_seconds_bucket&start=0&end=99999999999";
    server.until(exemplars, "4bf92f3577b34da6");

    server.until("/api/v1/rules", "TidegateSeriesOverflow");
    for alert in ["TidegateSeriesOverflow", "TidegateInvalidObservations", "TidegateCallbackPanics"]
    {
        server.query(&format!("count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}})"), "1");
    }
    running.stop();
    server.query("up", "0");
    server.query("count(ALERTS{alertname=\"TidegateDown\",alertstate=\"pending\"})", "1");
}
