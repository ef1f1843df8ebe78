//! `cargo xtask instructions`: how many instructions an uncontended acquire-and-release pair takes, counted by callgrind.
//! A count is the one figure that a busy machine cannot disturb, and therefore a gate.

use crate::shell::{self, cargo};

/// Ours may take this many.
const AT_MOST: u64 = 90;

/// Enough that what happens once does not show.
const PAIRS: u64 = 100_000;

/// Counts ours and the peers; too many of ours is an error.
pub(crate) fn instructions(args: &[&str]) -> Result<(), String> {
    if let [unknown, ..] = args {
        return Err(format!("instructions takes no `{unknown}`"));
    }
    shell::run(&mut cargo(&[
        "build",
        "--quiet",
        "--locked",
        "--release",
        "-p",
        "tidegate-benches",
        "--features",
        "limiter",
        "--bin",
        "instructions",
    ]))?;
    shell::say("instructions an acquire-and-release pair, nobody else asking:");
    let mut ours = 0;
    for name in ["limiter", "tokio", "asyncband", "async-lock"] {
        let pairs = collected(name, PAIRS)?.saturating_sub(collected(name, 0)?) / PAIRS;
        shell::say(&format!("  {name:<12} {pairs:>5}"));
        if name == "limiter" {
            ours = pairs;
        }
    }
    if (1..=AT_MOST).contains(&ours) {
        Ok(())
    } else {
        Err(format!("ours takes {ours} instructions a pair, at most {AT_MOST} are promised"))
    }
}

/// What callgrind counts for the whole run of a process.
fn collected(name: &str, pairs: u64) -> Result<u64, String> {
    let program = shell::root().join("target/release/instructions");
    let mut command =
        shell::command("valgrind", &["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(program).args([name, &pairs.to_string()]);
    let shown = shell::show(&command);
    let output = command.output().map_err(|why| format!("`{shown}` did not start: {why}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("`{shown}` failed: {}\n{said}", output.status));
    }
    let count = said.lines().find_map(|line| line.split("Collected :").nth(1));
    count
        .and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| format!("`{shown}` did not say what it collected:\n{said}"))
}
