//! What is in force for a run, and where each value came from; `tidegate config` shows it.
//!
//! Defaults, the workflow file, the environment, flags: each counts more than those before it.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tidegate_workflow::config::{
    Configuration, Explained, Explanation, Layers, Origin, Problems, Value, is_secret,
};

use crate::file::{self, Workflow};
use crate::outputs::CAPTURE;
use crate::run::fail;
use crate::validate::report;
use crate::{args, exit, runs};

/// What stands for no limit: more than can run at once.
pub(crate) const NO_LIMIT: usize = 1_000_000;

/// The settings that runs of commands heed; of `agents.*` and `default_agent.*` all but memory.
const HEEDED: &[&str] = &[
    "enabled",
    "sync_mode",
    "max_concurrent_tasks",
    "default_timeout",
    "retry.",
    "agents.",
    "default_agent.",
];

/// What is in force for this file, with so many commands at once if that was asked for.
///
/// # Errors
///
/// Everything that is wrong in the environment.
pub(crate) fn of(
    file: Option<(&Path, &Workflow)>,
    jobs: Option<u32>,
) -> Result<Configuration, Problems> {
    let agents = Value::Count(NO_LIMIT as u64);
    let ours = [("default_agent.max_concurrent_tasks", agents, Origin::Default)];
    let mut layers = Layers::new().values(ours);
    if let Some((path, workflow)) = file {
        layers = layers.values(of_file(path, workflow));
    }
    layers = layers.environment();
    if let Some(jobs) = jobs {
        let flag = Origin::Given("flag --jobs".to_owned());
        layers = layers.set_by(flag, "max_concurrent_tasks", u64::from(jobs));
    }
    layers.load()
}

/// What the file says, under the names of the settings.
fn of_file(path: &Path, workflow: &Workflow) -> Vec<(String, Value, Origin)> {
    let mut values = Vec::new();
    let mut add = |name: &str, value: Value, place: &str| {
        values.push((name.to_owned(), value, origin(path, workflow, place)));
    };
    let count = |count: usize| Value::Count(count as u64);
    if let Some(limit) = workflow.limits.concurrency {
        add("max_concurrent_tasks", count(limit), "limits.concurrency");
    }
    for (name, agent) in &workflow.agents {
        if let Some(limit) = agent.concurrency {
            let place = format!("agents.{name}.concurrency");
            add(&format!("agents.{name}.max_concurrent_tasks"), count(limit), &place);
        }
    }
    if let Some(timeout) = workflow.timeout {
        add("default_timeout", Value::Time(timeout), "defaults.timeout");
    }
    if let Some(retry) = workflow.retry {
        let place = "defaults.retry";
        add("retry.attempts", Value::Count(retry.attempts.into()), place);
        add("retry.first_delay", Value::Time(retry.backoff), place);
        add("retry.factor", Value::Number(retry.factor), place);
        add("retry.max_delay", Value::Time(retry.max), place);
    }
    values
}

fn origin(path: &Path, workflow: &Workflow, place: &str) -> Origin {
    let at = workflow.places.get(place).copied().unwrap_or_default();
    Origin::File { name: path.display().to_string(), line: at.line, column: at.column }
}

/// Shows what is in force; gives the code to exit with.
pub(crate) fn exit_code(args: &args::Config) -> ExitCode {
    match config(args) {
        Ok(done) => runs::exit_code(done),
        Err(code) => code.into(),
    }
}

fn config(args: &args::Config) -> Result<runs::Result<()>, u8> {
    let workflow = match &args.file {
        None => None,
        Some(path) => {
            let (workflow, _) = file::load(path).map_err(|(source, found)| {
                report(&source, &found);
                if path.exists() { exit::INVALID } else { exit::USAGE }
            })?;
            Some((path.as_path(), workflow))
        }
    };
    let file = workflow.as_ref().map(|(path, workflow)| (*path, workflow));
    let configuration =
        of(file, args.given.jobs).map_err(|found| fail(&found.to_string(), exit::USAGE))?;
    let (mut rows, idle): (Vec<Explained>, Vec<Explained>) =
        configuration.explain().0.into_iter().map(tidied).partition(|row| is_heeded(&row.setting));
    rows.extend(further(args, file));
    let idle: Vec<Explained> =
        idle.into_iter().filter(|row| row.origin != Origin::Default).collect();
    Ok(runs::say(|out, style| {
        if args.json {
            return rows.iter().try_for_each(|row| {
                let over = row.over.iter();
                let over = over.map(|(value, by)| json!({"value": value, "from": by.to_string()}));
                let (setting, value, from) = (&row.setting, &row.value, row.origin.to_string());
                let over: Vec<_> = over.collect();
                let line = json!({"setting": setting, "value": value, "from": from, "over": over});
                writeln!(out, "{line}")
            });
        }
        write!(out, "{}", Explanation(rows))?;
        idle.iter().try_for_each(|row| {
            let line = format!("{} has no effect on commands: {}", row.setting, row.origin);
            writeln!(out, "{}", style.faint(&line))
        })
    }))
}

