//! What the workers of a pool are started with.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::hello::{Hello, Passport, VARIABLE};
use super::limits::Limits;
use super::stdout::Stdout;

/// What every worker of a pool is started with.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) executable: Option<PathBuf>,
    pub(super) env: Vec<(String, String)>,
    pub(super) clear_env: bool,
    pub(super) stdout: Stdout,
    pub(super) limits: Limits,
    pub(super) max_frame: usize,
    pub(super) hello: Hello,
}

impl Spec {
    /// Executable, arguments and environment of a worker.
    pub(super) fn command(&self, passport: &Passport) -> Command {
        // The image that runs now, even when the file of that name was replaced or deleted.
        let executable = self.executable.clone().unwrap_or_else(|| "/proc/self/exe".into());
        let mut command = Command::new(executable);
        if let (None, Some(shown)) = (&self.executable, std::env::args_os().next()) {
            command.arg0(shown);
        }
        // A test executable that forgot `init` takes this for a filter and runs nothing.
        command.arg("tidegate-worker");
        if self.clear_env {
            command.env_clear();
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.env(VARIABLE, passport.to_string()).process_group(0);
        command
    }
}
