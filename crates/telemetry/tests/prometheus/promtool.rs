//! What promtool says to our texts and to our alerts.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::folder::{Folder, write_samples};

#[test]
fn promtool_takes_everything() {
    let folder = Folder::new("promtool");
    write_samples(&folder.0, 200);
    for i in 0..200 {
        let text = fs::read(folder.0.join(format!("{i}.txt"))).unwrap();
        let mut child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("apt-get install prometheus");
        child.stdin.take().unwrap().write_all(&text).unwrap();
        let output = child.wait_with_output().unwrap();
        // 3 is advice on names; 1 is an error.
        let taken = matches!(output.status.code(), Some(0 | 3));
        assert!(
            taken,
            "{}\n{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&text)
        );
    }
}

#[test]
fn every_alert_fires_when_it_should_and_not_before() {
    let alerts = Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts");
    let output = Command::new("promtool")
        .args(["test", "rules", "tidegate.rules.test.yml"])
        .current_dir(&alerts)
        .output()
        .expect("apt-get install prometheus");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let read = |name| fs::read_to_string(alerts.join(name)).expect("it is shipped");
    let (rules, tests) = (read("tidegate.rules.yml"), read("tidegate.rules.test.yml"));
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} is not tested");
    }
}
