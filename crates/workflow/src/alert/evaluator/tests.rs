use tidegate_telemetry::Registry;

use super::AlertState::{Firing, Pending, Resolved, Withdrawn};
use super::*;
use crate::alert::{Condition, Expr};

const MINUTE: Duration = Duration::from_secs(60);

/// A registry and rules, checked at given seconds.
struct Bench {
    registry: Registry,
    evaluator: Evaluator,
}

impl Bench {
    fn new(rule: Rule) -> Self {
        let rules = Rules::new().with(rule).expect("the rule is sound");
        Self { registry: Registry::new(), evaluator: Evaluator::new(rules) }
    }

    /// State, labels and value of what has changed.
    fn check(&mut self, seconds: u64) -> Vec<(AlertState, String, f64)> {
        let changed = self.evaluator.check(Duration::from_secs(seconds), &self.registry.snapshot());
        let labels = |alert: &Alert| -> Vec<String> {
            alert.labels.iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        changed.iter().map(|alert| (alert.state, labels(alert).join(","), alert.value)).collect()
    }
}

fn is(state: AlertState, labels: &str, value: f64) -> (AlertState, String, f64) {
    (state, labels.to_owned(), value)
}

/// What this thread has had of a core, however busy the machine is.
#[cfg(target_os = "linux")]
fn on_cpu() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let first = times.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(first.expect("nanoseconds on a core come first"))
}

#[test]
#[cfg(target_os = "linux")]
fn ten_times_the_series_cost_about_ten_times_as_much() {
    let took = |count: usize| {
        let errors = || Expr::metric("errors");
        let rule = Rule::new("Wrong", errors().sum_by(["task"]).per(errors()).above(0.5));
        let mut bench = Bench::new(rule);
        let vec = bench.registry.gauge_vec("errors", "Errors.", ["task"]).expect("it is free");
        (0..count).for_each(|at| vec.set([&at.to_string()], 1.0));
        let begun = on_cpu();
        assert_eq!(bench.check(0).len(), count);
        assert!(bench.check(1).is_empty());
        on_cpu() - begun
    };
    let of = |count| (0..3).map(|_| took(count)).min().expect("three times");
    let (few, many) = (of(500), of(5000));
    assert!(many < 35 * few, "{few:?}, {many:?}");
}

#[test]
fn an_alert_is_pending_then_fires_then_is_resolved_each_label_set_on_its_own() {
    let rule = Rule::new("Deep", Expr::metric("depth").above(10.0)).lasting(MINUTE);
    let mut bench = Bench::new(rule.summary("{queue}: {value}, {instance}{none}"));
    let depth = bench.registry.gauge_vec("depth", "Depth.", ["queue"]).expect("the name is free");
    depth.set(["a"], 10.0);
    assert_eq!(bench.check(0), []);
    depth.set(["a"], 11.0);
    assert_eq!(bench.check(10), [is(Pending, "queue=a", 11.0)]);
    depth.set(["b"], 50.0);
    depth.set(["a"], 12.0);
    assert_eq!(bench.check(30), [is(Pending, "queue=b", 50.0)]);
    assert_eq!(bench.check(69), []);
    assert_eq!(bench.check(70), [is(Firing, "queue=a", 12.0)]);
    let active = bench.evaluator.active();
    assert_eq!(
        (active[0].since.as_secs(), active[0].summary.as_str()),
        (10, "a: 12, this process")
    );
    depth.set(["a"], 1.0);
    depth.remove(["b"]);
    let over = [is(Resolved, "queue=a", 12.0), is(Withdrawn, "queue=b", 50.0)];
    assert_eq!(bench.check(80), over);
    assert!(bench.evaluator.active().is_empty());
    depth.set(["a"], 99.0);
    assert_eq!(bench.check(90), [is(Pending, "queue=a", 99.0)], "it begins anew");
}

#[test]
fn a_rule_that_need_not_last_fires_at_once() {
    let mut bench = Bench::new(Rule::new("Any", Expr::metric("n").at_least(1.0)));
    bench.registry.gauge("n", "N.").expect("the name is free").set(1.0);
    assert_eq!(bench.check(0), [is(Firing, "", 1.0)]);
    assert_eq!(bench.check(1), []);
}

#[test]
fn a_rate_is_the_growth_in_its_window_and_a_counter_that_goes_back_has_begun_anew() {
    let mut bench = Bench::new(Rule::new("Fast", Expr::rate("n_total", MINUTE).above(0.5)));
    let count = counter(&bench.registry);
    count.inc_by(100);
    assert_eq!(bench.check(0), [], "one value is no rate");
    count.inc_by(10);
    assert_eq!(bench.check(10), [is(Firing, "", 1.0)]);
    // Unregistered and made again: 110 becomes 30.
    bench.registry.unregister("n_total");
    counter(&bench.registry).inc_by(30);
    assert_eq!(bench.check(20), []);
    assert_eq!(bench.evaluator.active()[0].value, 2.0, "10 and 30 in 20 s");
    let over = [is(Resolved, "", 2.0)];
    assert_eq!(bench.check(70), over, "the values of a minute ago and before do not count");
}

fn counter(registry: &Registry) -> tidegate_telemetry::Counter {
    registry.counter("n_total", "N.").expect("the name is free")
}

