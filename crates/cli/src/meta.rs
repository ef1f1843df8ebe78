//! `meta.json` of a run: what another process needs to go on with it. The values of secrets are not in it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_workflow::config::is_secret;

use crate::run_dir;
use crate::secrets::Secrets;

/// How a run was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// The version of the command.
    pub(crate) tidegate: String,
    /// The workflow file, absolute.
    pub(crate) file: PathBuf,
    /// The folder in which it was started.
    pub(crate) cwd: PathBuf,
    /// The inputs that may be kept.
    pub(crate) inputs: Vec<(String, String)>,
    /// The inputs that are secrets: whoever goes on gives them again.
    pub(crate) secret_inputs: Vec<String>,
    /// Most commands at once, if that was said.
    pub(crate) jobs: Option<u32>,
}

impl Meta {
    pub(crate) fn new(
        file: &Path,
        cwd: &Path,
        inputs: &[(String, String)],
        jobs: Option<u32>,
    ) -> Self {
        let secrets = Secrets::ours();
        let hidden = |(name, value): &&(String, String)| is_secret(name) || secrets.stand_in(value);
        Self {
            tidegate: env!("CARGO_PKG_VERSION").to_owned(),
            file: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
            cwd: cwd.to_owned(),
            inputs: inputs.iter().filter(|input| !hidden(input)).cloned().collect(),
            secret_inputs: inputs.iter().filter(hidden).map(|(name, _)| name.clone()).collect(),
            jobs,
        }
    }

    /// # Errors
    ///
    /// The file is not there, or holds something else.
    pub(crate) fn read(dir: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(dir.join("meta.json"))?)?)
    }

    /// # Errors
    ///
    /// The file cannot be written.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        run_dir::file(&dir.join("meta.json"))?.write_all(&text)
    }
}
