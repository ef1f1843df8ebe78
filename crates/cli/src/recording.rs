//! `recording.json` of a run: what `tidegate what-if` replays.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_workflow::Report;
use tidegate_workflow::whatif::{Recording, Settings};

use crate::engine::AGENT;
use crate::run_dir;

/// What commands have for an agent that name none; no agent can be called so.
pub(crate) const NOBODY: &str = "(no agent)";

/// A run that ended, and under which limits it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) limit: usize,
    /// Those of agents that have one.
    pub(crate) agents: BTreeMap<String, usize>,
    pub(crate) recording: Recording,
}

impl Kept {
    /// The agents have their names in the file.
    pub(crate) fn of(report: &Report, limit: usize, agents: BTreeMap<String, usize>) -> Self {
        let mut recording = Recording::of(report);
        let named = |agent: &Arc<str>| Arc::from(agent.strip_prefix(AGENT).unwrap_or(NOBODY));
        for task in &mut recording.tasks {
            task.agent = named(&task.agent);
        }
        let used = std::mem::take(&mut recording.actual.agents);
        recording.actual.agents = used
            .into_iter()
            .map(|(agent, mut used)| {
                let agent = named(&agent);
                used.limit = agents.get(&*agent).copied();
                (agent, used)
            })
            .collect();
        recording.actual.slots = limit;
        Self { limit, agents, recording }
    }

    /// The limits that it was under.
    pub(crate) fn settings(&self) -> Settings {
        let settings = Settings::limit(self.limit);
        self.agents
            .iter()
            .fold(settings, |settings, (name, limit)| settings.agent(name.as_str(), *limit))
    }

    /// # Errors
    ///
    /// The file is not there, or holds something else.
    pub(crate) fn read(dir: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(dir.join("recording.json"))?)?)
    }

    /// # Errors
    ///
    /// The file cannot be written.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        let file = io::BufWriter::new(run_dir::file(&dir.join("recording.json"))?);
        Ok(serde_json::to_writer(file, self)?)
    }
}
