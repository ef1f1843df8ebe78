//! How good are the schedules? Runs the orchestrator under virtual time over public sets of task graphs, and prints how
//! much longer than the optimum, or than a lower bound, each rule of priority took.
//!
//! `cargo run --release -p tidegate-benches --features makespan --bin makespan -- [--stg DIR] [--psplib DIR] [--wfinstances DIR] [--json]`
//!
//! `--stg` takes a folder as the Standard Task Graph set is laid out: `optimal.csv` with lines
//! `graph,processors,makespan`, and the graphs. `--psplib` takes one with `best_known.csv` and the folders `j30`, `j60`,
//! `j120` of its projects, whose jobs take of several resources at once. `--wfinstances` takes a folder of `WfCommons` instances, reduced to
//! `{"tasks": [[name, [parents], seconds, …], …]}`.

#![expect(clippy::print_stderr, reason = "a program that says what is wrong with its arguments")]

mod instance;
mod psplib;
mod rule;
mod schedule;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use instance::{Instance, stg, wfinstances};
use psplib::psplib;
use rule::Rule;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let json = args.iter().any(|arg| arg == "--json");
    let folder = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag)?;
        args.get(at + 1).map(Path::new)
    };
    if ["--stg", "--psplib", "--wfinstances"].into_iter().all(|flag| folder(flag).is_none()) {
        eprintln!("usage: makespan [--stg DIR] [--psplib DIR] [--wfinstances DIR] [--json]");
        return ExitCode::from(2);
    }
    let mut kept = true;
    let mut show = |set: &str,
                    instances: std::io::Result<Vec<Instance>>,
                    rules: &[Rule],
                    targets: &[(Rule, f64)]| {
        match instances {
            Ok(instances) => kept &= report(set, &instances, rules, targets, json),
            Err(why) => {
                eprintln!("makespan: {set}: {why}");
                kept = false;
            }
        }
    };
    if let Some(folder) = folder("--stg") {
        let rules = [Rule::CriticalPath, Rule::Noisy, Rule::Fifo, Rule::Weighted, Rule::Random];
        show("stg", stg(folder), &rules, &[(Rule::CriticalPath, 0.7), (Rule::Noisy, 1.4)]);
    }
    if let Some(folder) = folder("--psplib") {
        let rules = [Rule::CriticalPath, Rule::Noisy, Rule::Fifo, Rule::Weighted, Rule::Random];
        for (size, promise) in [("j30", Some(5.0)), ("j60", None), ("j120", Some(11.0))] {
            let target = promise.map(|promise| (Rule::CriticalPath, promise));
            let targets = target.as_slice();
            show(&format!("psplib-{size}"), psplib(folder, size), &rules, targets);
        }
    }
    if let Some(folder) = folder("--wfinstances") {
        let rules = [Rule::CriticalPath, Rule::ByName, Rule::Fifo, Rule::Weighted, Rule::Random];
        show("wfinstances", wfinstances(folder), &rules, &[]);
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the mean gap of each rule, by processors and over all; answers whether the promises were kept, and ours was never
/// behind first in, first out.
fn report(
    set: &str,
    instances: &[Instance],
    rules: &[Rule],
    targets: &[(Rule, f64)],
    json: bool,
) -> bool {
    let mut kept = true;
    let mut by_rule = BTreeMap::new();
    for rule in rules {
        let mut gaps: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for (at, instance) in instances.iter().enumerate() {
            let took = schedule::makespan(instance, *rule, at as u64);
            gaps.entry(instance.processors)
                .or_default()
                .push(100.0 * (took / instance.bound - 1.0));
        }
        let all: Vec<f64> = gaps.values().flatten().copied().collect();
        let gap = mean(&all);
        by_rule.insert(rule.name(), gap);
        let promise = targets.iter().find(|(of, _)| of == rule).map(|(_, promise)| *promise);
        let met = promise.is_none_or(|promise| gap <= promise);
        kept &= met;
        if json {
            let by: BTreeMap<String, f64> = gaps
                .iter()
                .map(|(processors, gaps)| (processors.to_string(), mean(gaps)))
                .collect();
            let line = serde_json::json!({
                "set": set, "rule": rule.name(), "instances": all.len(), "gap_percent": gap,
                "by_processors": by, "target": promise, "met": met,
            });
            print_line(&line.to_string());
        } else {
            let by =
                gaps.iter().map(|(processors, gaps)| format!("P{processors} {:.2}", mean(gaps)));
            let by = by.collect::<Vec<_>>().join(", ");
            let promise = promise.map_or(String::new(), |promise| {
                format!("  promised {promise:.2} %: {}", if met { "kept" } else { "MISSED" })
            });
            print_line(&format!(
                "{set:<12} {:<28} {gap:6.2} %  ({} schedules; {by}){promise}",
                rule.name(),
                all.len()
            ));
        }
    }
    let fifo = by_rule.get(Rule::Fifo.name()).copied().unwrap_or(f64::INFINITY);
    for rule in [Rule::CriticalPath, Rule::ByName] {
        if by_rule.get(rule.name()).is_some_and(|gap| fifo < *gap) {
            eprintln!("makespan: {set}: {} is behind {}", rule.name(), Rule::Fifo.name());
            kept = false;
        }
    }
    kept
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn print_line(line: &str) {
    // A closed pipe (`| head`) is no reason to panic: the figures that were wanted have been read.
    let _ = writeln!(std::io::stdout(), "{line}");
}
