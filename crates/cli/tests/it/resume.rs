//! Runs that are killed, and those that go on with them.

use std::time::{Duration, Instant};

use crate::place::Place;

/// A run that a `SIGKILL` ends while its task `slow` sleeps: `a` and two items are done.
fn killed(name: &str) -> Place {
    let place = Place::with(
        name,
        r#"
env: {API_TOKEN: s3cr3t-value}
tasks:
  a:
    run: echo a >> log; echo one; echo two
  each:
    needs: a
    foreach: "{{ tasks.a.lines }}"
    run: echo {{ item }} >> log; echo got {{ item }}
  slow:
    needs: each
    run: |
      echo slow $TIDEGATE_IDEMPOTENCY_KEY >> log
      if [ ! -e gate ]; then echo $$ > pid; exec sleep 300; fi
  end:
    needs: [slow, each]
    run: echo end {{ tasks.each.lines }} >> log
"#,
    );
    let mut child = place.start(&["run", "flow.yaml"]);
    let pid = place.ids("pid", 1)[0];
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    // Whoever outlives its starter ends now, or has ended.
    let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    place
}

fn journal(place: &Place) -> Vec<u8> {
    let runs = std::fs::read_dir(place.path.join(".tidegate/runs")).expect("a run");
    let run = runs.last().expect("one run").expect("readable").path();
    std::fs::read(run.join("journal")).expect("a journal")
}

