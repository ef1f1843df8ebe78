//! `cargo xtask laws`: the simulator of control laws, which is a binary of the benches.

use crate::shell::{self, cargo};

/// Runs it with these arguments, from where we were called: a scenario's path may be relative.
pub(crate) fn laws(args: &[&str]) -> Result<(), String> {
    let manifest = shell::root().join("Cargo.toml");
    let here = std::env::current_dir().map_err(|why| format!("no working folder: {why}"))?;
    let mut command = cargo(&["run", "--release", "--quiet", "--features", "limiter"]);
    command.args(["--package", "tidegate-benches", "--bin", "laws", "--manifest-path"]);
    shell::run(command.arg(manifest).arg("--").args(args).current_dir(here))
}
