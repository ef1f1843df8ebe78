//! `cargo xtask crash`: runs killed by SIGKILL, at every point at which a journal touches its store and at random, and gone on
//! with until they are done. A completion lost, or a finished task run again, is an error.

use crate::shell::{self, cargo};

/// Kills runs this often; 200 times if nothing is said.
pub(crate) fn crash(args: &[&str]) -> Result<(), String> {
    let kills = match args {
        [] => "200",
        ["--kills", kills] if kills.parse::<u32>().is_ok() => kills,
        _ => return Err("crash takes nothing but `--kills N`".to_owned()),
    };
    let test = ["test", "--quiet", "--locked", "-p", "tidegate-workflow", "--test", "crash", "--"];
    shell::run(cargo(&test).args(["--kills", kills]))
}
