//! Alerts that turn on metrics, and the file of the same rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_workflow::alert::{
    AlertState, Alerts, Condition, Expr, Rule, RuleError, Rules, Severity,
};
use tidegate_workflow::telemetry::{Registry, register_process_metrics};
use tidegate_workflow::{Graph, MachineSource, Orchestrator};

use crate::{echo, failing};

const SHIPPED: &str = include_str!("../../../telemetry/alerts/tidegate.rules.yml");

#[test]
fn the_shipped_rule_file_is_what_the_shipped_rules_are() {
    let rewrite = "cargo run -p tidegate-workflow --example alerts -- --rules > crates/telemetry/alerts/tidegate.rules.yml";
    let written = Rules::shipped().to_prometheus_yaml("tidegate");
    for (at, (is, should_be)) in SHIPPED.lines().zip(written.lines()).enumerate() {
        assert_eq!(is, should_be, "line {} of the file; write it anew: {rewrite}", at + 1);
    }
    assert_eq!(SHIPPED, written, "write it anew: {rewrite}");
}

#[tokio::test]
async fn every_metric_of_a_shipped_rule_is_there() {
    let registry = Registry::new();
    register_process_metrics(&registry).expect("the names are free");
    let _machine = MachineSource::new().publish(&registry).expect("the names are free");
    let _orchestrator =
        Orchestrator::builder().registry(registry.clone()).build().expect("the names are free");
    let snapshot = registry.snapshot();
    for metric in Rules::shipped().metrics() {
        // Those of a server, and of registries to which something has happened.
        if metric == "up" || metric.starts_with("telemetry_") || cfg!(not(target_os = "linux")) {
            continue;
        }
        let name = metric.strip_suffix("_count").unwrap_or(&metric);
        assert!(snapshot.family(name).is_some(), "there is no {metric}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_orchestrator_whose_tasks_fail_is_unhealthy_until_they_do_not() {
    let registry = Registry::new();
    let orchestrator =
        Orchestrator::builder().registry(registry.clone()).build().expect("the names are free");
    let alerts = Arc::new(Alerts::new(&registry, Rules::shipped()).expect("the names are free"));
    let mut changes = alerts.changes();
    let watching = Arc::clone(&alerts);
    let watch = tokio::spawn(async move { watching.watch(Duration::from_secs(15)).await });
    let run = async |task: fn(&'static str) -> tidegate_workflow::Task, minutes: u32| {
        for _ in 0..4 * minutes {
            let mut graph = Graph::new();
            graph.add(task("work")).expect("it is the only one");
            orchestrator.run(graph).await.expect("it is not shut down");
            tokio::time::sleep(Duration::from_secs(15)).await;
        }
    };
    run(echo, 2).await;
    assert!(alerts.is_healthy() && alerts.active().is_empty(), "{:?}", alerts.active());
    run(failing, 12).await;
    assert!(!alerts.is_healthy());
    assert_eq!(
        registry
            .value_of("alerts_firing", &[("alert", "TidegateFailing"), ("severity", "critical")]),
        Some(1.0)
    );
    run(echo, 10).await;
    assert!(alerts.is_healthy() && alerts.active().is_empty(), "{:?}", alerts.active());
    for state in [AlertState::Pending, AlertState::Firing, AlertState::Resolved] {
        let alert = changes.next().await.expect("they are there");
        assert_eq!((alert.rule.as_str(), alert.state), ("TidegateFailing", state));
        assert_eq!(alert.summary, "more than half of what this process runs fails");
    }
    watch.abort();
    let _ = watch.await;
    drop(alerts);
    assert_eq!(changes.next().await, None, "nothing else has happened");
}

#[tokio::test]
async fn a_callback_that_panics_is_counted_and_the_others_are_called() {
    let registry = Registry::new();
    let depth = registry.gauge("depth", "Depth.").expect("the name is free");
    let rules = Rules::new().with(Rule::new("Deep", Expr::metric("depth").above(1.0)));
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let alerts = Alerts::new(&registry, rules.expect("it is sound"))
        .expect("the names are free")
        .on_change(|_| panic!("from a test"))
        .on_change(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    depth.set(2.0);
    assert_eq!(alerts.check().len(), 1);
    depth.set(0.0);
    assert_eq!(alerts.check()[0].state, AlertState::Resolved);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(registry.value("alert_callback_panics_total"), Some(2.0));
}

#[tokio::test]
async fn a_reader_of_changes_that_is_too_slow_is_told_what_it_lost() {
    let registry = Registry::new();
    let depth = registry.gauge("depth", "Depth.").expect("the name is free");
    let rules = Rules::new().with(Rule::new("Deep", Expr::metric("depth").above(1.0)));
    let alerts = Alerts::new(&registry, rules.expect("it is sound")).expect("the names are free");
    let mut changes = alerts.changes();
    for _ in 0..1000 {
        depth.set(2.0);
        alerts.check();
        depth.set(0.0);
        alerts.check();
    }
    assert!(changes.next().await.is_some());
    assert_eq!(changes.lost(), 2000 - 1024);
}

#[test]
fn expressions_are_written_as_prometheus_reads_them() {
    let written = |condition: Condition| {
        let rule = Rule::new("It", condition).severity(Severity::Info).summary("{a} {value} {b{{");
        let rules = Rules::new().with(rule).expect("it is sound");
        rules.to_prometheus_yaml("a group")
    };
    let minute = Duration::from_secs(60);
    let yaml = written(
        Expr::rate("r", minute)
            .label("a", "it's \"x\"\n")
            .above(0.25)
            .and(Condition::grown("g", 90 * minute)),
    );
    let expr =
        r#"expr: 'rate(r{a="it''s \"x\"\n"}[1m]) > 0.25 and (g > 0 unless g offset 90m >= g)'"#;
    assert!(yaml.contains(expr), "{yaml}");
    let summary = r#"summary: "{{ $labels.a }} {{ $value }} {{ \"{\" }}b{{ \"{\" }}{{ \"{\" }}""#;
    assert!(yaml.contains(summary) && yaml.contains("- name: \"a group\"\n"), "{yaml}");
    let ratio = Expr::metric("a").per(Expr::metric("b").per(Expr::metric("c")));
    assert!(written(ratio.below(-1e9)).contains("expr: 'a / (b / c) < -1000000000'"));
    assert!(Rules::new().to_prometheus_yaml("x").ends_with("rules: []\n"));
}

#[test]
fn a_rule_that_makes_no_sense_is_refused_with_its_name() {
    let metric = || Expr::metric("m");
    for (rule, expected) in [
        (Rule::new("two words", metric().above(1.0)), "its name must be"),
        (Rule::new("A", Expr::metric("a-b").above(1.0)), "`a-b` is no name of a metric"),
        (Rule::new("A", metric().label("a:b", "").above(1.0)), "`a:b` is no name of a label"),
        (Rule::new("A", metric().sum_by(["1"]).above(1.0)), "`1` is no name of a label"),
        (Rule::new("A", metric().above(f64::NAN)), "NaN"),
        (Rule::new("A", Expr::rate("m", Duration::ZERO).above(1.0)), "a window must be"),
    ] {
        let name = rule.name().to_owned();
        let error: RuleError = Rules::new().with(rule).expect_err(expected);
        assert!(error.rule == name && error.to_string().contains(expected), "{error}");
    }
    let rules = Rules::shipped().without("TidegateDown");
    assert!(rules.iter().all(|rule| rule.name() != "TidegateDown"));
    let other = Rule::new("TidegateMemory", metric().above(0.5));
    let replaced = rules.clone().with(other).expect("it is sound");
    assert_eq!(replaced.iter().count(), rules.iter().count(), "it takes the place of its namesake");
}

#[tokio::test]
async fn readiness_follows_the_alerts() {
    use tidegate_workflow::telemetry::http::{Endpoint, Server};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let registry = Registry::new();
    let depth = registry.gauge("depth", "Depth.").expect("the name is free");
    let rule = Rule::new("Deep", Expr::metric("depth").above(1.0)).severity(Severity::Critical);
    let rules = Rules::new().with(rule).expect("it is sound");
    let alerts = Arc::new(Alerts::new(&registry, rules).expect("the names are free"));
    let health = Arc::clone(&alerts);
    let check = move || match health.is_healthy() {
        true => Ok(()),
        false => Err("a critical alert fires".to_owned()),
    };
    let endpoint = Endpoint::new(registry.clone()).ready_when("alerts", check);
    let server = Server::new(endpoint).bind(([127, 0, 0, 1], 0)).start().expect("it starts");
    let ask = async || {
        let mut stream = tokio::net::TcpStream::connect(server.addr()).await.expect("it listens");
        let request = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    };
    alerts.check();
    assert!(ask().await.starts_with("HTTP/1.1 200"));
    depth.set(9.0);
    alerts.check();
    let answer = ask().await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("a critical alert fires"),
        "{answer}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_gauge_counts_what_fires_and_only_what_is_critical_and_fires_is_unhealthy() {
    let registry = Registry::new();
    let depth = registry.gauge_vec("depth", "Depth.", ["queue"]).expect("the name is free");
    let deep = |above| Expr::metric("depth").above(above);
    let minute = Duration::from_secs(60);
    let rules = Rules::new()
        .with(Rule::new("Deep", deep(1.0)))
        .and_then(|rules| {
            let bad = Rule::new("Abyss", deep(5.0)).severity(Severity::Critical);
            rules.with(bad.lasting(minute))
        })
        .expect("the rules are sound");
    let alerts = Alerts::new(&registry, rules).expect("the names are free");
    let firing = || {
        [("Deep", "warning"), ("Abyss", "critical")].map(|(alert, severity)| {
            registry.value_of("alerts_firing", &[("alert", alert), ("severity", severity)])
        })
    };
    assert_eq!(firing(), [Some(0.0), Some(0.0)]);
    depth.set(["a"], 2.0);
    depth.set(["b"], 9.0);
    alerts.check();
    assert_eq!(firing(), [Some(2.0), Some(0.0)]);
    assert!(alerts.is_healthy(), "a warning fires, and what is critical is pending");
    tokio::time::advance(minute).await;
    alerts.check();
    assert_eq!((firing(), alerts.is_healthy()), ([Some(2.0), Some(1.0)], false));
    depth.set(["b"], 0.0);
    alerts.check();
    assert_eq!((firing(), alerts.is_healthy()), ([Some(1.0), Some(0.0)], true));
    let watching = tokio::time::timeout(minute, alerts.watch(Duration::ZERO));
    watching.await.expect_err("it goes on, at some interval");
}
