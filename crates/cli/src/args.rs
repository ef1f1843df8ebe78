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
    /// Remove the files of finished runs
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

/// Remove the files of finished runs.
#[derive(Debug, ClapArgs)]
pub(crate) struct Prune {
    /// Only runs beyond the newest N
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<usize>,
    /// Only runs that ended longer ago, as `30d` or `12h`
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    pub(crate) older_than: Option<std::time::Duration>,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
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

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}
