//! The command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

/// Runs workflows of commands: in parallel, bounded, with retries, and a report at the end
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  tidegate validate flow.yaml        every error of the file, with line, column and a hint

Exit codes: 0 all went well, 1 a task failed, 2 usage, 3 invalid workflow file, 130 interrupted.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check workflow files and report every error at once
    Validate(Validate),
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
