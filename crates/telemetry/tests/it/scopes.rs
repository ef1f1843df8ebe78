//! Parts of a program that share a registry under names and labels of their own.

use tidegate_telemetry::{Format, RegisterError, Registry};

#[test]
fn a_scope_registers_and_reads_back_under_its_prefix_and_labels() {
    let registry = Registry::builder().prefix("app").build().unwrap();
    let scope = registry.with_prefix("db").unwrap().with_label("shard", "1").unwrap();
    scope.counter_vec("hits_total", "Hits.", ["table"]).unwrap().inc(["users"]);
    assert_eq!(scope.value_of("hits_total", &[("table", "users")]), Some(1.0));
    let labels = [("shard", "1"), ("table", "users")];
    assert_eq!(registry.value_of("db_hits_total", &labels), Some(1.0));
    assert_eq!(registry.value_of("db_hits_total", &labels[1..]), None);
    assert_eq!(registry.value_of("db_hits_total", &[("shard", "2"), ("table", "users")]), None);
    assert_eq!(scope.value_of("hits_total", &labels), None, "its own label goes without saying");
    assert_eq!(
        scope.render(Format::Text),
        "# HELP app_db_hits_total Hits.\n# TYPE app_db_hits_total counter\n\
         app_db_hits_total{shard=\"1\",table=\"users\"} 1\n"
    );
}

#[test]
fn one_metric_in_many_scopes_is_one_family() {
    let registry = Registry::new();
    let scope = |shard| registry.with_label("shard", shard).unwrap();
    for (shard, n) in [("b", 2), ("a", 1)] {
        scope(shard).counter("hits_total", "Hits.").unwrap().inc_by(n);
        scope(shard).histogram("wait", "Wait.", [1.0]).unwrap().observe(0.5);
    }
    let text = registry.render(Format::OpenMetrics);
    assert_eq!(text.matches("# TYPE hits counter\n").count(), 1, "{text}");
    assert!(text.contains("hits_total{shard=\"a\"} 1\nhits_total{shard=\"b\"} 2\n"), "{text}");
    let snapshot = registry.snapshot();
    assert_eq!(snapshot.families.len(), 2);
    assert_eq!(snapshot.value("hits_total", &[("shard", "b")]), Some(2.0));
    assert_eq!(registry.sum("hits_total"), Some(3.0));
    assert_eq!(scope("a").sum("hits_total"), Some(1.0));
    assert_eq!(scope("c").sum("hits_total"), None);
    assert_eq!(registry.value_of("wait_count", &[("shard", "a")]), Some(1.0));
    let again = scope("a").define("hits_total", "").or_existing().counter().unwrap();
    again.inc();
    assert_eq!(scope("a").value("hits_total"), Some(2.0));
}

#[test]
fn scopes_whose_series_could_meet_are_refused() {
    let registry = Registry::new();
    let scope = |shard| registry.with_label("shard", shard).unwrap();
    scope("a").counter_vec("hits_total", "x", ["table"]).unwrap();
    scope("a").histogram("wait", "x", [1.0]).unwrap();
    let refused = |result: Result<(), RegisterError>, end: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.ends_with(end), "{message}");
    };
    let taken = "already registered; `or_existing` returns the one that is there";
    refused(scope("a").counter_vec("hits_total", "x", ["table"]).map(drop), taken);
    refused(
        scope("b").counter_vec("hits_total", "x", ["shelf"]).map(drop),
        "another list of labels",
    );
    refused(scope("b").histogram("wait", "x", [2.0]).map(drop), "another list of bounds");
    refused(scope("b").gauge("wait", "x").map(drop), "another kind");
    let other = "another list of constant labels";
    refused(registry.counter_vec("hits_total", "x", ["table"]).map(drop), other);
    let deeper = scope("b").with_label("table", "users").unwrap();
    refused(deeper.histogram("wait", "x", [1.0]).map(drop), other);
    refused(scope("b").gauge("wait_sum", "x").map(drop), "belongs to metric \"wait\"");
    assert!(scope("b").with_label("shard", "c").is_err(), "it has the label");
    assert!(scope("b").with_label("metric", "c").is_err(), "our own reports have it");
    assert!(registry.with_prefix("a-b").is_err());
    assert!(scope("b").gauge_vec("depth", "x", ["shard"]).is_err());
    scope("b").counter_vec("hits_total", "x", ["table"]).unwrap();
}

#[test]
fn a_scope_unregisters_its_own_part_only() {
    let registry = Registry::new();
    let scope = |shard| registry.with_label("shard", shard).unwrap();
    scope("a").gauge("depth", "x").unwrap().set(1.0);
    scope("b").gauge("depth", "x").unwrap().set(2.0);
    assert!(scope("a").unregister("depth"));
    assert!(!scope("a").unregister("depth"));
    assert_eq!(registry.sum("depth"), Some(2.0));
    assert!(registry.gauge("depth", "x").is_err(), "the name is still taken");
    assert!(registry.unregister("depth"));
    registry.gauge("depth", "x").unwrap();
}

#[test]
fn an_empty_prefix_changes_nothing() {
    let scope = Registry::new().with_prefix("").unwrap();
    scope.gauge("depth", "x").unwrap();
    assert!(scope.render(Format::Text).contains("\ndepth 0\n"));
}

#[test]
fn reports_have_the_labels_of_the_scope_they_are_about() {
    let registry = Registry::new();
    for shard in ["a", "b"] {
        let scope = registry.with_label("shard", shard).unwrap();
        scope.histogram("wait", "x", [1.0]).unwrap().observe(f64::NAN);
    }
    let report = "telemetry_invalid_observations_total";
    let text = registry.render(Format::Text);
    for shard in ["a", "b"] {
        assert!(
            text.contains(&format!("{report}{{shard=\"{shard}\",metric=\"wait\"}} 1\n")),
            "{text}"
        );
        let labels = [("shard", shard), ("metric", "wait")];
        assert_eq!(registry.snapshot().value(report, &labels), Some(1.0));
    }
}
