//! Control laws in virtual time, beside an oracle that knows the best limit: `cargo xtask laws`.
//!
//! Everything is simulated by discrete events, so that a minute takes milliseconds and the same start gives the same
//! figures on every machine. The laws are the very code of `tidegate-limiter`, fed by its own `Meter`.

#![expect(clippy::print_stderr, reason = "a command says what is wrong")]

mod chance;
mod contender;
mod draw;
mod family;
mod options;
mod random;
mod report;
mod results;
mod scenario;
mod score;
mod simulation;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use contender::Contender;
use options::options;
use report::report;
use scenario::Scenario;

/// Folders of scenarios, and what they are.
const SETS: [(&str, &str); 3] = [
    ("published", "the eight published scenarios"),
    ("variants", "variants of them, known when the law was tuned"),
    ("held-back", "scenarios that no constant was fitted to, looked at while the law was chosen"),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match laws(&args, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("laws: {why}");
            ExitCode::FAILURE
        }
    }
}

fn laws(args: &[String], out: &mut impl Write) -> io::Result<()> {
    let options = options(args).map_err(io::Error::other)?;
    let wanted = |contender: &&Contender| {
        let only = options.only.as_deref();
        contender.name == "oracle" || only.is_none_or(|only| contender.name.contains(only))
    };
    let contenders: Vec<Contender> = Contender::ALL.iter().filter(wanted).copied().collect();
    if let Some(number) = options.show {
        return write!(out, "{}", random::text(number));
    }
    if options.write {
        let mut printed = Vec::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let (folder, title) = SETS[0];
        report(&mut printed, title, &read_all(&root.join(folder))?, &contenders, &options)?;
        if let Some(count) = options.random {
            let numbers = options.from..options.from.saturating_add(count);
            family::report(&mut printed, numbers, &contenders, false)?;
        }
        let command = format!("cargo xtask laws {}", args.join(" "));
        results::write(&command, &String::from_utf8_lossy(&printed))?;
        return out.write_all(&printed);
    }
    if let Some(count) = options.random {
        let numbers = options.from..options.from.saturating_add(count);
        return family::report(out, numbers, &contenders, options.details);
    }
    if options.files.is_empty() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        SETS.iter().try_for_each(|(folder, title)| {
            report(out, title, &read_all(&root.join(folder))?, &contenders, &options)
        })
    } else {
        let scenarios =
            options.files.iter().map(|file| read(file)).collect::<io::Result<Vec<_>>>()?;
        report(out, "scenarios given", &scenarios, &contenders, &options)
    }
}

/// An error that says in which file.
fn in_file(file: &Path, why: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {why}", file.display()))
}

fn read(file: &Path) -> io::Result<Scenario> {
    let text = fs::read_to_string(file).map_err(|why| in_file(file, why))?;
    let mut scenario = Scenario::parse(&text).map_err(|why| in_file(file, why))?;
    if scenario.name.is_empty() {
        scenario.name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    }
    Ok(scenario)
}

fn read_all(folder: &Path) -> io::Result<Vec<Scenario>> {
    let entries = fs::read_dir(folder).map_err(|why| in_file(folder, why))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files.iter().map(|file| read(file)).collect()
}
