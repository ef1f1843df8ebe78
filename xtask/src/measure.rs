//! The measuring programs of the benches: `cargo xtask laws`, `cargo xtask makespan` and the like.

use crate::shell::{self, cargo};

/// Runs one of them with these arguments, from where we were called: a path may be relative.
pub(crate) fn measure(program: &str, feature: &str, args: &[&str]) -> Result<(), String> {
    let manifest = shell::root().join("Cargo.toml");
    let here = std::env::current_dir().map_err(|why| format!("no working folder: {why}"))?;
    let mut command =
        cargo(&["run", "--release", "--quiet", "--locked", "--package", "tidegate-benches"]);
    command.args(["--features", feature, "--bin", program, "--manifest-path"]);
    shell::run(command.arg(manifest).arg("--").args(args).current_dir(here))
}
