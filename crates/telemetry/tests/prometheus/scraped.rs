//! A Prometheus server that scrapes a live process.

use tidegate_telemetry::http::Server;
use tidegate_telemetry::{Readings, Registry, register_process_metrics};

use crate::server::Prometheus;

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
    let shards = ["a", "b"].map(|shard| registry.with_label("shard", shard).unwrap());
    for (shard, n) in shards.iter().zip([0.25, 0.5]) {
        shard.float_counter("busy_seconds_total", "Busy.").unwrap().inc_by(n);
    }
    let read = |readings: &mut Readings<'_, 1>| {
        [("mail", 3.0), ("video", 4.0)].iter().for_each(|(queue, n)| readings.set([queue], *n));
    };
    registry.define("queue_depth", "Jobs.").gauge_vec_fn(["queue"], read).unwrap();
    registry.define("bad", "Panics.").gauge_fn(|| panic!("from a test")).unwrap();

    let running = Server::from(registry.clone()).bind(([127, 0, 0, 1], 0)).start().unwrap();
    let server = Prometheus::start(running.addr());
    server.query("up", "1");
    server.query(r#"jobs_total{zone="eu",path="a\"b\\c\nd é"}"#, "42");
    server.query("depth", "-2.5e-07");
    server.query("sum by (zone) (busy_seconds_total{shard=~\"a|b\"})", "0.75");
    server.query("busy_seconds_total{zone=\"eu\",shard=\"b\"}", "0.5");
    server.query("sum(queue_depth)", "7");
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
    // It fires when the target has been down for a minute.
    for state in ["pending", "firing"] {
        let down = format!("count(ALERTS{{alertname=\"TidegateDown\",alertstate=\"{state}\"}})");
        server.query(&down, "1");
    }
}
