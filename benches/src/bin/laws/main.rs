//! Control laws in virtual time, beside an oracle that knows the best limit: `cargo xtask laws`.
//!
//! Everything is simulated by discrete events, so that a minute takes milliseconds and the same start gives the same
//! figures on every machine. The laws are the very code of `tidegate-limiter`, fed by its own `Meter`.

#![expect(clippy::print_stderr, reason = "a command says what is wrong")]

mod chance;
mod contender;
mod draw;
mod family;
mod random;
mod results;
mod scenario;
mod score;
mod simulation;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use contender::Contender;
use scenario::Scenario;
use score::Score;
use simulation::Trace;

/// Folders of scenarios, and what they are.
const SETS: [(&str, &str); 3] = [
    ("published", "the eight published scenarios"),
    ("variants", "variants of them, known when the law was tuned"),
    ("held-back", "scenarios that no constant was fitted to, looked at while the law was chosen"),
];

const USAGE: &str = "\
usage: laws [--scenario FILE]... [--seeds N] [--from N] [--only NAME] [--details]
       laws --random N [--from N] [--only NAME] [--details]
       laws --write [--seeds N] [--random N] [--from N]
       laws --show NUMBER

  --scenario FILE   these instead of the sets in benches/scenarios/ (the format is told in
                    benches/src/bin/laws/scenario.rs)
  --seeds N         so many runs of each, 5 if not given
  --from N          the number of the first run, 0 if not given; the same number is the same run on every machine
  --only NAME       only contenders whose name contains NAME (and the oracle)
  --details         a table for each scenario
  --random N        N scenarios of a random family, one run each: how power is distributed, by law; those from 1000
                    on were never looked at while the law was made
  --write           the published eight and, if asked for, the random family, into benches/RESULTS.md
  --show NUMBER     scenario NUMBER of that family, as a file for --scenario";

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

struct Options {
    files: Vec<PathBuf>,
    runs: u64,
    from: u64,
    only: Option<String>,
    details: bool,
    random: Option<u64>,
    show: Option<u64>,
    write: bool,
}

fn options(args: &[String]) -> Result<Options, String> {
    let mut options = Options {
        files: Vec::new(),
        runs: 5,
        from: 0,
        only: None,
        details: false,
        random: None,
        show: None,
        write: false,
    };
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let mut value =
            || args.next().ok_or_else(|| format!("{flag} wants a value after it\n{USAGE}"));
        match flag.as_str() {
            "--scenario" => options.files.push(value()?.into()),
            "--only" => options.only = Some(value()?.clone()),
            "--from" => {
                let text = value()?;
                options.from = text
                    .parse()
                    .map_err(|_| format!("--from wants a whole number, not `{text}`"))?;
            }
            "--random" | "--show" => {
                let text = value()?;
                let n = text
                    .parse()
                    .map_err(|_| format!("{flag} wants a whole number, not `{text}`"))?;
                if flag == "--show" { options.show = Some(n) } else { options.random = Some(n) }
            }
            "--write" => options.write = true,
            "--details" => options.details = true,
            "--seeds" => {
                let text = value()?;
                options.runs = text
                    .parse()
                    .ok()
                    .filter(|runs| 0 < *runs)
                    .ok_or_else(|| format!("--seeds wants a number above 0, not `{text}`"))?;
            }
            other => return Err(format!("unknown flag `{other}`\n{USAGE}")),
        }
    }
    Ok(options)
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

/// All runs of one contender in one scenario; the first trace is kept for drawing.
fn runs(scenario: &Scenario, contender: &Contender, numbers: Range<u64>) -> (Score, Trace) {
    let mut scores = Vec::new();
    let mut first = None;
    for start in numbers {
        let trace = simulation::run(scenario, contender, start);
        scores.push(Score::of(scenario, &trace));
        first.get_or_insert(trace);
    }
    (Score::mean(&scores), first.unwrap_or_default())
}

