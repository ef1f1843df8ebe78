//! Agents that answer questions over the text of this repository, each answer with quotes that were looked up again.
//!
//! ```sh
//! cargo run --release -p tidegate-workflow --features http --example answers -- "Where is Run::submit defined?"
//! ```
//!
//! A router chooses the pipeline by the question. In each, one agent reads the question, two or three search at once (prose,
//! tables, documentation of code, definitions), one checks what they found against the files, one writes. All read the files
//! anew for each question, so that there is no index to build and none to be out of date. No network is needed; with
//! `OPENAI_BASE_URL` set, a model chooses the pipeline and writes the answer, and where it fails rules do.
//!
//! Everything is asked twice, one agent after another and all at once, and the statistics of both are printed.
//! `--without docs` shows what an answer looks like when an agent fails.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example that tells what it does"
)]

mod agents;
mod corpus;
mod options;
mod pipelines;
mod search;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use futures::future::join_all;
use tidegate_workflow::Orchestrator;
use tidegate_workflow::chat::ChatClient;
use tidegate_workflow::pipeline::{Answer, Mode, NoAnswer, Route, Statistics};

use agents::Reply;
use options::{Options, USAGE};
use pipelines::{AGENTS, Staff};

/// A question, which way it went, and what came of it.
type Asked = (String, Route, Result<Answer<Reply>, NoAnswer>);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("answers: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<ExitCode, Box<dyn Error>> {
    let model = match std::env::var_os("OPENAI_BASE_URL") {
        Some(_) => Some(ChatClient::from_env()?),
        None => None,
    };
    let agents: Vec<&str> =
        AGENTS.iter().copied().chain(model.as_ref().map(ChatClient::agent)).collect();
    let options = match Options::read(std::env::args().skip(1), &agents) {
        Ok(options) => options,
        Err(why) if why.is_empty() => {
            println!("{USAGE}");
            return Ok(ExitCode::SUCCESS);
        }
        Err(why) => return Err(format!("{why}\n\n{USAGE}").into()),
    };
    let (root, without) = (options.root.clone(), Arc::new(options.without.clone()));
    let staff = Staff { root, without, model };
    // The agents compute, so that as many as the machine has processors work at once; while a model thinks, others can.
    let cores = std::thread::available_parallelism()?.get();
    let limit = if staff.model.is_some() { cores + 6 } else { cores };
    let orchestrator = Orchestrator::builder().limit(limit).agent_default(8).build()?;

    let mut first: Option<Vec<Asked>> = None;
    let mut statistics = Vec::new();
    for (is_wanted, mode) in
        [(options.alone, Mode::Sequential), (options.together, Mode::FallingBack)]
    {
        if !is_wanted {
            continue;
        }
        let (asked, counted) = ask(&staff, &orchestrator, &options.questions, mode).await?;
        statistics.push((mode, counted));
        match &first {
            None => {
                asked.iter().for_each(print);
                first = Some(asked);
            }
            Some(first) => println!(
                "{} of {} answers are the same both ways",
                same(first, &asked),
                asked.len()
            ),
        }
    }
    for (mode, counted) in &statistics {
        let way = if *mode == Mode::Sequential { "one after another" } else { "all at once" };
        println!("\n{way}\n{counted}");
    }
    if let [(_, alone), (_, together)] = &statistics[..] {
        let times = alone.elapsed.div_duration_f64(together.elapsed);
        println!(
            "all at once took {:.3?} instead of {:.3?}: {times:.2} times as fast",
            together.elapsed, alone.elapsed
        );
    }
    orchestrator.shutdown().await;
    let failed = statistics.iter().any(|(_, counted)| counted.failed > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Asks everything: one question after another, or all at once.
async fn ask(
    staff: &Staff,
    orchestrator: &Orchestrator,
    questions: &[String],
    mode: Mode,
) -> Result<(Vec<Asked>, Statistics), Box<dyn Error>> {
    let router = staff.router(mode)?;
    let mut asking = Vec::new();
    let mut asked = Vec::new();
    for question in questions {
        let router = &router;
        let one = async move {
            let (route, answer) = router.ask(orchestrator, question.as_str()).await;
            (question.clone(), route, answer)
        };
        match mode {
            Mode::Sequential => asked.push(one.await),
            _ => asking.push(one),
        }
    }
    asked.extend(join_all(asking).await);
    Ok((asked, router.statistics()))
}

fn print((question, route, answer): &Asked) {
    println!("> {question}\n  ({route})");
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return println!("{error}\n"),
    };
    print!("{}", answer.value.text);
    for (at, quote) in answer.value.quotes.iter().enumerate() {
        println!("  [{}] {}:{}", at + 1, quote.path, quote.line);
    }
    for missing in &answer.missing {
        println!("  degraded: {missing}");
    }
    println!("  by {}, in {:.1?}\n", answer.value.by, answer.took);
}

/// How many answers say the same.
fn same(first: &[Asked], second: &[Asked]) -> usize {
    let text = |asked: &Asked| asked.2.as_ref().ok().map(|answer| answer.value.text.clone());
    first.iter().zip(second).filter(|(first, second)| text(first) == text(second)).count()
}
