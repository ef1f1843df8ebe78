//! Empty jobs through pebble's process pool, in a Python process that stays for all rounds.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::WORKERS;

/// Answers each number of jobs with the seconds they took.
pub(super) struct Pebble {
    process: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Pebble {
    /// Starts it where the interpreter has pebble. That is `$PYTHON`; else the one in `target/python`, if there is one; else `python3`.
    pub(super) fn if_installed() -> Option<Self> {
        let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/python/bin/python3");
        let plain = if Path::new(ours).exists() { ours } else { "python3" };
        let python = std::env::var_os("PYTHON").unwrap_or_else(|| plain.into());
        let mut import = Command::new(&python);
        let found = import.args(["-c", "import pebble"]).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success()).then(|| Self::start(&python))
    }

    fn start(python: &OsStr) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/pools/process/with_pebble.py");
        let mut process = Command::new(python)
            .args([script, &WORKERS.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it has just been started");
        let ask = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, ask, answers }
    }

    pub(super) fn empty_jobs(&mut self, n: u64) -> Duration {
        let mut line = String::new();
        let asked = writeln!(self.ask, "{n}").and_then(|()| self.answers.read_line(&mut line));
        let seconds = asked.ok().and_then(|_| line.trim().parse().ok());
        Duration::from_secs_f64(seconds.expect("pebble answers"))
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
