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
    assert!(all.contains("==> each[0], attempt 1\nitem x\n==> each[1]"), "{all}");
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

#[test]
fn an_item_is_called_by_its_number_wherever_it_is_named() {
    let flow = r#"
tasks:
  each: {foreach: [two, "2", "1"], run: "echo {{ item }} >> log; test {{ item }} != 2"}
"#;
    let place = Place::with("numbered", flow);
    let ran = place.run(&["run", "flow.yaml"]);
    assert!(ran.stderr.contains("failed  each[1] 2: exit code 1"), "{}", ran.stderr);
    assert!(ran.stderr.contains("start   each[0] two\n"), "{}", ran.stderr);
    assert!(ran.stdout.contains("failed each[1] 2: exit code 1"), "{}", ran.stdout);
    std::fs::write(place.path.join("log"), "").expect("a file");
    let again = place.run(&["retry", "each[1]", "--json"]);
    assert_eq!(place.read("log"), "2\n", "what was told to have failed runs again");
    let started: Vec<&str> =
        again.stdout.lines().filter(|line| line.contains("task_started")).collect();
    assert_eq!(started.len(), 1, "{}", again.stdout);
    for part in [r#""attempt":2"#, r#""index":1"#, r#""item":"2""#] {
        assert!(started[0].contains(part), "{}", started[0]);
    }
    assert!(place.run(&["logs"]).stdout.contains("==> each[1], attempt 2"));
}

#[test]
fn a_run_that_was_gone_on_with_counts_each_task_once() {
    let flow =
        "tasks:\n  a: {run: exit 1}\n  b: {run: \"true\"}\n  c: {needs: [a], run: \"true\"}\n";
    let place = Place::with("counted", flow);
    place.run(&["run", "flow.yaml"]);
    place.run(&["retry"]);
    let folder = place.path.join(".tidegate/runs");
    let run = std::fs::read_dir(folder).expect("a run").next().expect("one").expect("a folder");
    // As if it had been killed before it could say how it ended.
    std::fs::remove_file(run.path().join("report.json")).expect("it was there");
    let listed = place.run(&["runs"]).stdout;
    assert!(listed.contains("killed") && listed.contains(" 3/3 "), "{listed}");
    // Or before it could say anything.
    std::fs::remove_file(run.path().join("events.jsonl")).expect("it was there");
    let shown = place.run(&["show"]);
    assert!(shown.code == Some(0) && shown.stdout.contains("killed"), "{shown:?}");
}

#[test]
fn what_standard_output_cannot_take_is_no_success() {
    let place = Place::with("full-output", "tasks: {a: {run: \"true\"}}\n");
    for args in [&["run", "flow.yaml"][..], &["run", "flow.yaml", "--json"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("on Linux");
        let code = place.command(args).stdout(full).status().expect("it runs").code();
        assert_eq!(code, Some(74), "{args:?}");
        let mut child = place.start(args);
        drop(child.stdout.take());
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{args:?}: nobody reads it");
    }
}

#[test]
fn a_file_that_is_not_there_or_no_yaml_is_told_as_such() {
    let place = Place::with("validated", "tasks: {a: {run: \"true\"}}\n---\ntasks: {}\n");
    assert_eq!(place.run(&["validate", "flaw.yaml"]).code, Some(2));
    let two = place.run(&["validate", "flow.yaml", "flaw.yaml"]);
    assert_eq!(two.code, Some(3));
    assert!(two.stderr.contains("error: a second document begins here\n"), "{}", two.stderr);
    std::fs::write(place.path.join("flow.toml"), "[tasks.a]\nrun = \"true\"\n").expect("a file");
    let toml = place.run(&["validate", "flow.toml"]);
    assert!(toml.stderr.contains("hint: a workflow file is YAML"), "{}", toml.stderr);
}
