//! A metric under one set of constant labels: its description and all its series.

mod heads;
mod members;
mod writer;

use std::sync::Arc;

pub(crate) use heads::{Heads, open_metrics_head, text_head};
pub(crate) use members::Members;
pub(crate) use writer::Writer;

use crate::format::Format;
use crate::kind::Kind;
use crate::labels::Labels;
use crate::snapshot::{SeriesSnapshot, Value};

/// Label names with their values.
pub(crate) type Constant = Arc<[(String, String)]>;

/// A metric under one set of constant labels: its description and all its series.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) shape: Shape,
    pub(crate) constant: Constant,
    pub(crate) members: Arc<dyn Members>,
    heads: Heads,
}

/// What all parts of a metric have in common.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    /// Names of the labels that tell the series apart.
    pub(crate) labels: Vec<String>,
    /// Of the buckets of a histogram, as they are used.
    pub(crate) bounds: Vec<f64>,
}

impl Shape {
    pub(crate) fn new(kind: Kind, labels: &[&str], bounds: Vec<f64>) -> Self {
        Self { kind, labels: labels.iter().map(|label| (*label).to_owned()).collect(), bounds }
    }

    /// In what this is not the same as `other`.
    pub(crate) fn difference(&self, other: &Self) -> Option<&'static str> {
        if self.kind != other.kind {
            Some("kind")
        } else if self.labels != other.labels {
            Some("list of labels")
        } else if self.bounds != other.bounds {
            Some("list of bounds")
        } else {
            None
        }
    }
}

impl Family {
    pub(crate) fn new(
        name: String,
        help: String,
        unit: Option<&str>,
        shape: Shape,
        constant: Constant,
        members: Arc<dyn Members>,
    ) -> Self {
        let heads = Heads::new(&name, &help, unit, &shape, &constant);
        Self { name, help, shape, constant, members, heads }
    }

    /// Appends the family's lines, and before them, unless another part of the metric did, what the metric is.
    pub(crate) fn write(&self, to: &mut Writer<'_>, first: bool) {
        if first {
            to.out.extend_from_slice(match to.format {
                Format::Text => &self.heads.text,
                Format::OpenMetrics => &self.heads.open_metrics,
            });
        }
        self.members.write(&self.heads, to);
    }

    /// Whether all of `constant` are among the constant labels.
    pub(crate) fn is_within(&self, constant: &[(String, String)]) -> bool {
        constant.iter().all(|label| self.constant.contains(label))
    }

    /// The value of the series with these labels, in any order; `implied` are constant labels that need no naming.
    pub(crate) fn value(
        &self,
        implied: &[(String, String)],
        labels: &[(&str, &str)],
    ) -> Option<Value> {
        let find = |name: &String| labels.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
        let mut named = 0;
        for label in self.constant.iter().filter(|label| !implied.contains(label)) {
            if find(&label.0) != Some(&label.1) {
                return None;
            }
            named += 1;
        }
        let names = &self.shape.labels;
        let values: Vec<&str> = names.iter().map(find).collect::<Option<_>>()?;
        (names.len() + named == labels.len()).then(|| self.members.value(&values))?
    }

    /// Every value, with all labels.
    pub(crate) fn snapshot(&self) -> Vec<SeriesSnapshot> {
        let mut all = Vec::new();
        self.members.each_value(&mut |labels: &Labels, value| {
            let names = &self.shape.labels;
            let own = names.iter().cloned().zip(labels.values(names));
            let labels = self.constant.iter().cloned().chain(own).collect();
            all.push(SeriesSnapshot { labels, value });
        });
        all
    }
}