fn report(
    out: &mut impl Write,
    title: &str,
    scenarios: &[Scenario],
    contenders: &[Contender],
    options: &Options,
) -> io::Result<()> {
    writeln!(out, "\n# {title}, {} runs each\n", options.runs)?;
    let numbers = options.from..options.from.saturating_add(options.runs);
    let results: Vec<Vec<(Score, Trace)>> = thread::scope(|scope| {
        let running: Vec<_> = scenarios
            .iter()
            .map(|scenario| {
                let numbers = &numbers;
                scope.spawn(move || {
                    contenders.iter().map(|c| runs(scenario, c, numbers.clone())).collect()
                })
            })
            .collect();
        running.into_iter().map(|run| run.join().expect("a simulation does not panic")).collect()
    });
    if options.details {
        for (scenario, scores) in scenarios.iter().zip(&results) {
            writeln!(out, "## {}\n", scenario.name)?;
            writeln!(
                out,
                "| law | power | utilisation | inflation | p99 | after falls, s | after rises, s | variation |"
            )?;
            writeln!(out, "|---|---|---|---|---|---|---|---|")?;
            for (contender, (score, _)) in contenders.iter().zip(scores) {
                writeln!(
                    out,
                    "| {} | {:.3} | {:.3} | {:.2} | {:.2} | {} | {} | {:.2} |",
                    contender.name,
                    score.power,
                    score.utilisation,
                    score.inflation,
                    score.p99,
                    times(&score.falls),
                    times(&score.rises),
                    score.variation
                )?;
            }
            writeln!(out)?;
        }
    }
    summary(out, scenarios, contenders, &results)?;
    draw(scenarios, contenders, &results)?;
    writeln!(out, "\nlimits over time: target/laws/*.svg")
}

fn summary(
    out: &mut impl Write,
    scenarios: &[Scenario],
    contenders: &[Contender],
    results: &[Vec<(Score, Trace)>],
) -> io::Result<()> {
    let numbers: Vec<String> = (1..=scenarios.len()).map(|number| number.to_string()).collect();
    writeln!(
        out,
        "| law | mean power | with a queue | worst | utilisation | inflation | p99 | falls settled ≤ 1 s | rises settled | variation | {} |",
        numbers.join(" | ")
    )?;
    writeln!(out, "|{}", "---|".repeat(10 + scenarios.len()))?;
    for (at, contender) in contenders.iter().enumerate() {
        let scores: Vec<&Score> = results.iter().map(|row| &row[at].0).collect();
        let mean = |of: fn(&Score) -> f64| {
            scores.iter().map(|score| of(score)).sum::<f64>() / scores.len() as f64
        };
        let queues: Vec<f64> = scenarios
            .iter()
            .zip(&scores)
            .filter(|(scenario, _)| scenario.backend == scenario::Backend::Fcfs)
            .map(|(_, score)| score.power)
            .collect();
        let falls: Vec<f64> = scores.iter().flat_map(|score| score.falls.clone()).collect();
        let rises: Vec<f64> = scores.iter().flat_map(|score| score.rises.clone()).collect();
        let worst = scores.iter().map(|score| score.power).fold(f64::INFINITY, f64::min);
        let each: Vec<String> = scores.iter().map(|score| format!("{:.2}", score.power)).collect();
        writeln!(
            out,
            "| {} | {:.3} | {:.3} | {worst:.2} | {:.2} | {:.2} | {:.2} | {}/{} | {}/{} | {:.2} | {} |",
            contender.name,
            mean(|score| score.power),
            queues.iter().sum::<f64>() / queues.len() as f64,
            mean(|score| score.utilisation),
            mean(|score| score.inflation),
            mean(|score| score.p99),
            falls.iter().filter(|time| **time <= 1.0).count(),
            falls.len(),
            rises.iter().filter(|time| time.is_finite()).count(),
            rises.len(),
            mean(|score| score.variation),
            each.join(" | ")
        )?;
    }
    for (number, scenario) in scenarios.iter().enumerate() {
        writeln!(out, "{}{}: {}", if number == 0 { "\n" } else { "" }, number + 1, scenario.name)?;
    }
    Ok(())
}

fn times(times: &[f64]) -> String {
    let words: Vec<String> = times
        .iter()
        .map(|time| if time.is_finite() { format!("{time:.1}") } else { "never".to_owned() })
        .collect();
    if words.is_empty() { "–".to_owned() } else { words.join(", ") }
}

fn draw(
    scenarios: &[Scenario],
    contenders: &[Contender],
    results: &[Vec<(Score, Trace)>],
) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/laws");
    let failed = |why| in_file(&folder, why);
    fs::create_dir_all(&folder).map_err(failed)?;
    let shown = ["Knee", "Knee, wait told", "Vegas, 1 s windows", "Gradient2", "Envoy"];
    for (scenario, row) in scenarios.iter().zip(results) {
        let traces: Vec<(&str, &Trace)> = contenders
            .iter()
            .zip(row)
            .filter(|(contender, _)| shown.contains(&contender.name))
            .map(|(contender, (_, trace))| (contender.name, trace))
            .collect();
        let name: String = scenario
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        fs::write(folder.join(format!("{name}.svg")), draw::svg(scenario, &traces))
            .map_err(failed)?;
    }
    Ok(())
}
