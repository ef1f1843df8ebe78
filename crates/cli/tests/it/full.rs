//! A disk that is full.

use std::process::Command;

use crate::place::{Done, Place};

/// The first task is kept, the items of the second are more than there is room for.
const FLOW: &str = r#"
tasks:
  first: {run: "echo first >> effects"}
  each:
    needs: first
    foreach: "{{ range(40) }}"
    run: "echo {{ item }} >> effects"
  long:
    needs: first
    foreach: "{{ ['x' * 30000] }}"
    run: "echo long >> effects"
  last: {needs: [each, long], run: "echo last >> effects"}
"#;

/// The command where no file can grow beyond so many half kilobytes.
fn limited(place: &Place, blocks: u32, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_tidegate")).args(args);
    command.current_dir(&place.path);
    command
}

#[test]
fn on_a_full_disk_a_run_stops_and_goes_on_without_running_twice_what_was_kept() {
    let place = Place::with("full", FLOW);
    let full = limited(&place, 32, &["run", "flow.yaml"]).output().expect("it runs");
    let full = Done::from(full);
    assert_eq!(full.code, Some(74), "{full:?}");
    assert!(full.stderr.contains("the journal's store failed"), "{full:?}");
    assert!(full.stderr.contains("tidegate resume"), "{full:?}");
    let before = place.read("effects");
    assert!(before.starts_with("first\n") && !before.contains("last"), "{before}");

    let resumed = place.run(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    let after = place.read("effects");
    let times = |line: &str| after.lines().filter(|of| *of == line).count();
    assert_eq!((times("first"), times("long"), times("last")), (1, 1, 1), "{after}");
    for item in 0..40 {
        assert!((1..=2).contains(&times(&item.to_string())), "{item} in {after}");
    }
    assert!(after.starts_with(&before) && after.ends_with("last\n"));
}

#[test]
fn where_not_even_a_journal_can_be_begun_nothing_is_run() {
    let place = Place::with("full-at-once", "tasks: {a: {run: touch started}}");
    let full = limited(&place, 0, &["run", "flow.yaml"]).output().expect("it runs");
    let full = Done::from(full);
    assert_eq!(full.code, Some(74), "{full:?}");
    assert!(!place.path.join("started").exists());
}
