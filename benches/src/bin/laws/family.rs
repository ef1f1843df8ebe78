//! How the laws fare over scenarios of the random family: the distribution of their power.

use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::contender::Contender;
use crate::random;
use crate::scenario::{Backend, Scenario};
use crate::score::Score;
use crate::simulation;

/// One scenario, and what each contender made of it.
struct Played {
    number: u64,
    scenario: Scenario,
    scores: Vec<Score>,
}

/// Plays the scenarios of these numbers, one run each, on all processors.
fn play(numbers: std::ops::Range<u64>, contenders: &[Contender]) -> Vec<Played> {
    let next = AtomicU64::new(numbers.start);
    let all = Mutex::new(Vec::new());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    // ORDERING: Relaxed; each number is taken once, whatever the order.
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if numbers.end <= number {
                        return;
                    }
                    let scenario =
                        Scenario::parse(&random::text(number)).expect("the family is in order");
                    let score = |c: &Contender| {
                        Score::of(&scenario, &simulation::run(&scenario, c, number))
                    };
                    let scores = contenders.iter().map(score).collect();
                    all.lock().expect("no player panics").push(Played { number, scenario, scores });
                }
            });
        }
    });
    let mut all = all.into_inner().expect("no player panics");
    all.sort_by_key(|played| played.number);
    all
}

/// Plays and tells. The law was tuned on even numbers below 200, and now and then somebody looked at the odd ones among them.
pub(crate) fn report(
    out: &mut impl Write,
    numbers: std::ops::Range<u64>,
    contenders: &[Contender],
    details: bool,
) -> io::Result<()> {
    let all = play(numbers.clone(), contenders);
    for played in all.iter().filter(|_| details) {
        let powers: Vec<String> =
            played.scores.iter().map(|score| format!("{:.2}", score.power)).collect();
        writeln!(out, "{} | {}", powers.join(" "), played.scenario.name)?;
    }
    let all: Vec<&Played> = all.iter().collect();
    let (count, from) = (all.len(), numbers.start);
    writeln!(out, "\n# random family, {count} scenarios from number {from}\n")?;
    table(out, &all, contenders)?;
    Ok(())
}

/// A name, and whether a scenario is of this kind.
type Kind = (&'static str, fn(&Scenario) -> bool);

/// Kinds of scenarios that are told apart in the table.
const KINDS: [Kind; 5] = [
    ("alone, queue", |s| s.limiters == 1 && s.backend == Backend::Fcfs),
    ("alone, shared backend", |s| s.limiters == 1 && s.backend != Backend::Fcfs),
    ("2 or 3 limiters", |s| 1 < s.limiters),
    ("load below capacity", |s| s.now(0.0).load < 1.0),
    ("under 10 servers", |s| s.now(0.0).servers < 10.0),
];

/// One table: a line for each contender.
fn table(out: &mut impl Write, all: &[&Played], contenders: &[Contender]) -> io::Result<()> {
    let kinds: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
    writeln!(
        out,
        "| law | mean power | p10 | median | worst (number) | utilisation | inflation | falls settled ≤ 1 s | {} |",
        kinds.join(" | ")
    )?;
    writeln!(out, "|{}", "---|".repeat(8 + kinds.len()))?;
    for (at, contender) in contenders.iter().enumerate() {
        let mut powers: Vec<(f64, u64)> =
            all.iter().map(|played| (played.scores[at].power, played.number)).collect();
        powers.sort_by(|a, b| a.0.total_cmp(&b.0));
        let Some(&(worst, number)) = powers.first() else { return Ok(()) };
        let mean = |which: &dyn Fn(&Scenario) -> bool, of: fn(&Score) -> f64| {
            let chosen = all.iter().filter(|played| which(&played.scenario));
            let (n, sum) = chosen.fold((0, 0.0), |(n, sum), p| (n + 1, sum + of(&p.scores[at])));
            sum / f64::from(n)
        };
        let every = |_: &Scenario| true;
        let falls: Vec<f64> =
            all.iter().flat_map(|played| played.scores[at].falls.clone()).collect();
        let kinds: Vec<String> = KINDS
            .iter()
            .map(|(_, which)| format!("{:.3}", mean(which, |score| score.power)))
            .collect();
        writeln!(
            out,
            "| {} | {:.3} | {:.3} | {:.3} | {worst:.2} ({number}) | {:.2} | {:.2} | {}/{} | {} |",
            contender.name,
            mean(&every, |score| score.power),
            powers[powers.len() / 10].0,
            powers[powers.len() / 2].0,
            mean(&every, |score| score.utilisation),
            mean(&every, |score| score.inflation),
            falls.iter().filter(|time| **time <= 1.0).count(),
            falls.len(),
            kinds.join(" | ")
        )?;
    }
    Ok(())
}
