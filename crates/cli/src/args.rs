//! The command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::file::parse_duration;

/// Runs workflows of commands: in parallel, bounded, with retries, and a report at the end
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  tidegate run flow.yaml             run it; bars on a terminal, lines in a pipe
  tidegate run flow.yaml -i env=prod -j 4
  tidegate run flow.yaml --json      events as JSON lines on stdout
  tidegate runs                      the runs, the newest first
  tidegate show                      what became of the newest
  tidegate logs build                what `build` wrote in it
  tidegate what-if -j 4,8            how long the newest would have taken with other limits
  tidegate config flow.yaml          which settings are in force, and where each came from
  tidegate prune --keep 20           throw old runs away
  tidegate resume                    go on with the last run, after Ctrl-C or a crash
  tidegate retry build               run `build` once more, and what was not done
  tidegate validate flow.yaml        every error of the file, with line, column and a hint

Exit codes: 0 all went well, 1 a task failed, 2 usage, 3 invalid workflow file,
4 the run took too long, 74 its files cannot be written, 129/130/143 ended by a signal.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a workflow file
    Run(Run),
    /// List the runs, the newest first
    Runs(Runs),
    /// Show what became of a run, or how far it is
    Show(Show),
    /// Show what the tasks of a run wrote
    Logs(Logs),
    /// Replay a run under other limits, agents or priorities, in no time
    WhatIf(WhatIf),
    /// Show which settings are in force, and where each came from
    Config(Config),
    /// Remove the files of old runs
    Prune(Prune),
    /// Go on with a run that was interrupted or killed: what is done is not done again
    Resume(Resume),
    /// Run failed tasks once more, or those that are named
    Retry(Retry),
    /// Check workflow files and report every error at once
    Validate(Validate),
    /// Waits for its caller to go, and ends the commands that it left
    #[command(hide = true)]
    Watch { mark: String },
}

/// Check workflow files and report every error at once.
#[derive(Debug, ClapArgs)]
pub(crate) struct Validate {
    /// Workflow files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Say nothing when all is well
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Run a workflow file.
#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// Workflow file
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) given: Given,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// What of a workflow is given from outside.
#[derive(Debug, ClapArgs)]
pub(crate) struct Given {
    /// Give an input of the workflow a value; may be repeated
    #[arg(short, long = "input", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) inputs: Vec<(String, String)>,
    /// Most commands at once, whatever the file says
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) jobs: Option<u32>,
}

/// Go on with a run.
#[derive(Debug, ClapArgs)]
pub(crate) struct Resume {
    /// The run, by its id or the beginning of it; the newest if none is named
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) going_on: GoingOn,
}

/// How a run goes on.
#[derive(Debug, ClapArgs)]
pub(crate) struct GoingOn {
    /// Go on although tasks of the file have changed: what is done stays as it is
    #[arg(long)]
    pub(crate) accept_changes: bool,
    /// Run this task again; for one whose outcome is unknown, or that is done
    #[arg(long, value_name = "TASK")]
    pub(crate) again: Vec<String>,
    /// Take this task as failed; for one whose outcome is unknown
    #[arg(long, value_name = "TASK")]
    pub(crate) failed: Vec<String>,
    #[command(flatten)]
    pub(crate) given: Given,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// Run tasks once more.
#[derive(Debug, ClapArgs)]
pub(crate) struct Retry {
    /// The tasks, an item as `audit[7]`; all that failed if none is named
    #[arg(value_name = "TASK")]
    pub(crate) tasks: Vec<String>,
    /// The run, by its id or the beginning of it; the newest if none is named
    #[arg(short, long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// And every task that needs them
    #[arg(long)]
    pub(crate) downstream: bool,
    #[command(flatten)]
    pub(crate) going_on: GoingOn,
}

/// How a run is shown, and where it is kept.
#[derive(Debug, ClapArgs)]
pub(crate) struct Shown {
    /// Events as JSON lines on stdout, instead of progress and summary
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// Plain lines also on a terminal
    #[arg(long, conflicts_with_all = ["quiet", "json"])]
    pub(crate) plain: bool,
    /// Only failures
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Send spans to a collector by OTLP, as http://localhost:4318; OTEL_EXPORTER_OTLP_ENDPOINT does so too
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<String>,
    #[command(flatten)]
    pub(crate) state: StateDir,
}

/// List the runs, the newest first.
#[derive(Debug, ClapArgs)]
pub(crate) struct Runs {
    /// Only so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub(crate) last: usize,
    /// A JSON object for each run
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) state: StateDir,
}

/// Show what became of a run, or how far it is.
#[derive(Debug, ClapArgs)]
pub(crate) struct Show {
    /// The run, by its id or the beginning of it; the newest if none is named
    pub(crate) run: Option<String>,
    /// As one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) state: StateDir,
}