#[test]
fn sums_and_ratios_go_by_labels_and_nothing_of_nothing_is_true_of_nothing() {
    let failed = Expr::metric("failed").sum_by(["service", "absent"]);
    let all = Expr::metric("all").sum_by(["service", "absent"]);
    let mut bench = Bench::new(Rule::new("Failing", failed.per(all).at_least(0.5)));
    let metric = |name| {
        bench.registry.gauge_vec(name, "Requests.", ["service", "path"]).expect("the name is free")
    };
    let (failed, all) = (metric("failed"), metric("all"));
    for (service, path, f, a) in
        [("x", "/", 1.0, 4.0), ("x", "/b", 4.0, 6.0), ("y", "/", 1.0, 9.0), ("z", "/", 0.0, 0.0)]
    {
        failed.set([service, path], f);
        all.set([service, path], a);
    }
    failed.set(["lone", "/"], 5.0);
    assert_eq!(bench.check(0), [is(Firing, "service=x", 0.5)]);
}

#[test]
fn two_conditions_must_be_true_of_the_same_labels() {
    let both = Expr::metric("ready").above(0.0).and(Expr::metric("running").equals(0.0));
    let mut bench = Bench::new(Rule::new("Stalled", both));
    let metric = |name| bench.registry.gauge_vec(name, "Tasks.", ["of"]).expect("the name is free");
    let (ready, running) = (metric("ready"), metric("running"));
    for (of, waits, runs) in [("a", 3.0, 0.0), ("b", 3.0, 1.0), ("c", 0.0, 0.0)] {
        ready.set([of], waits);
        running.set([of], runs);
    }
    assert_eq!(bench.check(0), [is(Firing, "of=a", 3.0)]);
}

#[test]
fn a_counter_that_has_grown_is_seen_from_its_first_event_until_the_window_is_over() {
    let mut bench = Bench::new(Rule::new("New", Condition::grown("events_total", MINUTE)));
    let events =
        bench.registry.counter_vec("events_total", "Events.", ["of"]).expect("the name is free");
    events.inc_by(["zero"], 0);
    assert_eq!(bench.check(0), []);
    events.inc(["a"]);
    assert_eq!(bench.check(10), [is(Firing, "of=a", 1.0)]);
    assert_eq!(bench.check(69), []);
    assert_eq!(bench.check(70), [is(Resolved, "of=a", 1.0)]);
    events.inc(["a"]);
    assert_eq!(bench.check(75), [is(Firing, "of=a", 2.0)]);
}

#[test]
fn the_count_and_sum_of_a_histogram_are_metrics_and_labels_choose_series() {
    let expr = Expr::metric("wait_count").label("of", "a").above(1.0);
    let mut bench = Bench::new(Rule::new("Many", expr));
    let wait =
        bench.registry.histogram_vec("wait", "Time.", ["of"], [1.0]).expect("the name is free");
    for of in ["a", "a", "b", "b", "b"] {
        wait.with([of]).observe(0.5);
    }
    assert_eq!(bench.check(0), [is(Firing, "of=a", 2.0)]);
}

#[test]
fn each_rule_looks_back_as_far_as_it_says() {
    let above = |over: Duration| Expr::rate("done_total", over).above(0.5);
    let rules = Rules::new()
        .with(Rule::new("Long", above(10 * MINUTE)))
        .and_then(|rules| rules.with(Rule::new("Short", above(MINUTE))))
        .expect("the rules are sound");
    let mut bench = Bench { registry: Registry::new(), evaluator: Evaluator::new(rules) };
    let done = bench.registry.counter("done_total", "Done.").expect("the name is free");
    bench.check(0);
    done.inc_by(1000);
    assert_eq!(bench.check(30).len(), 2);
    done.inc_by(1);
    let over = bench.check(90);
    assert_eq!((over.len(), over[0].0), (1, Resolved), "the short one does not see it any more");
    assert_eq!(bench.evaluator.active()[0].rule, "Long");
}

#[test]
fn two_looks_at_the_same_time_make_no_rate() {
    let rate = Expr::rate("done_total", MINUTE).above(0.0);
    let mut bench = Bench::new(Rule::new("Busy", rate));
    let done = bench.registry.counter("done_total", "Done.").expect("the name is free");
    bench.check(1);
    done.inc();
    assert_eq!(bench.check(1), []);
}

#[test]
fn a_label_chooses_on_both_sides_of_a_ratio_and_below_is_not_equal() {
    let ratio = Expr::metric("used").per(Expr::metric("size")).label("disk", "a").below(0.5);
    let mut bench = Bench::new(Rule::new("Empty", ratio));
    let used = bench.registry.gauge_vec("used", "Used.", ["disk"]).expect("the name is free");
    let size = bench.registry.gauge_vec("size", "Size.", ["disk"]).expect("the name is free");
    for disk in ["a", "b"] {
        used.set([disk], 2.0);
        size.set([disk], 4.0);
    }
    assert_eq!(bench.check(0), []);
    used.set(["a"], 1.0);
    assert_eq!(bench.check(1), [is(Firing, "disk=a", 0.25)]);
    let text = Expr::metric("used").per(Expr::metric("size")).label("disk", "a").below(0.5);
    assert_eq!(text.promql(), "used{disk=\"a\"} / size{disk=\"a\"} < 0.5");
}
