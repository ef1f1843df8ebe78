//! A `tidegate` that is killed at once, as by the system when memory is short, leaves no command behind.

use std::time::{Duration, Instant};

use crate::place::{Place, gone};

const FLOW: &str = r#"
tasks:
  long:
    run: |
      echo $$ >> ids
      sh -c 'echo $$ >> ids; sleep 1000' &
      setsid sh -c 'echo $$ >> ids; sleep 1000' &
      sh -c 'trap "" TERM; echo $$ >> ids; while :; do sleep 1; done' &
      wait
"#;

#[test]
#[cfg(target_os = "linux")]
fn commands_of_a_killed_run_end_with_all_their_children() {
    let place = Place::with("killed", FLOW);
    let mut child = place.start(&["run", "flow.yaml"]);
    let ids = place.ids("ids", 4);
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !ids.iter().all(|id| gone(*id)) {
        assert!(Instant::now() < deadline, "left behind: {ids:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
