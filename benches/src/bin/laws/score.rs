//! What a trace is worth.

use crate::scenario::Scenario;
use crate::simulation::Trace;

/// Scores of one contender in one scenario, or their mean over several runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Score {
    /// Goodput over what could have been done: the less of capacity and load.
    pub(crate) utilisation: f64,
    /// Mean latency over that at the best limit, mean over windows.
    pub(crate) inflation: f64,
    /// 99th percentile of latency over the mean latency at the best limit.
    pub(crate) p99: f64,
    /// Mean over windows of utilisation / max(1, inflation): Kleinrock's power.
    pub(crate) power: f64,
    /// Seconds after each fall, and each rise, of the best limit until the limit stays near it; infinite if it does not before
    /// the next step.
    pub(crate) falls: Vec<f64>,
    pub(crate) rises: Vec<f64>,
    /// Standard deviation of the limit over its mean, over the last quarter.
    pub(crate) variation: f64,
}

/// Power is the mean over windows of so many seconds, or more where less than so many items would end in one.
const WINDOW: f64 = 0.5;
const ITEMS: f64 = 5.0;
/// Near the best limit is within these multiples of it, for this long.
const NEAR: (f64, f64) = (0.7, 1.5);
const STAYS: f64 = 3.0;

impl Score {
    pub(crate) fn of(scenario: &Scenario, trace: &Trace) -> Self {
        let mut score = Self::default();
        let slowest = (0..=100)
            .map(|part| scenario.possible(scenario.duration * f64::from(part) / 100.0))
            .fold(f64::INFINITY, f64::min);
        let length = WINDOW.max(ITEMS / slowest);
        let windows = (scenario.duration / length) as usize;
        let mut ended = trace.ended.iter().peekable();
        let mut inflated = 0;
        let mut relative = Vec::with_capacity(trace.ended.len());
        for window in 0..windows {
            let (from, to) = (window as f64 * length, (window + 1) as f64 * length);
            let middle = f64::midpoint(from, to);
            let best = scenario.best_latency(middle);
            let (mut count, mut sum) = (0_u32, 0.0);
            while let Some((_, latency)) = ended.next_if(|(at, _)| *at < to) {
                count += 1;
                sum += latency;
                relative.push(latency / best);
            }
            let could = scenario.possible(middle);
            let utilisation = f64::from(count) / length / could;
            score.utilisation += utilisation / windows as f64;
            if 0 < count {
                let inflation = sum / f64::from(count) / best;
                score.inflation += inflation;
                inflated += 1;
                score.power += utilisation.min(1.0) / inflation.max(1.0) / windows as f64;
            }
        }
        score.inflation /= f64::from(inflated.max(1));
        relative.sort_by(f64::total_cmp);
        score.p99 = relative.get(relative.len() * 99 / 100).copied().unwrap_or(f64::NAN);
        let steps = scenario.steps();
        for (index, (at, is_fall)) in steps.iter().enumerate() {
            let until = steps.get(index + 1).map_or(scenario.duration, |(next, _)| *next);
            let settled = settled(trace, scenario.now(*at).servers, *at, until);
            if *is_fall { &mut score.falls } else { &mut score.rises }.push(settled);
        }
        score.variation = variation(trace, scenario.duration * 0.75, scenario.duration);
        score
    }

    /// The mean; of settling times the median.
    pub(crate) fn mean(scores: &[Self]) -> Self {
        let n = scores.len() as f64;
        let mean = |of: fn(&Self) -> f64| scores.iter().map(of).sum::<f64>() / n;
        let median = |of: fn(&Self) -> &Vec<f64>| {
            (0..of(&scores[0]).len())
                .map(|step| {
                    let mut times: Vec<f64> = scores.iter().map(|score| of(score)[step]).collect();
                    times.sort_by(f64::total_cmp);
                    times[times.len() / 2]
                })
                .collect()
        };
        Self {
            utilisation: mean(|score| score.utilisation),
            inflation: mean(|score| score.inflation),
            p99: mean(|score| score.p99),
            power: mean(|score| score.power),
            falls: median(|score| &score.falls),
            rises: median(|score| &score.rises),
            variation: mean(|score| score.variation),
        }
    }
}

/// How long after `at` the limit begins to stay near `best`.
fn settled(trace: &Trace, best: f64, at: f64, until: f64) -> f64 {
    let is_near = |limit: usize| {
        let relative = limit as f64 / best;
        NEAR.0 <= relative && relative <= NEAR.1
    };
    let before = trace.limits.iter().rev().find(|(time, _)| *time <= at);
    let mut near_since = before.filter(|(_, limit)| is_near(*limit)).map(|_| at);
    for (time, limit) in trace.limits.iter().filter(|(time, _)| at < *time && *time < until) {
        match (near_since, is_near(*limit)) {
            (Some(since), _) if STAYS <= time - since => return since - at,
            (Some(_), false) => near_since = None,
            (None, true) => near_since = Some(*time),
            _ => {}
        }
    }
    match near_since {
        Some(since) if STAYS <= until - since => since - at,
        _ => f64::INFINITY,
    }
}

fn variation(trace: &Trace, from: f64, to: f64) -> f64 {
    let (mut sum, mut squares) = (0.0, 0.0);
    for (index, (time, limit)) in trace.limits.iter().enumerate() {
        let end = trace.limits.get(index + 1).map_or(to, |(next, _)| *next);
        let lasted = (end.min(to) - time.max(from)).max(0.0);
        sum += lasted * *limit as f64;
        squares += lasted * (*limit as f64).powi(2);
    }
    let mean = sum / (to - from);
    (squares / (to - from) - mean * mean).max(0.0).sqrt() / mean
}
