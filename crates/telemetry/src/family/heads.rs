//! Everything in the output of a family that never changes.

use crate::family::Shape;
use crate::kind::Kind;
use crate::labels::write_label;
use crate::name;
use crate::number::bound;

/// Everything in the output of a family that never changes.
#[derive(Debug)]
pub(crate) struct Heads {
    pub(super) text: Vec<u8>,
    pub(super) open_metrics: Vec<u8>,
    /// Up to where the labels of a series begin.
    pub(super) sample: Vec<u8>,
    pub(super) created: Vec<u8>,
    pub(super) histogram: Option<HistogramHeads>,
}

#[derive(Debug)]
pub(super) struct HistogramHeads {
    pub(super) bucket: Vec<u8>,
    /// From the end of the series' labels to the value, for each bucket.
    pub(super) bounds: Vec<Vec<u8>>,
    pub(super) count: Vec<u8>,
    pub(super) sum: Vec<u8>,
    pub(super) negative: bool,
}

impl Heads {
    pub(super) fn new(
        name: &str,
        help: &str,
        unit: Option<&str>,
        shape: &Shape,
        constant: &[(String, String)],
    ) -> Self {
        let labelled = !shape.labels.is_empty();
        let family = name::family(name, shape.kind);
        let histogram = (shape.kind == Kind::Histogram).then(|| HistogramHeads {
            bucket: open(&format!("{name}_bucket"), constant, true),
            bounds: (shape.bounds.iter().copied().chain([f64::INFINITY]))
                .map(|b| format!("{}le=\"{}\"}} ", if labelled { "," } else { "" }, bound(b)))
                .map(String::into_bytes)
                .collect(),
            count: open(&format!("{name}_count"), constant, labelled),
            sum: open(&format!("{name}_sum"), constant, labelled),
            negative: shape.bounds.first().is_some_and(|bound| *bound < 0.0),
        });
        Self {
            text: text_head(name, help, shape.kind),
            open_metrics: open_metrics_head(family, help, unit, shape.kind),
            sample: open(name, constant, labelled),
            created: open(&format!("{family}_created"), constant, labelled),
            histogram,
        }
    }
}

/// A sample up to where the labels of a series begin; `more` says that there are some.
fn open(name: &str, constant: &[(String, String)], more: bool) -> Vec<u8> {
    let mut out = name.as_bytes().to_vec();
    if more || !constant.is_empty() {
        out.push(b'{');
    }
    for (i, (name, value)) in constant.iter().enumerate() {
        write_label(&mut out, name, value);
        if more || i + 1 < constant.len() {
            out.push(b',');
        }
    }
    out
}

/// The metadata of a family in the text format.
pub(crate) fn text_head(name: &str, help: &str, kind: Kind) -> Vec<u8> {
    let mut head = Vec::new();
    if !help.is_empty() {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        head.extend_from_slice(format!("# HELP {name} {help}\n").as_bytes());
    }
    head.extend_from_slice(format!("# TYPE {name} {kind}\n").as_bytes());
    head
}

/// The metadata of a family in OpenMetrics.
pub(crate) fn open_metrics_head(
    family: &str,
    help: &str,
    unit: Option<&str>,
    kind: Kind,
) -> Vec<u8> {
    let mut head = format!("# TYPE {family} {kind}\n");
    if let Some(unit) = unit {
        head.push_str(&format!("# UNIT {family} {unit}\n"));
    }
    if !help.is_empty() {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        head.push_str(&format!("# HELP {family} {help}\n"));
    }
    head.into_bytes()
}
