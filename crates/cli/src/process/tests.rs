use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Ended, Spec, Stop, run};

fn spec(name: &str, script: &str) -> (Spec, PathBuf) {
    let base = std::env::temp_dir().join(format!("tidegate-process-{}-{name}", std::process::id()));
    let out = base.with_extension("out");
    let open = |path: &PathBuf| File::create(path).expect("a file");
    let spec = Spec {
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        env: Vec::new(),
        cwd: std::env::temp_dir(),
        stdin: None,
        stdout: open(&out),
        stderr: open(&base.with_extension("err")),
        timeout: None,
    };
    (spec, out)
}

fn ids(out: &PathBuf) -> Vec<i32> {
    let text = std::fs::read_to_string(out).unwrap_or_default();
    text.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

fn gone(id: i32) -> bool {
    // A zombie that somebody else reaps has ended too.
    std::fs::read_to_string(format!("/proc/{id}/stat"))
        .map_or(true, |stat| stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z')))
}

#[tokio::test]
async fn what_the_leader_leaves_in_the_background_ends_with_it() {
    let (spec, out) = spec("background", "sleep 1000 & echo $!; exit 7");
    let ended = run(spec, &Stop::default()).await.expect("sh runs");
    let Ended::Exited(status) = ended else { panic!("{ended:?}") };
    assert_eq!(status.code(), Some(7));
    assert!(ids(&out).len() == 1 && ids(&out).into_iter().all(gone));
}

#[tokio::test]
async fn a_timeout_ends_the_whole_group_also_when_it_ignores_term() {
    let (mut spec, out) = spec(
        "timeout",
        "trap '' TERM; echo $$; sh -c 'trap \"\" TERM; echo $$; sleep 1000' & wait",
    );
    spec.timeout = Some(Duration::from_millis(300));
    let stop = Stop::default();
    let kill = stop.kill.clone();
    let started = Instant::now();
    let killer = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(600)).await;
        kill.cancel();
    });
    assert_eq!(run(spec, &stop).await.expect("sh runs"), Ended::TimedOut);
    killer.await.expect("no panic");
    assert!(started.elapsed() < super::GRACE, "kill need not wait for the grace period");
    assert_eq!(ids(&out).len(), 2);
    assert!(ids(&out).into_iter().all(gone));
}

#[tokio::test]
async fn dropping_the_future_kills_the_group() {
    let (spec, out) = spec("drop", "sleep 1000 & echo $$ $!; wait");
    let stop = Stop::default();
    let running = tokio::spawn(async move { run(spec, &stop).await });
    while ids(&out).len() < 2 {
        tokio::task::yield_now().await;
    }
    running.abort();
    let _ = running.await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !ids(&out).into_iter().all(gone) {
        assert!(Instant::now() < deadline, "left behind: {:?}", ids(&out));
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_missing_program_is_an_error() {
    let (mut spec, _) = spec("missing", "");
    spec.program = "tidegate-no-such-program".into();
    assert!(run(spec, &Stop::default()).await.is_err());
}
