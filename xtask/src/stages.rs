//! `cargo xtask test`: the stages that a change must pass, in the order in which they fail fastest.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::crash;
use crate::instructions;
use crate::need::{self, Need};
use crate::shell::{self, cargo};

/// One check: a name, what it needs, the commands.
struct Stage {
    name: &'static str,
    needs: &'static [Need],
    run: fn() -> Result<(), String>,
}

/// The example programs, each of which ends by itself.
const PROGRAMS: [(&str, &str); 6] = [
    ("tidegate-pools", "process_timeout"),
    ("tidegate-workflow", "adaptive"),
    ("tidegate-workflow", "answers"),
    ("tidegate-workflow", "index"),
    ("tidegate-workflow", "processes"),
    ("tidegate-workflow", "service"),
];

const STAGES: [Stage; 10] = [
    Stage {
        name: "format",
        needs: &[],
        run: || shell::run(&mut cargo(&["fmt", "--all", "--check"])),
    },
    Stage { name: "clippy", needs: &[], run: clippy },
    Stage { name: "docs", needs: &[], run: docs },
    Stage { name: "tests", needs: &[], run: tests },
    Stage { name: "loom", needs: &[], run: loom },
    Stage { name: "crash", needs: &[], run: || crash::crash(&["--kills", "200"]) },
    Stage {
        name: "instructions",
        needs: &[Need::Valgrind],
        run: || instructions::instructions(&[]),
    },
    Stage { name: "prometheus", needs: &[Need::Prometheus, Need::Python], run: prometheus },
    Stage { name: "debugger", needs: &[Need::Debugger], run: debugger },
    Stage { name: "examples", needs: &[], run: examples },
];

/// Runs the stages, all of them even when one fails, and says at the end which did.
pub(crate) fn test(args: &[&str]) -> Result<(), String> {
    if args == ["--list"] {
        for Stage { name, needs, .. } in &STAGES {
            let needs = needs.iter().map(Need::to_string).collect::<Vec<_>>().join(", ");
            shell::say(format!("{name:<12} {needs}").trim_end());
        }
        return Ok(());
    }
    let (without, names) = parse(args)?;
    let chosen = STAGES.iter().filter(|stage| names.is_empty() || names.contains(&stage.name));
    let mut lines = Vec::new();
    let mut failed = 0;
    for stage in chosen {
        if let Some(need) = stage.needs.iter().find(|need| without.contains(need)) {
            lines.push(format!("{:<12} left out (--without {need})", stage.name));
            continue;
        }
        shell::say(&format!("\n=== {}", stage.name));
        let start = Instant::now();
        let done =
            stage.needs.iter().try_for_each(|need| need.provide()).and_then(|()| (stage.run)());
        lines.push(summary(stage.name, start.elapsed(), &done));
        failed += usize::from(done.is_err());
    }
    shell::say(&format!("\n=== summary\n{}", lines.join("\n")));
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} stages failed", lines.len())) }
}

/// The tests with their random cases at full count, and ten times as many kills.
pub(crate) fn nightly(args: &[&str]) -> Result<(), String> {
    if let [unknown, ..] = args {
        return Err(format!("nightly takes no `{unknown}`"));
    }
    shell::run(tests_command().env("TIDEGATE_NIGHTLY", "1").arg("--release"))?;
    crash::crash(&["--kills", "2000"])
}

fn parse<'a>(args: &[&'a str]) -> Result<(Vec<Need>, Vec<&'a str>), String> {
    let (mut without, mut names) = (Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if *arg == "--without" {
            let known = || Need::ALL.map(|need| need.to_string()).join(", ");
            let name = args.next().ok_or_else(|| format!("--without needs one of: {}", known()))?;
            let need = Need::ALL.into_iter().find(|need| need.to_string() == *name);
            without.push(need.ok_or_else(|| format!("--without {name}: not one of: {}", known()))?);
        } else if STAGES.iter().any(|stage| stage.name == *arg) {
            names.push(*arg);
        } else {
            let known = STAGES.iter().map(|stage| stage.name).collect::<Vec<_>>().join(", ");
            return Err(format!("unknown stage `{arg}`; the stages are: {known}"));
        }
    }
    Ok((without, names))
}

fn summary(name: &str, took: Duration, done: &Result<(), String>) -> String {
    let verdict = match done {
        Ok(()) => "ok".to_owned(),
        Err(why) => format!("FAILED: {why}"),
    };
    format!("{name:<12} {:>5.0} s  {verdict}", took.as_secs_f64())
}