#[test]
fn a_killed_run_goes_on_and_does_nothing_twice() {
    let place = killed("resume");
    std::fs::write(place.path.join("gate"), "").expect("a file");
    let done = place.run(&["resume"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let log = place.read("log");
    let lines: Vec<&str> = log.lines().collect();
    let (items, rest) = (&lines[1..3], &lines[3..]);
    assert_eq!(lines[0], "a");
    assert!(items.contains(&"one") && items.contains(&"two"), "{log}");
    assert_eq!(rest[0], rest[1], "the attempt that was under way has its key again: {log}");
    assert!(rest[0].starts_with("slow ") && rest[0].ends_with("/slow"), "{log}");
    assert_eq!(rest[2..], ["end got one got two"], "{log}");
    assert!(done.stdout.contains("5 ok"), "{}", done.stdout);
    let again = place.run(&["resume"]);
    assert_eq!((again.code, place.read("log")), (Some(0), log), "nothing is left to do");
}

#[test]
fn secrets_are_not_in_the_journal() {
    let place = Place::with(
        "secrets",
        r#"
inputs: {db_password: {}}
env: {API_TOKEN: s3cr3t-value}
tasks:
  a:
    foreach: ["x", "{{ env.API_TOKEN }}"]
    run: test {{ item }} != none
  b:
    run: ["/no/such/{{ env.API_TOKEN }}"]
  c:
    run: echo {{ inputs.db_password }}; exit 1
"#,
    );
    let done = place.run(&["run", "flow.yaml", "-i", "db_password=hunter2hunter2"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let runs = std::fs::read_dir(place.path.join(".tidegate/runs")).expect("a run");
    let run = runs.last().expect("one run").expect("readable").path();
    for file in ["journal", "meta.json"] {
        let bytes = std::fs::read(run.join(file)).expect("it is there");
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("s3cr3t-value") && !text.contains("hunter2"), "{file}: {text}");
    }
    let refused = place.run(&["resume"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("give it by `-i db_password=…`"), "{refused:?}");
}

#[test]
fn changed_tasks_are_asked_about_added_ones_run_and_removed_ones_are_told() {
    let place = killed("changes");
    std::fs::write(place.path.join("gate"), "").expect("a file");
    let flow = place.read("flow.yaml");
    let flow = flow.replace("echo end", "echo new-end").replace("  a:\n", "  # moved\n  a:\n");
    let flow = flow + "  added: {run: echo added >> log}\n";
    std::fs::write(place.path.join("flow.yaml"), &flow).expect("a file");
    let refused = place.run(&["resume"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("changed since the run began: end\n"), "{refused:?}");
    assert!(refused.stdout.is_empty(), "nothing has begun: {refused:?}");
    let done = place.run(&["resume", "--accept-changes"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let log = place.read("log");
    assert!(log.contains("new-end got one got two") && log.contains("added"), "{log}");
    assert_eq!(log.matches("\na\n").count() + usize::from(log.starts_with("a\n")), 1, "{log}");
    let short = flow.split("  end:").next().expect("a part").to_owned();
    std::fs::write(place.path.join("flow.yaml"), short).expect("a file");
    let removed = place.run(&["resume"]);
    assert_eq!(removed.code, Some(0), "{removed:?}");
    assert!(removed.stderr.contains("no longer in the file: end, added"), "{removed:?}");
}

#[test]
fn a_run_that_is_not_gone_on_with_is_what_it_was() {
    let place = Place::with("refused", "tasks: {a: {run: 'exit 3'}, b: {needs: a, run: 'true'}}");
    assert_eq!(place.run(&["run", "flow.yaml"]).code, Some(1));
    let listed = place.run(&["runs"]).stdout;
    assert!(listed.contains("  failed  "), "what was skipped is less than what failed: {listed}");
    let flow = place.read("flow.yaml");
    for broken in [flow.replace("exit 3", "exit 4"), "tasks: [".to_owned()] {
        std::fs::write(place.path.join("flow.yaml"), broken).expect("a file");
        assert_ne!(place.run(&["retry"]).code, Some(1), "nothing ran");
        assert_eq!(place.run(&["runs"]).stdout, listed);
    }
}

#[test]
fn a_run_that_goes_on_cannot_be_resumed() {
    let place = Place::with("two", "tasks: {a: {run: 'echo $$ > pid; exec sleep 300'}}");
    let mut child = place.start(&["run", "flow.yaml"]);
    let pid = place.ids("pid", 1)[0];
    let second = place.run(&["resume"]);
    assert_eq!(second.code, Some(2), "{second:?}");
    assert!(second.stderr.contains("is still going on"), "{second:?}");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
}

#[test]
fn a_failed_task_is_run_once_more_and_what_needs_it() {
    let place = Place::with(
        "retry-command",
        r#"
tasks:
  first: {run: "echo first $TIDEGATE_ATTEMPT >> log"}
  bad: {needs: first, run: "echo bad $TIDEGATE_ATTEMPT >> log; test -e gate"}
  after: {needs: bad, run: "echo after >> log"}
"#,
    );
    assert_eq!(place.run(&["run", "flow.yaml"]).code, Some(1));
    assert_eq!(place.run(&["resume"]).code, Some(1), "what has failed has failed");
    std::fs::write(place.path.join("gate"), "").expect("a file");
    let done = place.run(&["retry"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(place.read("log"), "first 1\nbad 1\nbad 2\nafter\n");
    let downstream = place.run(&["retry", "bad", "--downstream"]);
    assert_eq!(downstream.code, Some(0), "{downstream:?}");
    assert_eq!(place.read("log"), "first 1\nbad 1\nbad 2\nafter\nbad 3\nafter\n");
    let unknown = place.run(&["retry", "bda"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("no task `bda`"), "{unknown:?}");
}

#[test]
fn a_task_to_be_run_once_is_not_repeated_until_somebody_decides() {
    let flow = "tasks:\n  pay: {once: true, run: 'echo pay >> log; echo $$ > pid; test -e gate || exec sleep 300'}\n  ship: {needs: pay, run: echo ship >> log}\n";
    let place = Place::with("once", flow);
    let mut child = place.start(&["run", "flow.yaml"]);
    let pid = place.ids("pid", 1)[0];
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    std::fs::write(place.path.join("gate"), "").expect("a file");
    let waits = place.run(&["resume"]);
    assert_eq!(waits.code, Some(1), "{waits:?}");
    assert!(waits.stderr.contains("its outcome is unknown"), "{waits:?}");
    assert_eq!(place.read("log"), "pay\n");
    let done = place.run(&["resume", "--again", "pay"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(place.read("log"), "pay\npay\nship\n");
}

#[test]
fn an_interrupted_run_goes_on_with_what_was_not_done() {
    let place = Place::with(
        "interrupted",
        "tasks:\n  a: {run: echo a >> log}\n  b: {needs: a, run: 'echo b >> log; echo $$ > pid; test -e gate || exec sleep 300'}\n",
    );
    let mut child = place.start(&["run", "flow.yaml"]);
    place.ids("pid", 1);
    let id = child.id().to_string();
    std::process::Command::new("kill").args(["-INT", &id]).status().expect("kill runs");
    let until = Instant::now() + Duration::from_secs(20);
    while child.try_wait().expect("a child").is_none() && Instant::now() < until {
        std::thread::yield_now();
    }
    std::fs::write(place.path.join("gate"), "").expect("a file");
    let done = place.run(&["resume"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(place.read("log"), "a\nb\nb\n");
}

#[test]
fn a_journal_cut_anywhere_still_resumes() {
    let place = killed("cut");
    std::fs::write(place.path.join("gate"), "").expect("a file");
    let whole = journal(&place);
    let runs = std::fs::read_dir(place.path.join(".tidegate/runs")).expect("a run");
    let path = runs.last().expect("one").expect("readable").path().join("journal");
    std::fs::write(&path, &whole[..whole.len() - 3]).expect("written");
    let done = place.run(&["resume"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.stderr.contains("the journal was damaged, what it told there is done again"),
        "{done:?}"
    );
}

/// Three items, of which one fails for want of `gate`; it is this one.
fn with_a_failing_item(failing: usize) -> Place {
    let flow = r#"
tasks:
  each:
    foreach: [0, 1, 2]
    run: echo {{ item }} >> log; test {{ item }} != FAILING || test -e gate
  end: {needs: each, run: "echo end >> log"}
"#;
    let flow = flow.replace("FAILING", &failing.to_string());
    let place = Place::with(&format!("failing-item-{failing}"), &flow);
    assert_eq!(place.run(&["run", "flow.yaml"]).code, Some(1));
    place
}

#[test]
fn a_run_with_a_failed_item_keeps_its_items_whichever_it_was() {
    for failing in 0..3 {
        let place = with_a_failing_item(failing);
        let log = place.read("log");
        let resumed = place.run(&["resume"]);
        assert_eq!(resumed.code, Some(1), "what has failed has failed: {resumed:?}");
        assert!(resumed.stdout.contains("2 ok, 1 failed"), "{}", resumed.stdout);
        assert_eq!(place.read("log"), log, "nothing ran");
        std::fs::write(place.path.join("gate"), "").expect("a file");
        let retried = place.run(&["retry", &format!("each[{failing}]")]);
        assert_eq!(retried.code, Some(0), "{retried:?}");
        assert_eq!(place.read("log"), format!("{log}{failing}\nend\n"));
    }
}
