//! Ctrl-C: what runs ends with its children, and the summary says what was not done.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::place::{Done, Place, gone};

const FLOW: &str = r#"
limits: {concurrency: 2}
tasks:
  quick: {run: "true"}
  long:
    needs: quick
    run: |
      echo $$ >> ids
      sh -c 'echo $$ >> ids; sleep 1000' &
      setsid sh -c 'echo $$ >> ids; sleep 1000' &
      wait
  after: {needs: long, run: touch after}
"#;

fn interrupt(child: &std::process::Child, signal: Signal) {
    let id = Pid::from_raw(child.id().cast_signed()).expect("an id");
    kill_process(id, signal).expect("it runs");
}

#[test]
fn an_interrupt_ends_commands_with_all_their_children() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let place = Place::with("interrupt", FLOW);
        let child = place.start(&["run", "flow.yaml"]);
        let ids = place.ids("ids", 3);
        let started = Instant::now();
        interrupt(&child, signal);
        let done = Done::from(child.wait_with_output().expect("it ends"));
        assert_eq!(done.code, Some(code), "{done:?}");
        assert!(ids.into_iter().all(gone), "left behind");
        assert!(started.elapsed() < Duration::from_secs(4), "TERM is enough here");
        assert!(done.stdout.contains("not done: long, after"), "{}", done.stdout);
        assert!(done.stdout.contains("1 ok, 2 not done"), "{}", done.stdout);
        assert!(!place.path.join("after").exists());
    }
}

#[test]
fn a_second_interrupt_kills_what_ignores_the_first() {
    let place = Place::with(
        "second",
        "tasks: {stubborn: {run: \"trap '' TERM INT; echo $$ > ids; while :; do sleep 1; done\"}}",
    );
    let child = place.start(&["run", "flow.yaml", "--json"]);
    let ids = place.ids("ids", 1);
    let started = Instant::now();
    interrupt(&child, Signal::INT);
    // The first must have been heard: two equal signals at once are one.
    let events = || {
        let runs = std::fs::read_dir(place.path.join(".tidegate/runs")).expect("runs");
        let run = runs.flatten().next().expect("a run").path().join("events.jsonl");
        std::fs::read_to_string(run).unwrap_or_default()
    };
    while !events().contains("interrupted") {
        assert!(started.elapsed() < Duration::from_secs(4), "{}", events());
        std::thread::yield_now();
    }
    interrupt(&child, Signal::INT);
    let done = Done::from(child.wait_with_output().expect("it ends"));
    assert_eq!(done.code, Some(130), "{done:?}");
    assert!(started.elapsed() < Duration::from_secs(4), "no grace after the second");
    assert!(ids.into_iter().all(gone));
}

#[test]
fn a_run_that_takes_too_long_is_ended() {
    let place = Place::with(
        "late",
        "limits: {timeout: 300ms}\ntasks: {long: {run: 'echo $$ > ids; sleep 1000'}, b: {needs: long, run: echo}}",
    );
    let done = place.run(&["run", "flow.yaml"]);
    assert_eq!(done.code, Some(4), "{done:?}");
    assert!(done.stdout.contains("not done: long, b"), "{}", done.stdout);
    assert!(place.ids("ids", 1).into_iter().all(gone));
}
