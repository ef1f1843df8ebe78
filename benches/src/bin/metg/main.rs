//! How short may tasks be before the scheduler eats half of the machine? The minimum effective task granularity of Task
//! Bench (Slaughter et al., "Task Bench: A Parameterized Benchmark for Evaluating Parallel Runtime Performance", 2020) of the
//! orchestrator and of a hand-written `JoinSet` loop, in the same rounds.
//!
//! `cargo run --release -p tidegate-benches --features engine --bin metg -- [--rounds N] [--full] [--json] [FILTER]`
//!
//! A one-dimensional stencil, two wide and a thousand steps, sixteen wide and two hundred. Its kernel is halved from 25 ms;
//! efficiency is what bare threads need for the kernels over the wall time, both measured in each round, so that a busy machine
//! slows both; granularity is the kernel's length over the efficiency. The best of the rounds counts, and the crossing of 50 % and of 90 % is found by a straight line in the logarithms. Building the graph is part of the time. The
//! longest kernels run fewer steps, so that a run takes about half a second: `--full` runs them all (minutes). At the end,
//! tasks that wait 1 ms, 256 at once, beside the ideal.

mod curve;
mod kernel;
mod sleeping;
mod stencil;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use curve::{Point, metg};
use kernel::Kernel;
use stencil::Stencil;
use tidegate_workflow::Orchestrator;
use tokio::runtime::Runtime;

const USAGE: &str = "usage: metg [--rounds N] [--full] [--json] [FILTER]";
const WORKERS: usize = 2;
/// Width, steps, and the granularity in microseconds at which half of the machine has to be used.
const STENCILS: [(usize, usize, f64); 2] = [(2, 1000, 40.0), (16, 200, 10.0)];
/// The share of the ideal that waiting tasks have to reach.
const SLEEPING_AT_LEAST: f64 = 0.95;

#[derive(Debug)]
struct Options {
    rounds: usize,
    full: bool,
    json: bool,
    filter: String,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "metg: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_time()
        .build()
        .expect("a runtime");
    let kernel = Kernel::calibrated(WORKERS);
    let mut kept = true;
    for (width, steps, promise) in STENCILS {
        let id = format!("stencil-{width}");
        if id.contains(&options.filter) {
            kept &= compare(&runtime, kernel, &id, (width, steps), promise, &options);
        }
    }
    if "sleep".contains(&options.filter) {
        kept &= sleep(&runtime, &options);
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { rounds: 5, full: false, json: false, filter: String::new() };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => {
                let rounds = args.next().and_then(|rounds| rounds.parse().ok());
                let rounds = rounds.filter(|rounds| *rounds > 0);
                options.rounds = rounds.ok_or("--rounds needs a number above 0")?;
            }
            "--full" => options.full = true,
            "--json" => options.json = true,
            flag if flag.starts_with('-') => return Err(format!("unknown flag `{flag}`")),
            word => options.filter = word.to_owned(),
        }
    }
    Ok(options)
}

