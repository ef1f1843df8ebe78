//! What counters were, for as long as a rule looks back.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tidegate_telemetry::Snapshot;

use super::selector::{Labels, Selector, Vector};

/// How many values of a series are kept at most: whoever checks more often overwrites the last one.
const DETAIL: u32 = 512;

/// The values of the series that rules look back on.
#[derive(Debug, Default)]
pub(super) struct Histories(HashMap<Selector, History>);

#[derive(Debug, Default)]
struct History {
    over: Duration,
    series: HashMap<Labels, VecDeque<(Duration, f64)>>,
}

impl Histories {
    /// Of these series, for as long as each says.
    pub(super) fn of(windows: impl IntoIterator<Item = (Selector, Duration)>) -> Self {
        let mut all: HashMap<Selector, History> = HashMap::new();
        for (selector, over) in windows {
            let history = all.entry(selector).or_default();
            history.over = history.over.max(over);
        }
        Self(all)
    }

    /// Takes in what is now; a series that is gone is forgotten.
    pub(super) fn push(&mut self, now: Duration, snapshot: &Snapshot) {
        for (selector, history) in &mut self.0 {
            let mut before = std::mem::take(&mut history.series);
            for (labels, value) in selector.read(snapshot) {
                let mut values = before.remove(&labels).unwrap_or_default();
                push(&mut values, now, value, history.over);
                history.series.insert(labels, values);
            }
        }
    }

    /// How fast each series has grown since `over` ago, in units a second.
    pub(super) fn rates(&self, selector: &Selector, now: Duration, over: Duration) -> Vector {
        let Some(history) = self.0.get(selector) else { return Vector::new() };
        let series = history.series.iter().filter_map(|(labels, values)| {
            let is_within = |(at, _): &&(Duration, f64)| now.saturating_sub(*at) < over;
            let mut values = values.iter().filter(is_within);
            let first = values.next()?;
            let (mut last, mut growth) = (first, 0.0);
            for value in values {
                // A counter that went back has begun anew.
                growth += if value.1 >= last.1 { value.1 - last.1 } else { value.1 };
                last = value;
            }
            let seconds = last.0.saturating_sub(first.0).as_secs_f64();
            (seconds > 0.0).then(|| (labels.clone(), growth / seconds))
        });
        let mut rates: Vector = series.collect();
        rates.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        rates
    }

    /// What the series was at that time.
    pub(super) fn at(
        &self,
        selector: &Selector,
        labels: &Labels,
        at: Option<Duration>,
    ) -> Option<f64> {
        let at = at?;
        let values = self.0.get(selector)?.series.get(labels)?;
        values.iter().rev().find(|(then, _)| *then <= at).map(|(_, value)| *value)
    }
}

/// Adds a value, and throws out those that are older than the one that was true when the window began.
fn push(values: &mut VecDeque<(Duration, f64)>, now: Duration, value: f64, over: Duration) {
    let is_crowded =
        values.len() >= 2 && now.saturating_sub(values[values.len() - 2].0) < over / DETAIL;
    if is_crowded {
        values.pop_back();
    }
    values.push_back((now, value));
    let begin = now.saturating_sub(over);
    while values.len() >= 2 && values[1].0 <= begin {
        values.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_series_is_bounded_however_often_it_is_read() {
        let mut values = VecDeque::new();
        let over = Duration::from_secs(60);
        for at in 0..1_000_000_u32 {
            push(&mut values, Duration::from_millis(at.into()), f64::from(at), over);
        }
        assert!(values.len() <= 2 * DETAIL as usize, "{}", values.len());
        assert_eq!(values.back().map(|(_, value)| *value), Some(999_999.0));
        let oldest = values.front().map_or(0.0, |(at, _)| at.as_secs_f64());
        assert!((939.0..=940.0).contains(&oldest), "{oldest}");
    }
}
