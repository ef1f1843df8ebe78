//! Settings of a run: which are in force, and where they came from.

use crate::place::{Done, Place};

const FLOW: &str = "limits: {concurrency: 8, timeout: 2h}
agents: {site: {concurrency: 2}, free: {}}
defaults: {timeout: 5m}
inputs: {env: staging, api_token: s3cr3t, must: }
tasks: {a: {run: 'true'}}
";

fn with(place: &Place, variables: &[(&str, &str)], args: &[&str]) -> Done {
    let mut command = place.command(args);
    command.envs(variables.iter().copied());
    Done::from(command.output().expect("the command runs"))
}

/// The line of a setting, with single spaces.
fn line(told: &str, setting: &str) -> String {
    let is_of = |line: &&str| line.split_whitespace().next() == Some(setting);
    let line = told.lines().find(is_of).unwrap_or_default();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_in_force_is_told_with_where_each_value_came_from() {
    let place = Place::with("settings", FLOW);
    let variables = [
        ("ORCHESTRATION_MAX_CONCURRENT", "6"),
        ("TIDEGATE_AGENTS__SITE__MAX_REQUESTS_PER_MINUTE", "30"),
        ("TIDEGATE_RETRY__ATTEMPTS", "3"),
        ("TIDEGATE_LOG_LEVEL", "debug"),
    ];
    let args = ["config", "flow.yaml", "-j", "4", "-i", "env=prod", "-i", "must=x y"];
    let done = with(&place, &variables, &args);
    assert_eq!(done.code, Some(0), "{done:?}");
    let of = |setting: &str| line(&done.stdout, setting);
    let over = of("max_concurrent_tasks");
    let expected = "max_concurrent_tasks = 4 flag --jobs (over 6 from variable ORCHESTRATION_MAX_CONCURRENT, 8 from flow.yaml:1:23, ";
    assert!(over.starts_with(expected) && over.ends_with(" by default)"), "{over}");
    assert_eq!(
        of("agents.site.max_concurrent_tasks"),
        "agents.site.max_concurrent_tasks = 2 flow.yaml:2:30"
    );
    assert_eq!(
        of("agents.site.max_requests_per_minute"),
        "agents.site.max_requests_per_minute = 30 variable TIDEGATE_AGENTS__SITE__MAX_REQUESTS_PER_MINUTE"
    );
    assert_eq!(
        of("default_agent.max_concurrent_tasks"),
        "default_agent.max_concurrent_tasks = off by default"
    );
    assert_eq!(
        of("default_timeout"),
        "default_timeout = 300s flow.yaml:3:21 (over off by default)"
    );
    assert_eq!(
        of("retry.attempts"),
        "retry.attempts = 3 variable TIDEGATE_RETRY__ATTEMPTS (over 1 by default)"
    );
    assert_eq!(of("limits.timeout"), "limits.timeout = 7200s flow.yaml:1:35 (over off by default)");
    assert_eq!(of("limits.capture"), "limits.capture = 8388608 bytes by default");
    assert_eq!(
        of("inputs.env"),
        "inputs.env = \"prod\" flag --input (over \"staging\" from default in flow.yaml)"
    );
    assert_eq!(of("inputs.api_token"), "inputs.api_token = *** default in flow.yaml");
    assert_eq!(of("inputs.must"), "inputs.must = \"x y\" flag --input");
    assert_eq!(of("state_dir"), "state_dir = .tidegate by default");
    assert_eq!(of("log_level"), "log_level has no effect on commands: variable TIDEGATE_LOG_LEVEL");
    assert!(!done.stdout.contains("s3cr3t"), "{}", done.stdout);

    let json = with(&place, &[("TIDEGATE_STATE_DIR", "kept")], &["config", "--json"]).stdout;
    let state = json.lines().find(|line| line.contains("state_dir")).unwrap_or_default();
    let state: serde_json::Value = serde_json::from_str(state).expect("each line is JSON");
    assert_eq!(
        (&state["value"], &state["from"]),
        (&"kept".into(), &"variable TIDEGATE_STATE_DIR".into())
    );
}

#[test]
fn the_environment_bounds_a_run_and_its_mistakes_stop_it() {
    let flow = "
limits: {concurrency: 4}
tasks:
  a: {run: 'if [ -e b ]; then exit 1; fi; touch a; sleep 0.2; rm a'}
  b: {run: 'if [ -e a ]; then exit 1; fi; touch b; sleep 0.2; rm b'}
  late: {run: sleep 30, needs: [a, b]}
  flaky: {run: test $TIDEGATE_ATTEMPT = 2}
";
    let place = Place::with("bounded", flow);
    let variables = [
        ("TIDEGATE_MAX_CONCURRENT_TASKS", "1"),
        ("TIDEGATE_DEFAULT_TIMEOUT", "1s"),
        ("TIDEGATE_RETRY__ATTEMPTS", "2"),
        ("TIDEGATE_RETRY__FIRST_DELAY", "1ms"),
    ];
    let done = with(&place, &variables, &["run", "flow.yaml", "--plain"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("3 ok, 1 failed"), "{}", done.stdout);
    assert!(done.stdout.contains("timed out  late"), "{}", done.stdout);

    let wrong = [("TIDEGATE_RETRY__ATEMPTS", "2"), ("TIDEGATE_SYNC_MODE", "maybe")];
    for args in [&["run", "flow.yaml"][..], &["config"]] {
        let done = with(&place, &wrong, args);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.stderr.contains("did you mean `retry.attempts`?"), "{}", done.stderr);
        assert!(done.stderr.contains("`sync_mode` is \"maybe\""), "{}", done.stderr);
    }
}
