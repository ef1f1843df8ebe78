//! `cargo xtask crash`: runs killed by SIGKILL, at every point at which a journal touches its store and at random, and gone on
//! with until they are done. A completion lost, or a finished task run again, is an error. So is a result of a cache on the
//! disk that is wrong, damaged or stale after its processes were killed.

use crate::shell::{self, cargo};

/// Kills runs this often, 200 times if nothing is said; also those of the task graphs in a folder.
pub(crate) fn crash(args: &[&str]) -> Result<(), String> {
    let mut given: Vec<String> = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let value = args.next().copied();
        match (*arg, value) {
            ("--kills", Some(kills)) if kills.parse::<u32>().is_ok() => {
                given.splice(0..0, ["--kills".to_owned(), kills.to_owned()]);
            }
            ("--wfinstances" | "--stg", Some(folder)) => {
                let path = std::path::absolute(folder).map_err(|why| format!("{folder}: {why}"))?;
                given.extend([(*arg).to_owned(), path.to_string_lossy().into_owned()]);
            }
            _ => {
                return Err(
                    "crash takes `--kills N`, `--wfinstances DIR` and `--stg DIR`".to_owned()
                );
            }
        }
    }
    let test = ["test", "--quiet", "--locked", "-p", "tidegate-workflow", "--features", "cache"];
    shell::run(cargo(&test).args(["--test", "crash", "--"]).args(given))
}
