//! How the contenders fare over a set of scenarios: tables and drawings.

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::thread;

use crate::contender::Contender;
use crate::draw;
use crate::options::Options;
use crate::scenario::{Backend, Scenario};
use crate::score::Score;
use crate::simulation::{self, Trace};

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

/// Plays the scenarios, tells how the contenders fare, and draws it.
pub(crate) fn report(
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
            .filter(|(scenario, _)| scenario.backend == Backend::Fcfs)
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
    let failed = |why| io::Error::other(format!("{}: {why}", folder.display()));
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
