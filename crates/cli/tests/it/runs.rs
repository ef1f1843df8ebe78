//! Looking at runs, and throwing them away.

use crate::place::Place;

const FLOW: &str = r#"
tasks:
  list: {run: "printf 'x\ny\n'; echo listed >&2"}
  each:
    needs: list
    foreach: "{{ tasks.list.lines }}"
    run: "echo item {{ item }}"
  flaky:
    run: "echo attempt $TIDEGATE_ATTEMPT; test $TIDEGATE_ATTEMPT = 2"
    retry: {attempts: 2, backoff: 1ms}
"#;

const ENDLESS: &str = "tasks: {quick: {run: \"true\"}, endless: {needs: quick, run: \"echo 1 > started; sleep 1000\"}}";

/// The id at the start of each line.
fn ids(listed: &str) -> Vec<&str> {
    listed.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn a_finished_run_is_listed_shown_and_its_outputs_are_at_hand() {
    let place = Place::with("looked-at", FLOW);
    assert_eq!(place.run(&["runs"]).stdout, "no runs in .tidegate\n");
    let ran = place.run(&["run", "flow.yaml"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let listed = place.run(&["runs"]);
    assert!(listed.stdout.contains("ok") && listed.stdout.contains("4/4"), "{}", listed.stdout);
    let shown = place.run(&["show", ids(&listed.stdout)[0]]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for line in ran.stdout.lines().filter(|line| line.contains("critical path")) {
        assert!(shown.stdout.contains(line), "{}", shown.stdout);
    }
    let of_one = place.run(&["logs", "list"]);
    assert_eq!((of_one.stdout.as_str(), of_one.stderr.as_str()), ("x\ny\n", "listed\n"));
    assert_eq!(place.run(&["logs", "each[1]"]).stdout, "item y\n");
    assert_eq!(place.run(&["logs", "flaky"]).stdout, "attempt 2\n");
    assert_eq!(place.run(&["logs", "flaky", "--attempt", "1"]).stdout, "attempt 1\n");
    let all = place.run(&["logs"]).stdout;
    assert!(all.contains("==> each/0, attempt 1\nitem x\n==> each/1"), "{all}");
}

#[test]
fn what_is_not_there_is_told_with_what_would_be_right() {
    let place = Place::with("not-there", FLOW);
    for args in [&["show"][..], &["show", "2099"], &["logs", "list"], &["prune"]] {
        let done = place.run(args);
        assert_eq!(done.code, Some(2), "{args:?}: {done:?}");
        assert!(done.stderr.starts_with("error: "), "{args:?}: {}", done.stderr);
    }
    place.run(&["run", "flow.yaml"]);
    for task in ["lits", "..", "../..", "/etc", "each[9]", ""] {
        let done = place.run(&["logs", task]);
        assert_eq!(done.code, Some(2), "{task}: {done:?}");
        assert!(done.stderr.contains("has another name"), "{task}: {}", done.stderr);
    }
    assert_eq!(place.run(&["logs", "list", "--attempt", "7"]).code, Some(2));
}

#[test]
fn a_run_that_lives_is_told_from_one_that_was_killed_and_is_never_pruned() {
    let place = Place::with("pruned", ENDLESS);
    let mut child = place.start(&["run", "flow.yaml"]);
    place.ids("started", 1);
    let listed = place.run(&["runs"]).stdout;
    assert!(listed.contains("running"), "{listed}");
    let shown = place.run(&["show"]).stdout;
    assert!(shown.contains("quick: ok\n  endless: attempt 1 started"), "{shown}");
    assert!(place.run(&["prune", "--keep", "0"]).stdout.is_empty());
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    // Its watchman ends the command first.
    while !place.run(&["runs"]).stdout.contains("killed") {
        assert!(std::time::Instant::now() < deadline, "{}", place.run(&["runs"]).stdout);
    }
    let shown = place.run(&["show"]).stdout;
    assert!(shown.contains("killed") && shown.contains("by `tidegate resume 2"), "{shown}");
    let kept = place.run(&["prune", "--keep", "0"]);
    assert!(kept.stdout.is_empty() && kept.stderr.contains("`--unfinished`"), "{}", kept.stderr);
    let would = place.run(&["prune", "--unfinished", "--keep", "0", "--dry-run"]).stdout;
    assert_eq!(ids(&would), ids(&listed));
    assert!(place.run(&["prune", "--unfinished", "--keep", "1"]).stdout.is_empty());
    assert!(place.run(&["prune", "--unfinished", "--older-than", "1h"]).stdout.is_empty());
    assert_eq!(place.run(&["prune", "--unfinished", "--keep", "0"]).stdout, would);
    assert_eq!(place.run(&["runs"]).stdout, "no runs in .tidegate\n");
}
