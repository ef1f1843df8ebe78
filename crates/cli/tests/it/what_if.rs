//! Runs replayed under other limits, agents and priorities.

use serde_json::{Value, json};

use crate::place::Place;

const FLOW: &str = r#"
limits: {concurrency: 2}
agents: {site: {concurrency: 1}, mirror: {concurrency: 4}}
tasks:
  list: {run: "printf 'a\nb\nc\nd\n'"}
  page:
    needs: list
    foreach: "{{ tasks.list.lines }}"
    agent: site
    run: echo {{ item }}
  rest: {needs: list, run: "true"}
  end: {needs: [page, rest], run: "true"}
"#;

/// A run of which each page took three seconds, `rest` five, and all else no time.
fn recorded(name: &str) -> Place {
    let place = Place::with(name, FLOW);
    let ran = place.run(&["run", "flow.yaml", "-q"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let path = recording(&place);
    let text = std::fs::read_to_string(&path).expect("a recording");
    let mut kept: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!((&kept["limit"], &kept["agents"]), (&json!(2), &json!({"site": 1, "mirror": 4})));
    for task in kept["recording"]["tasks"].as_array_mut().expect("a list") {
        let secs = match task["id"].as_str().expect("a text") {
            "rest" => 5,
            id if id.starts_with("page[") => 3,
            _ => 0,
        };
        task["busy"] = json!({"secs": secs, "nanos": 0});
    }
    std::fs::write(path, kept.to_string()).expect("it is ours");
    place
}

fn recording(place: &Place) -> std::path::PathBuf {
    let runs = std::fs::read_dir(place.path.join(".tidegate/runs")).expect("a run");
    runs.last().expect("one run").expect("readable").path().join("recording.json")
}

/// The makespans after that of the run itself, in seconds, by the names of their columns.
fn makespans(place: &Place, args: &[&str]) -> Vec<(String, f64)> {
    let args: Vec<&str> = ["what-if", "--json"].into_iter().chain(args.iter().copied()).collect();
    let done = place.run(&args);
    assert_eq!(done.code, Some(0), "{done:?}");
    let told: Value = serde_json::from_str(&done.stdout).expect("it is JSON");
    let columns = told["columns"].as_array().expect("a list");
    assert_eq!(columns[0]["name"], "as it was");
    let column = |of: &Value| {
        let name = of["name"].as_str().expect("a text").to_owned();
        (name, of["makespan_seconds"].as_f64().expect("a number"))
    };
    columns[1..].iter().map(column).collect()
}

#[test]
fn a_run_is_replayed_under_other_limits_agents_and_priorities() {
    let place = recorded("what-if");
    let of = |args: &[&str]| makespans(&place, args);
    let pair = |name: &str, seconds: f64| (name.to_owned(), seconds);
    let replayed = pair("replayed", 12.0);
    assert_eq!(
        of(&["-j", "1,4"]),
        [replayed.clone(), pair("-j 1", 17.0), pair("-j 4", 12.0)],
        "one page at a time, whatever the limit"
    );
    assert_eq!(of(&["--agent", "site=4"]), [replayed.clone(), pair("as asked", 9.0)]);
    assert_eq!(of(&["--agent", "site=off", "--limit", "5"]), [replayed.clone(), pair("-j 5", 5.0)]);
    assert_eq!(of(&["--speed", "site=3"]), [replayed.clone(), pair("as asked", 5.0)]);
    assert_eq!(of(&["--assign", "page=mirror"])[1].1, 9.0);
    // One at a time: the pages wait for `rest`, which is longer, or it for them.
    let waited = |args: &[&str]| {
        let args: Vec<&str> =
            ["what-if", "--json", "-j", "1"].iter().chain(args).copied().collect();
        let told: Value = serde_json::from_str(&place.run(&args).stdout).expect("it is JSON");
        told["columns"][2]["waited_seconds"].as_f64().expect("a number")
    };
    assert_eq!(waited(&[]), 5.0 + 8.0 + 11.0 + 14.0);
    assert_eq!(waited(&["--priority", "page=9"]), 3.0 + 6.0 + 9.0 + 12.0);
    assert_eq!(of(&["--agent", "site=2", "-j", "3"])[1].1, 6.0);
    let names: Vec<String> = of(&[]).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["replayed", "-j 1", "-j 4", "-j 7"]);

    let table = place.run(&["what-if", "-j", "4"]).stdout;
    let rows: Vec<&str> = table.lines().filter_map(|line| line.split("  ").next()).collect();
    for row in ["makespan", "times as fast", "utilisation", "at once", "waited", "site"] {
        assert!(rows.contains(&row), "{row}: {table}");
    }
    assert!(table.contains("as it was") && table.contains("12.000s"), "{table}");
}

#[test]
fn what_cannot_be_replayed_is_told_with_what_would_be_right() {
    let place = recorded("not-replayed");
    for (args, why) in [
        (&["--agent", "sit=2"][..], "the run has no agent `sit`: did you mean `site`?"),
        (&["--agent", "moon=2"], "the run has no agent `moon`: it has mirror, site"),
        (&["--priority", "pag=2"], "the run has no task `pag`: did you mean `page`?"),
        (&["--speed", "site=0"], "`0` is no number above 0"),
        (&["--agent", "site=none"], "`none` is neither a number from 1 nor `off`"),
        (&["--priority", "page=high"], "`high` is no whole number from -1000 to 1000"),
        (&["2099"], "no run begins with `2099`"),
    ] {
        let args: Vec<&str> = ["what-if"].into_iter().chain(args.iter().copied()).collect();
        let done = place.run(&args);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.stderr.contains(why), "{why}: {}", done.stderr);
    }
    std::fs::remove_file(recording(&place)).expect("it is there");
    let done = place.run(&["what-if"]);
    assert!(done.stderr.contains("has no recording"), "{}", done.stderr);
}

#[test]
fn a_run_in_which_nothing_ran_has_nothing_to_replay() {
    let place = Place::with("nothing-ran", "tasks: {a: {run: exit 1}}\n");
    place.run(&["run", "flow.yaml"]);
    assert_eq!(place.run(&["what-if"]).code, Some(0));
    place.run(&["resume"]);
    let nothing = place.run(&["what-if"]);
    assert_eq!(nothing.code, Some(2), "{nothing:?}");
    assert!(nothing.stderr.contains("there is nothing to replay"), "{}", nothing.stderr);
}
