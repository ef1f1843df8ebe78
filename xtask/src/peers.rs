//! `cargo xtask peers`: the benches, their table, and `benches/RESULTS.md`.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::need;
use crate::shell::{self, cargo};

/// The crates that have benches, which are also the features of `tidegate-benches`.
const CRATES: [&str; 5] = ["limiter", "telemetry", "taskgroup", "pools", "workflow"];

/// What was asked for on the command line.
#[derive(Debug, Default)]
struct Options {
    names: Vec<&'static str>,
    filter: Option<String>,
    quick: bool,
    json: bool,
    write: bool,
    python: bool,
    durare: bool,
}

/// Runs the benches of one crate or of all.
pub(crate) fn peers(args: &[&str]) -> Result<(), String> {
    let options = parse(args)?;
    if options.python {
        need::python_peers()?;
    }
    let mut sections = Vec::new();
    for name in &options.names {
        let rows = measure(name, &options)?;
        sections.push((*name, rows));
    }
    if options.durare {
        durare()?;
    }
    if options.write { write_results(&sections, &options) } else { Ok(()) }
}

/// Beside durare, which has a workspace of its own: it brings 236 packages and SQLite, for which nothing else of ours is to
/// wait. What it prints goes into `benches/RESULTS.md` by hand, under other measurements.
fn durare() -> Result<(), String> {
    let build = ["run", "--quiet", "--release", "--locked", "--manifest-path"];
    let place = ["benches/durare/Cargo.toml", "--target-dir", "target/durare"];
    shell::run(&mut cargo(&[&build[..], &place].concat()))
}

fn parse(args: &[&str]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--quick" => options.quick = true,
            "--json" => options.json = true,
            "--write" => options.write = true,
            "--python" => options.python = true,
            "--durare" => options.durare = true,
            "--filter" => {
                options.filter =
                    Some((*args.next().ok_or("--filter needs a word of an id")?).to_owned())
            }
            name => match CRATES.iter().find(|known| **known == name) {
                Some(known) => options.names.push(known),
                None => {
                    return Err(format!(
                        "peers: unknown `{name}`; the crates are: {}",
                        CRATES.join(", ")
                    ));
                }
            },
        }
    }
    if options.names.is_empty() {
        options.names = CRATES.to_vec();
    }
    if options.write && options.filter.is_some() {
        return Err("peers: --write wants every group of a crate; leave out --filter".to_owned());
    }
    Ok(options)
}

/// Runs the benches of one crate; the rows are printed as they come.
fn measure(name: &str, options: &Options) -> Result<Vec<Value>, String> {
    let mut args = vec![
        "bench",
        "--quiet",
        "--locked",
        "-p",
        "tidegate-benches",
        "--features",
        name,
        "--bench",
        name,
        "--",
    ];
    args.extend(options.filter.as_deref());
    if options.quick {
        args.push("--quick");
    }
    if !(options.json || options.write) {
        return shell::run(&mut cargo(&args)).map(|()| Vec::new());
    }
    args.push("--json");
    let mut bench = cargo(&args);
    let shown = shell::show(&bench);
    let mut child = bench
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|why| format!("`{shown}` did not start: {why}"))?;
    let lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
    let mut rows = Vec::new();
    for line in lines {
        let line = line.map_err(|why| format!("`{shown}`: {why}"))?;
        shell::say(&line);
        rows.push(
            serde_json::from_str(&line)
                .map_err(|why| format!("`{shown}` printed `{line}`: {why}"))?,
        );
    }
    let status = child.wait().map_err(|why| format!("`{shown}`: {why}"))?;
    if status.success() { Ok(rows) } else { Err(format!("`{shown}` failed: {status}")) }
}

/// Replaces the measured crates' sections of `benches/RESULTS.md`, and leaves the others.
fn write_results(sections: &[(&str, Vec<Value>)], options: &Options) -> Result<(), String> {
    let path = shell::root().join("benches/RESULTS.md");
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let mut text = "# Results\n\nEvery table is the output of the command above it. A ratio is ours over the peer within one \
                    round, the median over interleaved rounds; times on another machine differ, ratios much less.\n"
        .to_owned();
    for name in CRATES {
        let section = match sections.iter().find(|(measured, _)| *measured == name) {
            Some((_, rows)) => Some(table(name, rows, options)?),
            None => old_section(&old, name),
        };
        if let Some(section) = section {
            write!(text, "\n{}\n", section.trim_end()).expect("writing to a string succeeds");
        }
    }
    // What was written by other commands than this one stays as it is, at the end.
    if let Some(at) = old.find("\n## Other measurements\n") {
        text.push_str(&old[at..]);
    }
    std::fs::write(&path, text).map_err(|why| format!("{}: {why}", path.display()))
}

fn old_section(old: &str, name: &str) -> Option<String> {
    let start = old.find(&format!("## {name}\n"))?;
    let end = old[start + 3..].find("\n## ").map_or(old.len(), |at| start + 3 + at);
    Some(old[start..end].to_owned())
}

fn table(name: &str, rows: &[Value], options: &Options) -> Result<String, String> {
    let commit = shell::read(&mut shell::command("git", &["rev-parse", "--short", "HEAD"]))?;
    let flag = |is_set: bool, flag: &'static str| if is_set { flag } else { "" };
    let flags = [flag(options.quick, " --quick"), flag(options.python, " --python")].concat();
    let mut text = format!(
        "## {name}\n\n`cargo xtask peers {name}{flags} --write` at commit {}, on {}.\n\n\
         | group | unit | ours | peers | best peer | ours / best | target | met |\n\
         | --- | --- | ---: | --- | --- | ---: | --- | --- |\n",
        commit.trim(),
        machine(),
    );
    for row in rows {
        let field = |key: &str| row[key].as_str().unwrap_or_default();
        let number =
            |value: &Value| value.as_f64().map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
        let pairs = |key: &str| row[key].as_object().into_iter().flatten();
        let peers = pairs("peers")
            .map(|(peer, ns)| format!("{peer} {}", number(ns)))
            .collect::<Vec<_>>()
            .join(", ");
        let best = row["target"].as_f64().map(|ratio| format!("≤ {ratio:.2}x best"));
        let named = pairs("targets").map(|(against, limit)| match against.as_str() {
            "value" => format!("≤ {} {}", number(limit), field("unit")),
            peer => format!("≤ {}x {peer}", number(limit)),
        });
        let targets = best.into_iter().chain(named).collect::<Vec<_>>().join(", ");
        let met = match (targets.is_empty(), row["met"].as_bool()) {
            (true, _) => "",
            (_, Some(true)) => "yes",
            _ => "**no**",
        };
        let ratio = if peers.is_empty() { "–".to_owned() } else { number(&row["ratio"]) };
        let (id, unit, ours) = (field("id"), field("unit"), number(&row["ours_ns"]));
        writeln!(
            text,
            "| `{id}` | {unit} | {ours} | {peers} | {} | {ratio} | {targets} | {met} |",
            field("best_peer")
        )
        .expect("writing to a string succeeds");
    }
    Ok(text)
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{cores} cores of {} ({})",
        model.unwrap_or("an unnamed processor"),
        std::env::consts::OS
    )
}
