//! Requests that come at a steady pace, each a pipeline of five agents, at most five of which work at once.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidegate_workflow::{Graph, Orchestrator, Task, TaskError};
use tokio::runtime::Runtime;

use super::{Claim, median, millis};

/// Agent, what it needs, how long its call takes in milliseconds.
const AGENTS: [(&str, &[&str], u64); 5] = [
    ("intent", &[], 40),
    ("retrieval", &[], 80),
    ("memory", &[], 60),
    ("reasoning", &["intent", "retrieval"], 120),
    ("planning", &["reasoning", "memory"], 60),
];
/// The longest chain of needs: retrieval, reasoning, planning.
const CHAIN: f64 = 0.26;
const ALL: f64 = 0.36;
const AT_ONCE: usize = 5;
const REQUESTS: u32 = 36;
/// Between two requests: a little more than five agents can bear at best.
const EVERY: Duration = Duration::from_millis(80);
/// One after another takes long, and every request takes the same.
const ONE_BY_ONE: u32 = 6;

struct Served {
    a_second: f64,
    latency: f64,
    parallel: f64,
}

pub(crate) fn measure(runtime: &Runtime, rounds: usize) -> Vec<Claim> {
    let mut served = Vec::new();
    let mut alone = Vec::new();
    for _ in 0..rounds {
        alone.push(f64::from(ONE_BY_ONE) / runtime.block_on(sequential()).as_secs_f64());
        served.push(runtime.block_on(orchestrated()));
    }
    let of = |what: fn(&Served) -> f64| median(served.iter().map(what).collect());
    let (alone, ours) = (median(alone), of(|served| served.a_second));
    let at_best = (AT_ONCE as f64 / ALL).min(1.0 / EVERY.as_secs_f64());
    let claim = |what, unit, claimed, sequential, ours, ideal, less| Claim {
        id: "Q6",
        what,
        unit,
        claimed,
        sequential,
        ours,
        ideal,
        less,
    };
    vec![
        claim("requests a second, five agents at once", "/s", 10.0, alone, ours, at_best, false),
        claim(
            "mean latency of a request under that load",
            " s",
            2.0,
            1.0 / alone,
            of(|served| served.latency),
            CHAIN,
            true,
        ),
        claim(
            "share of the time with several agents at work",
            " %",
            60.0,
            0.0,
            of(|served| served.parallel),
            100.0,
            false,
        ),
        claim(
            "times as many as one after another",
            "x",
            3.0,
            1.0,
            ours / alone,
            at_best / alone,
            false,
        ),
    ]
}

async fn sequential() -> Duration {
    let start = Instant::now();
    for _ in 0..ONE_BY_ONE {
        for (_, _, ms) in AGENTS {
            tokio::time::sleep(millis(ms)).await;
        }
    }
    start.elapsed()
}

/// For how long several were at work.
#[derive(Debug, Default)]
struct Meter {
    at_work: usize,
    since: Option<Instant>,
    several: Duration,
}

impl Meter {
    fn change(&mut self, by: isize) {
        self.at_work = self.at_work.saturating_add_signed(by);
        match (self.at_work > 1, self.since) {
            (true, None) => self.since = Some(Instant::now()),
            (false, Some(since)) => {
                self.several += since.elapsed();
                self.since = None;
            }
            _ => {}
        }
    }
}

fn pipeline(meter: &Arc<Mutex<Meter>>) -> Graph {
    let mut graph = Graph::new();
    for (agent, needs, ms) in AGENTS {
        let meter = Arc::clone(meter);
        let change = move |by| meter.lock().expect("nobody panics with it").change(by);
        let call = move |_| {
            let change = change.clone();
            async move {
                change(1);
                tokio::time::sleep(millis(ms)).await;
                change(-1);
                Ok::<(), TaskError>(())
            }
        };
        let task = Task::new(agent, call).agent(agent).needs(needs.iter().copied());
        graph.add(task).expect("no cycle");
    }
    graph
}

async fn orchestrated() -> Served {
    let builder = Orchestrator::builder().limit(AT_ONCE).agent_default(AT_ONCE);
    let orchestrator = builder.build().expect("it is sound");
    let start = Instant::now();
    let meter = Arc::default();
    let mut waits = Vec::new();
    let mut due = tokio::time::interval(EVERY);
    for _ in 0..REQUESTS {
        due.tick().await;
        let running = orchestrator.start(pipeline(&meter)).expect("it starts");
        waits.push(tokio::spawn(running.wait()));
    }
    let mut latency = 0.0;
    for wait in waits {
        let report = wait.await.expect("no panic").expect("it was not dropped").into_report();
        assert!(report.is_success());
        latency += report.makespan.as_secs_f64();
    }
    let (count, took) = (f64::from(REQUESTS), start.elapsed().as_secs_f64());
    let several = meter.lock().expect("nobody panics with it").several.as_secs_f64();
    Served { a_second: count / took, latency: latency / count, parallel: 100.0 * several / took }
}
