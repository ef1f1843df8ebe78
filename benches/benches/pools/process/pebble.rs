//! Empty jobs through pebble's process pool, in a Python process that stays for all rounds.

use std::io::{BufRead as _, BufReader, Write as _};
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
    /// Starts it if the command line has `--pebble`. The interpreter is `$PYTHON`, or `python3`.
    pub(super) fn if_asked() -> Option<Self> {
        std::env::args().any(|arg| arg == "--pebble").then(Self::start)
    }

    fn start() -> Self {
        let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/pools/process/with_pebble.py");
        let mut process = Command::new(&python)
            .args([script, &WORKERS.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|why| panic!("{}: {why}; name another by $PYTHON", python.display()));
        let ask = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, ask, answers }
    }

    pub(super) fn empty_jobs(&mut self, n: u64) -> Duration {
        let mut line = String::new();
        let asked = writeln!(self.ask, "{n}").and_then(|()| self.answers.read_line(&mut line));
        let seconds = asked.ok().and_then(|_| line.trim().parse().ok());
        Duration::from_secs_f64(
            seconds.expect("pebble answers; it is installed by `pip install pebble==5.2.3`"),
        )
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
