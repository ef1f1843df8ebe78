//! Peers in Python: a process that stays for all rounds.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A script that answers each line with the seconds that it took. It ends with this.
#[derive(Debug)]
pub struct Python {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// Starts the script, by its path within this package, where the interpreter has the module. That is `$PYTHON`; else the
    /// one in `target/python`, if there is one; else `python3`.
    ///
    /// # Panics
    /// When an interpreter that was just there does not start.
    pub fn if_installed(module: &str, script: &str, args: &[&str]) -> Option<Self> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let ours = package.join("../target/python/bin/python3");
        let plain = if ours.exists() { ours.into_os_string() } else { "python3".into() };
        let python = std::env::var_os("PYTHON").unwrap_or(plain);
        let mut import = Command::new(&python);
        let found = import.args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut process = Command::new(&python)
            .arg(package.join(script))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it has just been started");
        let questions = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        Some(Self { process, questions, answers })
    }

    /// How long the script took for what this line asks.
    ///
    /// # Panics
    /// When the script has ended or answers no number.
    pub fn ask(&mut self, question: &str) -> Duration {
        let mut line = String::new();
        let asked =
            writeln!(self.questions, "{question}").and_then(|()| self.answers.read_line(&mut line));
        let seconds = asked.ok().and_then(|_| line.trim().parse().ok());
        Duration::from_secs_f64(seconds.expect("the script answers"))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