/// Show what the tasks of a run wrote.
#[derive(Debug, ClapArgs)]
pub(crate) struct Logs {
    /// The tasks, an item as `audit[7]`; all of them if none is named
    #[arg(value_name = "TASK")]
    pub(crate) tasks: Vec<String>,
    /// The run, by its id or the beginning of it; the newest if none is named
    #[arg(short, long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// The attempt, counted from 1; the last if none is named
    #[arg(short, long, value_name = "N")]
    pub(crate) attempt: Option<u32>,
    #[command(flatten)]
    pub(crate) state: StateDir,
}

/// Remove the files of old runs: of those that are finished, unless more is said.
#[derive(Debug, ClapArgs)]
pub(crate) struct Prune {
    /// Only runs beyond the newest N
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<usize>,
    /// Only runs that ended longer ago, as `30d` or `12h`
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    pub(crate) older_than: Option<std::time::Duration>,
    /// Also runs that were killed or interrupted, with which `resume` could go on
    #[arg(long)]
    pub(crate) unfinished: bool,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) state: StateDir,
}

/// Replay a run under other limits, agents or priorities, in no time.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Each task takes as long as it took; what starts when is decided anew, by the scheduler's own rules.
What is not named stays as it was. Without any flag, some other numbers of commands at once are tried.

Examples:
  tidegate what-if -j 4,8                        a column for each
  tidegate what-if --agent registry=8            if it bore eight at once
  tidegate what-if --priority publish=5 --speed registry=2
  tidegate what-if --assign fetch=mirror --agent mirror=4"
)]
pub(crate) struct WhatIf {
    /// The run, by its id or the beginning of it; the newest if none is named
    pub(crate) run: Option<String>,
    /// Commands at once; several numbers give a column each
    #[arg(short, long, visible_alias = "limit", value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) jobs: Vec<u32>,
    /// Commands of an agent at once, `off` for no limit; may be repeated, as all that follow
    #[arg(long = "agent", value_name = "AGENT=N", value_parser = agent_limit)]
    pub(crate) agents: Vec<(String, Option<usize>)>,
    /// An agent so many times as fast
    #[arg(long = "speed", value_name = "AGENT=X", value_parser = speed)]
    pub(crate) speeds: Vec<(String, f64)>,
    /// Another priority for a task, or all items of it
    #[arg(long = "priority", value_name = "TASK=N", value_parser = priority, allow_hyphen_values = true)]
    pub(crate) priorities: Vec<(String, i32)>,
    /// Another agent for a task, or all items of it
    #[arg(long = "assign", value_name = "TASK=AGENT", value_parser = pair)]
    pub(crate) assigned: Vec<(String, String)>,
    /// As one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) state: StateDir,
}

/// Show which settings are in force, and where each came from.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "A flag counts more than the environment, the environment more than the workflow file, the file more than defaults.

Examples:
  tidegate config flow.yaml -j 4
  TIDEGATE_MAX_CONCURRENT_TASKS=2 TIDEGATE_RETRY__ATTEMPTS=3 tidegate config flow.yaml"
)]
pub(crate) struct Config {
    /// Workflow file; without one, what holds for any
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) given: Given,
    /// A JSON object for each setting
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) state: StateDir,
}

/// Where runs keep their files.
#[derive(Debug, ClapArgs)]
pub(crate) struct StateDir {
    /// Folder in which runs keep their files
    #[arg(long, value_name = "DIR", default_value = ".tidegate", env = "TIDEGATE_STATE_DIR")]
    pub(crate) state_dir: PathBuf,
}

fn agent_limit(text: &str) -> Result<(String, Option<usize>), String> {
    let (agent, limit) = pair(text)?;
    match limit.as_str() {
        "off" => Ok((agent, None)),
        _ => match limit.parse() {
            Ok(limit) if limit > 0 => Ok((agent, Some(limit))),
            _ => Err(format!("`{limit}` is neither a number from 1 nor `off`")),
        },
    }
}

fn speed(text: &str) -> Result<(String, f64), String> {
    let (agent, factor) = pair(text)?;
    match factor.parse() {
        Ok(factor) if f64::is_finite(factor) && factor > 0.0 => Ok((agent, factor)),
        _ => Err(format!("`{factor}` is no number above 0")),
    }
}

fn priority(text: &str) -> Result<(String, i32), String> {
    let (task, priority) = pair(text)?;
    match priority.parse() {
        Ok(priority) if (-1000..=1000).contains(&priority) => Ok((task, priority)),
        _ => Err(format!("`{priority}` is no whole number from -1000 to 1000")),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}
