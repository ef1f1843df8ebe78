//! Reading a registry: by name, as data, as text.

use std::sync::Arc;
use std::time::Instant;

use crate::family::{Family, Writer};
use crate::format::Format;
use crate::kind::Kind;
use crate::registry::Registry;
use crate::report;
use crate::snapshot::{FamilySnapshot, HistogramSnapshot, Snapshot, Value};

impl Registry {
    /// The value of a counter or gauge without labels; for a histogram, of its `_count` or `_sum`.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.value_of(name, &[])
    }

    /// The value of a counter or gauge with these labels, in any order; for a histogram, of its `_count` or `_sum`.
    ///
    /// `None` when there is no such series: reading makes none. Whatever the calling thread wrote before is in it.
    pub fn value_of(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        match self.read(name, labels) {
            Some(value) => value.number(),
            None => {
                let of = |suffix: &str| self.histogram_of(name.strip_suffix(suffix)?, labels);
                of("_count").map(|h| h.count() as f64).or_else(|| of("_sum").map(|h| h.sum()))
            }
        }
    }

    /// The sum over all series of a counter or gauge; `None` when there is no such metric.
    pub fn sum(&self, name: &str) -> Option<f64> {
        let parts = self.parts(name);
        parts.first().filter(|family| family.shape.kind != Kind::Histogram)?;
        let mut sum = 0.0;
        for family in parts {
            family.members.each_value(&mut |_, value| sum += value.number().unwrap_or_default());
        }
        Some(sum)
    }

    /// What the histogram with these labels, in any order, observed.
    pub fn histogram_of(&self, name: &str, labels: &[(&str, &str)]) -> Option<HistogramSnapshot> {
        match self.read(name, labels)? {
            Value::Histogram(histogram) => Some(histogram),
            Value::Counter(_) | Value::Gauge(_) => None,
        }
    }

    /// Every series, as plain data.
    pub fn snapshot(&self) -> Snapshot {
        self.expire(Instant::now());
        let list = self.list();
        let mut families: Vec<FamilySnapshot> = Vec::new();
        for family in list.iter() {
            let mut series = family.snapshot();
            match families.last_mut() {
                Some(last) if last.name == family.name => last.series.append(&mut series),
                _ => families.push(FamilySnapshot {
                    name: family.name.clone(),
                    help: family.help.clone(),
                    kind: family.shape.kind,
                    series,
                }),
            }
        }
        families.extend(report::snapshots(&list));
        Snapshot { families }
    }

    /// The whole registry as text: metrics by name, series in the order in which they were made.
    pub fn render(&self, format: Format) -> String {
        let mut out = Vec::new();
        self.encode(format, &mut out);
        utf8(out)
    }

    /// Appends the whole registry as text; once `out` has grown, this allocates nothing (but for metrics whose series
    /// are [asked for](crate::Definition::gauge_vec_fn)).
    ///
    /// No lock is held while callbacks run, and no writer waits.
    pub fn encode(&self, format: Format, out: &mut Vec<u8>) {
        self.expire(Instant::now());
        let list = self.list();
        let mut writer = Writer::new(out, format, self.shared.created);
        let mut last: Option<&Family> = None;
        for family in list.iter() {
            family.write(&mut writer, last.is_none_or(|last| last.name != family.name));
            last = Some(family);
        }
        report::write(&list, format, out);
        if format == Format::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
    }

    /// Removes the series that [`expire_after`](crate::Definition::expire_after) allows to go at `now`.
    ///
    /// Every [`encode`](Self::encode) and [`snapshot`](Self::snapshot) does it first.
    pub fn expire(&self, now: Instant) {
        self.list().iter().for_each(|family| family.members.expire(now));
    }

    fn read(&self, name: &str, labels: &[(&str, &str)]) -> Option<Value> {
        self.parts(name).iter().find_map(|family| family.value(&self.constant, labels))
    }

    /// The parts of a metric that this scope can name; cloned, so that no lock is held while they are read.
    fn parts(&self, name: &str) -> Vec<Arc<Family>> {
        self.families().parts(&self.full_name(name), &self.constant).cloned().collect()
    }

    fn list(&self) -> Arc<[Arc<Family>]> {
        self.families().list()
    }
}

fn utf8(text: Vec<u8>) -> String {
    String::from_utf8(text).expect("names, labels and help texts are UTF-8")
}
