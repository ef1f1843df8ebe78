//! The `tidegate` command: runs workflow files.

use std::process::ExitCode;

use clap::Parser as _;

mod args;
mod diagnostic;
mod engine;
mod event;
mod exit;
mod file;
mod history;
mod job;
mod meta;
mod outputs;
mod past;
mod process;
mod progress;
mod recording;
mod resume;
mod run;
mod run_dir;
mod runs;
mod secrets;
mod settings;
mod shell;
mod spans;
mod style;
mod summary;
mod template;
mod validate;
mod watchman;
mod what_if;
mod yaml;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match args.command {
        args::Command::Run(run) => run::run(&run),
        args::Command::Runs(args) => runs::exit_code(runs::list(&args)),
        args::Command::Show(args) => runs::exit_code(runs::show(&args)),
        args::Command::Logs(args) => runs::exit_code(runs::logs(&args)),
        args::Command::Prune(args) => runs::exit_code(runs::prune(&args)),
        args::Command::Resume(args) => resume::resume(&args),
        args::Command::Retry(args) => resume::retry(&args),
        args::Command::WhatIf(args) => runs::exit_code(what_if::what_if(&args)),
        args::Command::Config(args) => settings::exit_code(&args),
        args::Command::Validate(validate) => validate::validate(&validate),
        args::Command::Watch { mark } => watchman::watch(&mark),
    }
}
