//! `tidegate validate`: every error of a file at once.

use std::io::Write as _;
use std::process::ExitCode;

use crate::args::Validate;
use crate::diagnostic::{Diagnostic, Source};
use crate::{exit, file};

/// Checks each file; 3 when one of them is bad, 2 when one is not there.
pub(crate) fn validate(args: &Validate) -> ExitCode {
    let mut code = exit::OK;
    let mut out = std::io::stdout().lock();
    for path in &args.files {
        match file::load(path) {
            Ok((workflow, _)) if !args.quiet => {
                let tasks = match workflow.tasks.len() {
                    1 => "1 task".to_owned(),
                    n => format!("{n} tasks"),
                };
                let _ = writeln!(out, "{}: ok, {tasks}", path.display());
            }
            Ok(_) => {}
            Err((source, found)) => {
                report(&source, &found);
                code = code.max(if path.exists() { exit::INVALID } else { exit::USAGE });
            }
        }
    }
    ExitCode::from(code)
}

/// Most errors shown of one file: a file with thousands has one cause.
const SHOWN: usize = 50;

/// Shows the errors of a file on stderr.
pub(crate) fn report(source: &Source, found: &[Diagnostic]) {
    let mut err = std::io::stderr().lock();
    for diagnostic in found.iter().take(SHOWN) {
        let _ = writeln!(err, "{}", source.show(diagnostic));
    }
    if found.len() > SHOWN {
        let _ = writeln!(err, "… and {} more\n", found.len() - SHOWN);
    }
    let errors = if found.len() == 1 { "1 error" } else { &format!("{} errors", found.len()) };
    let _ = writeln!(err, "{}: {errors}; nothing was started", source.path().display());
}
