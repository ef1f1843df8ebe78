//! Sources beside the registry, and what the orchestrator tells of a source in trouble.

use std::time::Duration;

use tidegate_workflow::telemetry::Registry;
use tidegate_workflow::{Config, Orchestrator, Reading, RegistrySource, Source};

fn config() -> Config {
    Config {
        base_limit: 2,
        min_limit: 1,
        max_limit: 5,
        queue_high_watermark: 10.0,
        gpu_wait_high: 1.0,
        error_rate_high: 0.0,
        adaptation_interval: Duration::from_secs(2),
        ..Config::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_is_missing_is_told_and_counted_and_changes_nothing() {
    let registry = Registry::new();
    let own = Registry::new();
    own.gauge("queue", "Of the backend.").expect("the name is free").set(20.0);
    let source = RegistrySource::new(own.clone()).queue_depth("queue").gpu_wait("wait");
    let orchestrator = Orchestrator::builder()
        .registry(registry.clone())
        .adaptive(config(), source)
        .build()
        .expect("the settings are sound");
    assert_eq!(orchestrator.source_trouble(), None);
    tokio::time::sleep(Duration::from_millis(4100)).await;
    let trouble = orchestrator.source_trouble().expect("`wait` is not there");
    assert_eq!((trouble.count, trouble.is_over, orchestrator.limit()), (2, false, 2));
    assert!(trouble.why.contains("`wait`"), "{}", trouble.why);
    assert_eq!(trouble.at.as_secs(), 4);
    assert_eq!(registry.value("orchestrator_source_failures_total"), Some(2.0));

    own.gauge("wait", "Of the backend.").expect("the name is free").set(0.0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let trouble = orchestrator.source_trouble().expect("it was there");
    assert_eq!((trouble.count, trouble.is_over), (2, true));
    assert!(orchestrator.limit() > 2, "the queue is long and nothing is missing");
}

#[tokio::test(start_paused = true)]
async fn the_panic_of_a_source_is_told_as_trouble() {
    let source = || -> Reading { panic!("from a test") };
    let orchestrator =
        Orchestrator::builder().adaptive(config(), source).build().expect("the settings are sound");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let trouble = orchestrator.source_trouble().expect("it panicked");
    assert_eq!((trouble.count, trouble.why.as_str()), (1, "the source panicked"));
}

#[tokio::test]
async fn of_two_sources_the_greater_value_counts_unless_one_is_in_trouble() {
    let registry = Registry::new();
    registry.gauge("queue", "Waiting.").expect("the name is free").set(3.0);
    let queue = |metric| RegistrySource::new(registry.clone()).queue_depth(metric);
    let busy = || Reading { queue_depth: Some(7.0), gpu_wait: Some(0.5), ..Reading::default() };
    let mut sound = queue("queue").and(busy);
    let reading = sound.read().await;
    assert_eq!(
        (reading.queue_depth, reading.gpu_wait, sound.trouble()),
        (Some(7.0), Some(0.5), None)
    );
    let mut troubled = queue("none").and(queue("queue"));
    assert_eq!(troubled.read().await.queue_depth, None);
    assert!(troubled.trouble().is_some_and(|why| why.contains("`none`")));
}

#[cfg(feature = "http")]
mod http {
    use tidegate_workflow::telemetry::http::Server;
    use tidegate_workflow::{HttpSource, Series};

    use super::*;
    use crate::server;

    fn answer(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[tokio::test]
    async fn the_metrics_of_another_program_are_read_by_name_and_labels() {
        let registry = Registry::new();
        let waiting = registry
            .gauge_vec("waiting", "Requests that wait.", ["model", "shard"])
            .expect("the name is free");
        for (model, shard, count) in [("big", "a", 3.0), ("big", "b", 4.0), ("small", "a", 50.0)] {
            waiting.set([model, shard], count);
        }
        let all = registry.counter("all_total", "Requests.").expect("the name is free");
        let failed = registry.counter("failed_total", "Failures.").expect("the name is free");
        all.inc_by(100);
        let server =
            Server::from(registry.clone()).bind(([127, 0, 0, 1], 0)).start().expect("it starts");
        let mut source = HttpSource::new(&format!("http://{}/metrics", server.addr()))
            .expect("it is an address")
            .queue_depth(Series::new("waiting").label("model", "big"))
            .error_share("failed_total", "all_total");
        let first = source.read().await;
        assert_eq!((first.queue_depth, first.error_rate), (Some(7.0), None));
        assert_eq!(source.trouble(), None);
        failed.inc_by(5);
        all.inc_by(20);
        assert_eq!(source.read().await.error_rate, Some(0.25));
        assert_eq!(source.read().await.error_rate, Some(0.0), "nothing has happened");
        server.stop();
    }

    #[tokio::test]
    async fn an_answer_that_is_bad_late_too_long_or_none_reads_nothing_and_says_why() {
        let bad = server::Server::start([
            answer("waiting 1\n<html>\n"),
            answer("# nothing\n"),
            answer(&"a".repeat(2000)),
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ])
        .await;
        let mut source = HttpSource::new(&bad.url())
            .expect("it is an address")
            .queue_depth(Series::new("waiting").label("a", "b"))
            .at_most(1000);
        for expected in [
            "line 2 is no metric: \"<html>\"",
            "has no series `waiting{a=\"b\"}`",
            "longer than 1000 bytes",
            "status 404",
        ] {
            assert_eq!(source.read().await, Reading::default());
            let why = source.trouble().expect("the answer is bad");
            assert!(why.contains(expected) && why.contains("http://127.0.0.1:"), "{why}");
        }

        let silent = server::Server::silent(b"HTTP/1.1 200 OK\r\n\r\nwaiting 1\n".to_vec()).await;
        let mut source = HttpSource::new(&silent.url())
            .expect("it is an address")
            .queue_depth("waiting")
            .within(Duration::from_millis(50));
        assert_eq!(source.read().await, Reading::default());
        assert!(source.trouble().is_some_and(|why| why.contains("within 50ms")));

        let dripping = server::Server::dripping().await;
        let mut source = HttpSource::new(&dripping.url())
            .expect("it is an address")
            .queue_depth("waiting")
            .within(Duration::from_millis(100));
        assert_eq!(source.read().await, Reading::default());
        assert!(source.trouble().is_some_and(|why| why.contains("complete within 100ms")));

        let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let address = format!("http://user:hidden@{}/", nobody.expect("loopback is there"));
        let shown = format!("{:?}", HttpSource::new(&address).expect("it is an address"));
        assert!(shown.contains("http://127.") && !shown.contains("hidden"), "{shown}");
        let mut source =
            HttpSource::new(&address).expect("it is an address").queue_depth("waiting");
        assert_eq!(source.read().await, Reading::default());
        let why = source.trouble().expect("nobody is there");
        assert!(why.contains("the connection failed") && !why.contains("hidden"), "{why}");
        for bad in ["", "metrics", "ftp://x/", "http://"] {
            let refused = HttpSource::new(bad).expect_err("it is no address");
            assert!(refused.to_string().contains("is no address such as"), "{refused}");
        }
    }
}
