//! Series of a metric, by name and labels.

use std::time::Duration;

use tidegate_telemetry::{HistogramSnapshot, Snapshot, Value};

/// Names and values, by name.
pub(super) type Labels = Vec<(String, String)>;

/// A number for each label set.
pub(super) type Vector = Vec<(Labels, f64)>;

/// The series of a metric that have some labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Selector {
    pub(super) name: String,
    pub(super) labels: Labels,
}

impl Selector {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), labels: Vec::new() }
    }

    /// The values now.
    pub(super) fn read(&self, snapshot: &Snapshot) -> Vector {
        let part = |suffix| self.name.strip_suffix(suffix).and_then(|name| snapshot.family(name));
        type Number = fn(&HistogramSnapshot) -> f64;
        let count: Number = |histogram| histogram.count() as f64;
        let found = snapshot.family(&self.name).map(|family| (family, None));
        let found = found.or_else(|| Some((part("_count")?, Some(count))));
        let found = found.or_else(|| Some((part("_sum")?, Some(HistogramSnapshot::sum))));
        let Some((family, of)) = found else { return Vector::new() };
        let series = family.series.iter().filter_map(|series| {
            let value = match (&series.value, of) {
                (Value::Histogram(histogram), Some(of)) => of(histogram),
                (value, None) => value.number()?,
                _ => return None,
            };
            let is_of = self.labels.iter().all(|label| series.labels.contains(label));
            is_of.then(|| (sorted(series.labels.clone()), value))
        });
        series.collect()
    }
}

impl Selector {
    pub(super) fn promql(&self) -> String {
        if self.labels.is_empty() {
            return self.name.clone();
        }
        let labels: Vec<String> =
            self.labels.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
        format!("{}{{{}}}", self.name, labels.join(","))
    }
}

/// A string of PromQL.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '\\' | '"' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A time as Prometheus writes it, in the largest unit that divides it.
pub(super) fn span(time: Duration) -> String {
    let millis = time.as_millis();
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] {
        if millis > 0 && millis.is_multiple_of(unit) {
            return format!("{}{name}", millis / unit);
        }
    }
    if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") }
}

pub(super) fn sorted(mut labels: Labels) -> Labels {
    labels.sort_unstable();
    labels
}