/// With every feature, and as users build it.
fn clippy() -> Result<(), String> {
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--quiet"];
    let deny = ["--", "-D", "warnings"];
    shell::run(cargo(&clippy).arg("--all-features").args(deny))?;
    shell::run(cargo(&clippy).args(deny))
}

fn docs() -> Result<(), String> {
    let doc = [
        "doc",
        "--workspace",
        "--no-deps",
        "--all-features",
        "--locked",
        "--quiet",
        "--document-private-items",
    ];
    shell::run(cargo(&doc).env("RUSTDOCFLAGS", "-D warnings"))
}

fn tests() -> Result<(), String> {
    shell::run(&mut tests_command())?;
    // What a task of a group takes of memory holds without the feature `tracing`, which all features turn on.
    let memory = ["test", "--locked", "--package", "tidegate-taskgroup", "--test", "memory"];
    shell::run(&mut cargo(&memory))?;
    // The simulator of control laws has tests, and stands on the limiter.
    shell::run(&mut cargo(&[
        "test",
        "--locked",
        "--package",
        "tidegate-benches",
        "--features",
        "limiter",
        "--lib",
        "--bin",
        "laws",
    ]))?;
    // So have the programs that measure the engine.
    shell::run(&mut cargo(&[
        "test",
        "--locked",
        "--package",
        "tidegate-benches",
        "--features",
        "makespan",
        "--bin",
        "metg",
        "--bin",
        "makespan",
        "--bin",
        "claims",
    ]))
}

/// Every feature of ours is on; the benches stay apart, because their features pull in every peer. All that fails is told.
fn tests_command() -> Command {
    let benches = ["--exclude", "tidegate-benches"];
    let mut test = cargo(&["test", "--locked", "--workspace", "--all-features", "--no-fail-fast"]);
    test.args(benches);
    test
}

/// Runs the models of every crate that has a test of the name `loom`.
fn loom() -> Result<(), String> {
    let crates = shell::root().join("crates");
    let folders =
        std::fs::read_dir(&crates).map_err(|why| format!("{}: {why}", crates.display()))?;
    let mut with_models: Vec<String> = folders
        .flatten()
        .filter(|folder| {
            let tests = folder.path().join("tests");
            tests.join("loom.rs").exists() || tests.join("loom/main.rs").exists()
        })
        .map(|folder| format!("tidegate-{}", folder.file_name().display()))
        .collect();
    with_models.sort();
    with_models.iter().try_for_each(|package| {
        let models = [
            "test",
            "--locked",
            "--release",
            "--package",
            package,
            "--test",
            "loom",
            "--target-dir",
            "target/loom",
        ];
        shell::run(cargo(&models).env("RUSTFLAGS", "--cfg loom"))
    })
}

/// What promtool, Python's parsers and a Prometheus server make of our metrics.
fn prometheus() -> Result<(), String> {
    let test = [
        "test",
        "--locked",
        "--package",
        "tidegate-telemetry",
        "--features",
        "http",
        "--test",
        "prometheus",
    ];
    shell::run(cargo(&test).env("PATH", need::path_with_python()))
}

/// Process pools under a debugger, at their parent and within a worker.
fn debugger() -> Result<(), String> {
    let test =
        ["test", "--locked", "--package", "tidegate-pools", "--all-features", "--test", "debugger"];
    shell::run(&mut cargo(&test))
}

/// The workflow files are sound, the one that the README runs leaves its report, and the programs come to their end.
fn examples() -> Result<(), String> {
    shell::run(&mut cargo(&["build", "--quiet", "--locked", "--package", "tidegate-cli"]))?;
    let tidegate = "target/debug/tidegate";
    let audit = "examples/dependency-audit.yaml";
    let report = shell::root().join("target/dependency-audit/report.html");
    // An old report must not pass for a new one; there may be none.
    let _ = std::fs::remove_file(&report);
    shell::run(&mut shell::command(tidegate, &["validate", audit]))?;
    shell::run(&mut shell::command(tidegate, &["run", "--quiet", audit]))?;
    if !report.is_file() {
        return Err(format!("{audit} left no {}", report.display()));
    }
    PROGRAMS.iter().try_for_each(|(package, example)| {
        shell::run(&mut cargo(&[
            "run",
            "--quiet",
            "--locked",
            "--all-features",
            "--package",
            package,
            "--example",
            example,
        ]))
    })
}
