//! The `tidegate` command: runs workflow files.

#![expect(dead_code, reason = "the run command, next to come, reads the rest of a workflow")]

use std::process::ExitCode;

use clap::Parser as _;

mod args;
mod diagnostic;
mod exit;
mod file;
mod shell;
mod template;
mod validate;
mod yaml;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match args.command {
        args::Command::Validate(validate) => validate::validate(&validate),
    }
}