/// A row as people read it: no limit is no number, and a default stands over nothing.
fn tidied(mut row: Explained) -> Explained {
    let no_limit = NO_LIMIT.to_string();
    let word = |value: &mut String| {
        if *value == no_limit {
            "off".clone_into(value);
        }
    };
    word(&mut row.value);
    row.over.iter_mut().for_each(|(value, _)| word(value));
    // Of several defaults only ours holds.
    let is_default = row.origin == Origin::Default;
    let mut seen = is_default;
    row.over.retain(|(_, origin)| {
        let is_first = !(*origin == Origin::Default && seen);
        seen |= *origin == Origin::Default;
        is_first
    });
    row
}

fn is_heeded(setting: &str) -> bool {
    let begins = |of: &&str| setting == *of || of.ends_with('.') && setting.starts_with(*of);
    HEEDED.iter().any(begins) && !setting.ends_with(".memory_mb")
}

/// What only the command knows.
fn further(args: &args::Config, file: Option<(&Path, &Workflow)>) -> Vec<Explained> {
    let given = |by: &str| Origin::Given(by.to_owned());
    let row = |setting: &str, value: String, origin: Origin, over: Vec<(String, Origin)>| {
        Explained { setting: setting.to_owned(), value, origin, over }
    };
    let mut rows = Vec::new();
    if let Some((path, workflow)) = file {
        let mut limit = |setting: &str, value: Option<String>, default: &str| {
            let default = (default.to_owned(), Origin::Default);
            rows.push(match value {
                Some(value) => row(setting, value, origin(path, workflow, setting), vec![default]),
                None => row(setting, default.0, default.1, Vec::new()),
            });
        };
        let time = |time: Duration| Value::Time(time).to_string();
        limit("limits.timeout", workflow.limits.timeout.map(time), "off");
        let bytes = |bytes: u64| format!("{bytes} bytes");
        limit("limits.capture", workflow.limits.capture.map(bytes), &bytes(CAPTURE));
        for (name, default) in &workflow.inputs {
            let shown = |value: &String| match is_secret(name) {
                true => "***".to_owned(),
                false => format!("{value:?}"),
            };
            let of_flag = args.given.inputs.iter().rev().find(|(of, _)| of == name);
            let of_file = default.as_ref().map(|value| {
                let name = path.display().to_string();
                (shown(value), given(&format!("default in {name}")))
            });
            rows.push(match (of_flag, of_file) {
                (Some((_, value)), of_file) => {
                    let over = of_file.into_iter().collect();
                    row(&format!("inputs.{name}"), shown(value), given("flag --input"), over)
                }
                (None, Some((value, origin))) => {
                    row(&format!("inputs.{name}"), value, origin, Vec::new())
                }
                (None, None) => {
                    let missing = given(&format!("must be given: -i {name}=…"));
                    row(&format!("inputs.{name}"), "unset".to_owned(), missing, Vec::new())
                }
            });
        }
    }
    let dir = args.state.state_dir.display().to_string();
    let variable = std::env::var("TIDEGATE_STATE_DIR").ok();
    let default = (".tidegate".to_owned(), Origin::Default);
    rows.push(match variable {
        Some(of) if of == dir => {
            row("state_dir", dir, Origin::Variable("TIDEGATE_STATE_DIR".to_owned()), vec![default])
        }
        None if dir == default.0 => row("state_dir", dir, Origin::Default, Vec::new()),
        variable => {
            let of = variable.map(|of| (of, Origin::Variable("TIDEGATE_STATE_DIR".to_owned())));
            let over = of.into_iter().chain([default]).collect();
            row("state_dir", dir, given("flag --state-dir"), over)
        }
    });
    rows
}
