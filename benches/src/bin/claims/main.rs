//! What other orchestrators have claimed of themselves, on work of the same shape: one after another, by Tidegate, and what
//! would be ideal. `cargo run --release -p tidegate-benches --features engine --bin claims -- [--rounds N] [--json] [FILTER]`
//!
//! The work is real: tasks that compute do so on the pools, tasks that wait do so on the runtime's timer, as calls to a model
//! do. One after another is a plain loop without an orchestrator. Each round measures the loop, ours and, where threads
//! compute, bare threads, one right after another; figures are medians over rounds. The ideal is what the graph and the
//! limits allow if nothing costs anything: the longest chain, or all work over all slots; for computations it is what bare
//! threads reach on this machine, which other programs may keep from being what its processors promise.

mod assistant;
mod compute;
mod items;
mod requests;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Runtime;

const USAGE: &str = "usage: claims [--rounds N] [--json] [FILTER]";

/// A claim, and what was measured of it.
struct Claim {
    id: &'static str,
    what: &'static str,
    unit: &'static str,
    /// In `unit`: as claimed, ours one after another, ours, and at best.
    claimed: f64,
    sequential: f64,
    ours: f64,
    ideal: f64,
    /// Whether less is better.
    less: bool,
}

impl Claim {
    fn is_met(&self) -> bool {
        if self.less { self.ours <= self.claimed } else { self.claimed <= self.ours }
    }

    /// What the machine does not allow right now nobody can reach.
    fn is_possible(&self) -> bool {
        if self.less { self.ideal <= self.claimed } else { self.claimed <= self.ideal }
    }

    fn verdict(&self) -> &'static str {
        match (self.is_met(), self.is_possible()) {
            (true, _) => "beaten",
            (false, true) => "MISSED",
            (false, false) => "not possible on this machine as it is",
        }
    }
}

fn main() -> ExitCode {
    let (rounds, json, filter) = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "claims: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .expect("a runtime starts");
    if !json {
        say(&format!(
            "{:<16} {:<62} {:>9} {:>11} {:>9} {:>9}",
            "workload", "figure", "claimed", "one by one", "ours", "ideal"
        ));
    }
    let mut kept = true;
    type Measure = fn(&Runtime, usize) -> Vec<Claim>;
    let workloads: [(&str, Measure); 4] = [
        ("assistant", assistant::measure),
        ("compute", compute::measure),
        ("items", items::measure),
        ("requests", requests::measure),
    ];
    for (name, measure) in workloads {
        if !name.contains(&filter) {
            continue;
        }
        for claim in measure(&runtime, rounds) {
            kept &= claim.is_met() || !claim.is_possible();
            show(name, &claim, json);
        }
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<(usize, bool, String), String> {
    let (mut rounds, mut json, mut filter) = (3, false, String::new());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => {
                let given = args.next().and_then(|rounds| rounds.parse().ok());
                rounds = given.filter(|rounds| *rounds > 0).ok_or("--rounds needs a number")?;
            }
            "--json" => json = true,
            flag if flag.starts_with('-') => return Err(format!("unknown flag `{flag}`")),
            word => filter = word.to_owned(),
        }
    }
    Ok((rounds, json, filter))
}

fn show(workload: &str, claim: &Claim, json: bool) {
    let Claim { id, what, unit, claimed, sequential, ours, ideal, .. } = claim;
    if json {
        let line = serde_json::json!({
            "workload": workload, "id": id, "figure": what, "unit": unit, "claimed": claimed,
            "sequential": sequential, "ours": ours, "ideal": ideal, "verdict": claim.verdict(),
        });
        return say(&line.to_string());
    }
    let number = |of: &f64| format!("{of:.2}{unit}");
    say(&format!(
        "{workload:<16} {what:<62} {:>9} {:>11} {:>9} {:>9}  {}",
        number(claimed),
        number(sequential),
        number(ours),
        number(ideal),
        claim.verdict()
    ));
}

/// The median of so many measurements.
fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn say(line: &str) {
    // A closed pipe (`| head`) is no reason to panic: the figures that were wanted have been read.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(claimed: f64, ours: f64, ideal: f64, less: bool) -> Claim {
        Claim { id: "", what: "", unit: "", claimed, sequential: 0.0, ours, ideal, less }
    }

    #[test]
    fn a_claim_is_beaten_missed_or_out_of_reach() {
        assert_eq!(claim(1.76, 1.9, 2.0, false).verdict(), "beaten");
        assert_eq!(claim(1.76, 1.7, 2.0, false).verdict(), "MISSED");
        assert_eq!(claim(1.76, 1.2, 1.3, false).verdict(), "not possible on this machine as it is");
        assert_eq!(claim(0.8, 0.7, 0.6, true).verdict(), "beaten");
        assert_eq!(claim(0.8, 0.9, 0.6, true).verdict(), "MISSED");
    }

    #[test]
    fn one_slow_round_does_not_move_the_median() {
        assert_eq!(median(vec![1.0, 9.0, 2.0]), 2.0);
    }
}