/// Measures both contenders at every length of the kernel; answers whether the promise was kept.
fn compare(
    runtime: &Runtime,
    kernel: Kernel,
    id: &str,
    (width, steps): (usize, usize),
    promise: f64,
    options: &Options,
) -> bool {
    let mut curves = [Vec::new(), Vec::new()];
    let mut length = Duration::from_millis(25);
    // Once both are below a tenth, shorter kernels tell nothing new.
    while length > Duration::from_nanos(100)
        && !curves
            .iter()
            .all(|curve| curve.last().is_some_and(|last: &Point| last.efficiency < 0.1))
    {
        let fitting = 0.5 * WORKERS as f64 / (length.as_secs_f64() * width as f64);
        let steps = if options.full { steps } else { steps.min((fitting as usize).max(10)) };
        let stencil = Stencil { width, steps, turns: kernel.turns(length) };
        let mut best = [f64::INFINITY; 3];
        for _ in 0..options.rounds {
            let took = [
                Kernel::alone(WORKERS, stencil.tasks(), stencil.turns),
                within(runtime, async move {
                    let orchestrator = Orchestrator::builder().limit(64).build();
                    stencil::ours(&orchestrator.expect("the settings are sound"), stencil).await
                }),
                within(runtime, stencil::join_set(stencil)),
            ];
            for (best, took) in best.iter_mut().zip(took) {
                *best = best.min(took.as_secs_f64() * 1e6);
            }
        }
        let [alone_us, walls @ ..] = best;
        for (curve, wall_us) in curves.iter_mut().zip(walls) {
            let kernel_us = length.as_secs_f64() * 1e6;
            curve.push(Point::new(kernel_us, alone_us, wall_us));
        }
        length /= 2;
    }
    let [ours, join_set] = &curves;
    let kept = metg(ours, 0.5).is_some_and(|ours| ours <= promise);
    if options.json {
        for (name, curve) in [("ours", ours), ("JoinSet", join_set)] {
            let points: Vec<_> =
                curve.iter().map(|point| [point.granularity_us, point.efficiency]).collect();
            let line = serde_json::json!({
                "id": id, "contender": name, "metg50_us": metg(curve, 0.5), "metg90_us": metg(curve, 0.9),
                "granularity_us_and_efficiency": points,
            });
            say(&line.to_string());
        }
    } else {
        let text = |at| {
            let us = |curve| metg(curve, at).map_or("never".to_owned(), |us| format!("{us:.1} µs"));
            format!("{} (JoinSet {})", us(ours), us(join_set))
        };
        let verdict = if kept { "kept" } else { "MISSED" };
        say(&format!(
            "{id:<12} METG(50 %) {:<32} METG(90 %) {:<34} promised ≤ {promise} µs: {verdict}",
            text(0.5),
            text(0.9)
        ));
    }
    kept
}

/// Tasks that wait; answers whether the promise was kept.
fn sleep(runtime: &Runtime, options: &Options) -> bool {
    const EACH: usize = 100;
    let mut best = [f64::INFINITY; 3];
    for _ in 0..options.rounds {
        let took = [
            within(runtime, sleeping::ideal(EACH)),
            within(runtime, sleeping::ours(EACH)),
            within(runtime, sleeping::join_set(EACH)),
        ];
        for (best, took) in best.iter_mut().zip(took) {
            *best = best.min(took.as_secs_f64());
        }
    }
    let [ideal, ours, join_set] = best;
    let nominal = EACH as f64 * sleeping::SLEEP.as_secs_f64();
    let kept = SLEEPING_AT_LEAST <= ideal / ours;
    if options.json {
        let line = serde_json::json!({
            "id": "sleep", "in_flight": sleeping::IN_FLIGHT, "tasks": sleeping::IN_FLIGHT * EACH,
            "efficiency": ideal / ours, "JoinSet": ideal / join_set, "of_the_nominal_time": nominal / ours,
        });
        say(&line.to_string());
    } else {
        say(&format!(
            "{:<12} efficiency {:.1} % (JoinSet {:.1} %); {:.1} % of what exact timers would allow   promised ≥ {:.0} %: {}",
            "sleep",
            100.0 * ideal / ours,
            100.0 * ideal / join_set,
            100.0 * nominal / ours,
            100.0 * SLEEPING_AT_LEAST,
            if kept { "kept" } else { "MISSED" }
        ));
    }
    kept
}

/// Runs a measurement in a task of the runtime, where its workers are.
fn within(runtime: &Runtime, measure: impl Future<Output = Duration> + Send + 'static) -> Duration {
    runtime.block_on(async { tokio::spawn(measure).await.expect("the measurement ended") })
}

fn say(line: &str) {
    // A closed pipe (`| head`) is no reason to panic: the figures that were wanted have been read.
    let _ = writeln!(std::io::stdout(), "{line}");
}
