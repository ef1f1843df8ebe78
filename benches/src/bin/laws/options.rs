//! What the command is asked for.

use std::path::PathBuf;

const USAGE: &str = "\
usage: laws [--scenario FILE]... [--seeds N] [--from N] [--only NAME] [--details]
       laws --random N [--from N] [--only NAME] [--details]
       laws --write [--seeds N] [--random N] [--from N]
       laws --show NUMBER

  --scenario FILE   these instead of the sets in benches/scenarios/ (the format is told in
                    benches/src/bin/laws/scenario.rs)
  --seeds N         so many runs of each, 5 if not given
  --from N          the number of the first run, 0 if not given; the same number is the same run on every machine
  --only NAME       only contenders whose name contains NAME (and the oracle)
  --details         a table for each scenario
  --random N        N scenarios of a random family, one run each: how power is distributed, by law; those from 1000
                    on were never looked at while the law was made
  --write           the published eight and, if asked for, the random family, into benches/RESULTS.md
  --show NUMBER     scenario NUMBER of that family, as a file for --scenario";

/// What was asked for on the command line.
pub(crate) struct Options {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) runs: u64,
    pub(crate) from: u64,
    pub(crate) only: Option<String>,
    pub(crate) details: bool,
    pub(crate) random: Option<u64>,
    pub(crate) show: Option<u64>,
    pub(crate) write: bool,
}

/// Reads them; an error says what would be right.
pub(crate) fn options(args: &[String]) -> Result<Options, String> {
    let mut options = Options {
        files: Vec::new(),
        runs: 5,
        from: 0,
        only: None,
        details: false,
        random: None,
        show: None,
        write: false,
    };
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value =
            || args.next().ok_or_else(|| format!("{flag} wants a value after it\n{USAGE}"));
        match flag.as_str() {
            "--scenario" => options.files.push(value()?.into()),
            "--only" => options.only = Some(value()?.clone()),
            "--from" => {
                let text = value()?;
                options.from = text
                    .parse()
                    .map_err(|_| format!("--from wants a whole number, not `{text}`"))?;
            }
            "--random" | "--show" => {
                let text = value()?;
                let n = text
                    .parse()
                    .map_err(|_| format!("{flag} wants a whole number, not `{text}`"))?;
                if flag == "--show" { options.show = Some(n) } else { options.random = Some(n) }
            }
            "--write" => options.write = true,
            "--details" => options.details = true,
            "--seeds" => {
                let text = value()?;
                options.runs = text
                    .parse()
                    .ok()
                    .filter(|runs| 0 < *runs)
                    .ok_or_else(|| format!("--seeds wants a number above 0, not `{text}`"))?;
            }
            other => return Err(format!("unknown flag `{other}`\n{USAGE}")),
        }
    }
    Ok(options)
}
