//! Runs and what they leave.

use crate::place::Place;

#[test]
fn outputs_flow_from_task_to_task_through_a_foreach() {
    let place = Place::with(
        "flow",
        r#"
inputs: {greeting: hello}
limits: {concurrency: 3}
tasks:
  list:
    run: printf 'a b\nc"d\n$(touch pwned)\n'
  each:
    needs: list
    foreach: "{{ tasks.list.lines }}"
    run: printf '%s:%s\n' {{ index }} {{ item }}
  sum:
    needs: [each]
    stdin: "{{ tasks.each.output }}"
    run: |
      echo {{ inputs.greeting }} > sum.txt
      cat >> sum.txt
"#,
    );
    let done = place.run(&["run", "flow.yaml", "-i", "greeting=good 'day'"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(place.read("sum.txt"), "good 'day'\n0:a b\n1:c\"d\n2:$(touch pwned)");
    assert!(!place.path.join("pwned").exists());
    assert!(done.stdout.contains("5 ok"), "{}", done.stdout);
    assert!(done.stdout.contains("list -> each["), "{}", done.stdout);
}

#[test]
fn a_failure_skips_its_dependents_and_nobody_else() {
    let place = Place::with(
        "failure",
        r#"
tasks:
  bad: {run: "echo why >&2; exit 3"}
  after: {needs: bad, run: touch after}
  later: {needs: after, run: touch later}
  other: {run: touch other}
"#,
    );
    let done = place.run(&["run", "flow.yaml"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(place.path.join("other").exists());
    assert!(!place.path.join("after").exists() && !place.path.join("later").exists());
    assert!(done.stderr.contains("bad: exit code 3") && done.stderr.contains("| why"), "{done:?}");
    assert!(done.stderr.contains("after: needs `bad`, which did not succeed"), "{done:?}");
    assert!(done.stdout.contains("1 ok, 1 failed, 2 skipped"), "{}", done.stdout);
    assert!(done.stdout.contains("not done: after, later"), "{}", done.stdout);
}

#[test]
fn commands_know_their_run_and_their_place_in_the_trace() {
    let flow = r#"
tasks:
  a: {run: "echo $TRACEPARENT $TIDEGATE_RUN_ID >> a; [ $TIDEGATE_ATTEMPT = 2 ]", retry: {attempts: 2, backoff: 1ms}}
  b: {run: "echo $TRACEPARENT $TIDEGATE_RUN_ID >> b"}
"#;
    let place = Place::with("trace", flow);
    let run = |parent: Option<&str>| {
        for file in ["a", "b"] {
            let _ = std::fs::remove_file(place.path.join(file));
        }
        let mut command = place.command(&["run", "flow.yaml"]);
        match parent {
            Some(parent) => command.env("TRACEPARENT", parent),
            None => command.env_remove("TRACEPARENT"),
        };
        assert!(command.status().expect("the command runs").success());
        let lines = [place.read("a"), place.read("b")].concat();
        let lines: Vec<Vec<String>> =
            lines.lines().map(|line| line.split([' ', '-']).map(str::to_owned).collect()).collect();
        assert_eq!(lines.len(), 3, "two attempts and one: {lines:?}");
        assert!(lines.iter().all(|line| line[4..] == lines[0][4..] && line.len() > 4));
        lines
    };
    // Made up: one trace for the run, each attempt a place of its own.
    for parent in [None, Some("not a trace parent")] {
        let lines = run(parent);
        assert!(lines.iter().all(|line| line[0] == "00" && line[1] == lines[0][1]), "{lines:?}");
        assert_eq!((lines[0][1].len(), lines[0][2].len()), (32, 16));
        assert!(lines[0][2] != lines[1][2] && lines[1][2] != lines[2][2], "{lines:?}");
    }
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let lines = run(Some(parent));
    assert!(lines.iter().all(|line| line[..4].join("-") == parent), "{lines:?}");
}

#[test]
fn a_task_is_tried_as_often_as_it_says() {
    let place = Place::with(
        "retry",
        r#"
tasks:
  flaky:
    run: "echo x >> tries; test $(wc -l < tries) -ge 3"
    retry: {attempts: 4, backoff: 10ms}
  hopeless:
    run: "echo x >> hopeless; false"
    retry: {attempts: 2, backoff: 10ms}
  broken: {run: [tidegate-no-such-program], retry: {attempts: 5, backoff: 1h}}
"#,
    );
    let done = place.run(&["run", "flow.yaml"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(place.read("tries").lines().count(), 3);
    assert_eq!(place.read("hopeless").lines().count(), 2);
    assert!(done.stdout.contains("cannot start `tidegate-no-such-program`"), "{}", done.stdout);
    assert!(done.stdout.contains("1 ok, 2 failed, 3 retried attempts"), "{}", done.stdout);
}

#[test]
fn a_timeout_ends_the_command_with_its_children() {
    let place = Place::with(
        "timeout",
        "tasks: {slow: {run: 'sleep 1000 & echo $! > ids; echo $$ >> ids; wait', timeout: 300ms}}",
    );
    let done = place.run(&["run", "flow.yaml"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("took longer than 300 ms"), "{}", done.stdout);
    assert!(place.ids("ids", 2).into_iter().all(crate::place::gone));
}

#[test]
fn limits_hold() {
    let place = Place::with(
        "limits",
        r#"
limits: {concurrency: 4}
agents: {one: {concurrency: 1}}
tasks:
  narrow:
    foreach: [1, 2, 3, 4, 5, 6]
    agent: one
    run: mkdir busy && rmdir busy
  wide:
    foreach: [1, 2, 3, 4, 5, 6, 7, 8, 9]
    run: |
      : > wide-{{ item }}
      test $(ls | grep -c '^wide-') -le 4
      rm wide-{{ item }}
"#,
    );
    let done = place.run(&["run", "flow.yaml"]);
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[test]
fn events_are_json_lines_and_secrets_are_not_among_them() {
    let place = Place::with(
        "json",
        r#"
env: {TOKEN: s3cr3t-value}
inputs: {api_key: s3cr3t-input}
tasks:
  use: {run: 'test "$TOKEN" = s3cr3t-value', env: {OTHER: "{{ env.TOKEN }}"}}
  fail: {run: 'echo "$TOKEN and" {{ inputs.api_key }} >&2; false', retry: {attempts: 2, backoff: 1ms}}
  own: {run: 'seq 1000 >&2; echo $PASSWORD >&2; false', env: {PASSWORD: s3cr3t-own}}
  missing: {run: ["{{ env.TOKEN }}"]}
  number: {run: "echo $(( {{ env.TOKEN }} ))"}
  items: {foreach: "{{ ['long before the token: 0123456789 ' ~ env.TOKEN] }}", run: "false"}
"#,
    );
    let done = place.run(&["run", "flow.yaml", "--json"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let events: Vec<serde_json::Value> = done
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect();
    assert_eq!(events[0]["event"], "run_started");
    let last = events.last().expect("events");
    assert_eq!((&last["event"], &last["counts"]["failed"]), (&"run_finished".into(), &5.into()));
    assert!(done.stdout.contains("*** and ***") && done.stdout.contains("cannot start `***`"));
    let run = last["dir"].as_str().expect("a folder");
    let [kept, report] =
        ["events.jsonl", "report.json"].map(|it| place.read(&format!("{run}/{it}")));
    assert!(kept.lines().count() >= events.len() - 1);
    assert!(report.contains("\"failed\": 5"));
    let told = place.run(&["run", "flow.yaml", "--plain"]);
    for text in [&done.stdout, &done.stderr, &kept, &report, &told.stdout, &told.stderr] {
        assert!(!text.contains("s3cr"), "{text}");
    }
}

#[test]
fn a_value_past_the_bound_fails_the_task_that_wants_it() {
    let place = Place::with(
        "capture",
        r#"
limits: {capture: 1 KiB}
tasks:
  big: {run: "seq 1000"}
  want: {needs: big, run: "echo {{ tasks.big.output }}"}
  fine: {needs: big, run: "wc -l < {{ tasks.big.stdout_file }}"}
"#,
    );
    let done = place.run(&["run", "flow.yaml"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("larger than the 1 KiB"), "{}", done.stdout);
    assert!(done.stdout.contains("2 ok, 1 failed"), "{}", done.stdout);
}

#[test]
fn paths_in_templates_hold_in_any_folder() {
    let place = Place::with(
        "cwd",
        r#"
tasks:
  make: {run: "mkdir -p sub; echo hello"}
  read:
    needs: make
    cwd: sub
    run: |
      cat {{ tasks.make.stdout_file }} > read.txt
      test -f {{ workflow.dir }}/flow.yaml
      test -d {{ run.dir }}/tasks
"#,
    );
    let done = place.run(&["run", "./flow.yaml"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(place.read("sub/read.txt"), "hello\n");
}

#[test]
fn an_empty_list_of_items_is_a_task_done() {
    let place = Place::with(
        "empty",
        r#"
tasks:
  none: {run: "true"}
  each: {needs: none, foreach: "{{ tasks.none.lines }}", run: "echo {{ item }}"}
  after: {needs: each, run: "touch after"}
"#,
    );
    let done = place.run(&["run", "flow.yaml"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(place.path.join("after").exists());
}

#[test]
fn a_bad_file_starts_nothing() {
    let place = Place::with("bad", "tasks: {a: {run: touch started}, b: {needs: c, run: echo}}");
    let done = place.run(&["run", "flow.yaml"]);
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(!place.path.join("started").exists() && !place.path.join(".tidegate").exists());
}

#[test]
fn a_missing_or_unknown_input_is_a_usage_error() {
    let place =
        Place::with("inputs", "inputs: {name: }\ntasks: {a: {run: 'echo {{ inputs.name }}'}}");
    let missing = place.run(&["run", "flow.yaml"]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.stderr.contains("-i name="), "{missing:?}");
    let unknown = place.run(&["run", "flow.yaml", "-i", "nmae=x"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("`name`"), "{unknown:?}");
}

#[test]
fn ten_megabytes_of_nested_yaml_end_in_an_error_at_once() {
    let place = Place::with("large", &"[".repeat(10 << 20));
    let started = std::time::Instant::now();
    let done = place.run(&["run", "flow.yaml"]);
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(done.stderr.contains("flow.yaml:1:1") && done.stderr.contains("hint"), "{done:?}");
    assert!(started.elapsed().as_secs() < 5);
    for text in
        ["[".repeat(3 << 20), "- ".repeat(1 << 20), "a: {".repeat(1 << 19), "\"".repeat(3 << 20)]
    {
        let place = Place::with("large", &text);
        let done = place.run(&["validate", "flow.yaml"]);
        assert!(done.code == Some(3) && done.stderr.len() < 2000, "{done:?}");
    }
    assert!(started.elapsed().as_secs() < 30);
}
