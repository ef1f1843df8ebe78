//! Which names can be exposed: the rules of the text format 0.0.4 and of OpenMetrics 1.0 together.

use crate::error::RegisterError;
use crate::kind::Kind;

/// Refuses a metric name that either format cannot carry, or that would read differently in the two.
pub(crate) fn check_metric(name: &str, kind: Kind) -> Result<(), RegisterError> {
    let refuse = |reason| Err(RegisterError::Name { name: name.to_owned(), reason });
    if !is_metric_name(name) {
        return refuse("must be an ASCII letter, `_` or `:`, then letters, digits, `_` or `:`");
    }
    match kind {
        Kind::Counter if !has_stem(name, "_total") => {
            refuse("the name of a counter must end in `_total`")
        }
        Kind::Gauge | Kind::Histogram if name.ends_with("_total") => {
            refuse("`_total` is for counters")
        }
        Kind::Gauge | Kind::Histogram
            if name.ends_with("_created") || name.ends_with("_bucket") =>
        {
            refuse("`_created` and `_bucket` are written by counters and histograms")
        }
        _ => Ok(()),
    }
}

/// Refuses label names that cannot be exposed or that come twice.
pub(crate) fn check_labels(
    metric: &str,
    kind: Kind,
    constant: &[(String, String)],
    labels: &[&str],
) -> Result<(), RegisterError> {
    let all: Vec<&str> =
        constant.iter().map(|(name, _)| name.as_str()).chain(labels.iter().copied()).collect();
    for (i, label) in all.iter().enumerate() {
        let reason = if !is_label_name(label) {
            "must be an ASCII letter, then letters, digits or `_`"
        } else if kind == Kind::Histogram && *label == "le" {
            "`le` belongs to the buckets of a histogram"
        } else if all[..i].contains(label) {
            "comes twice"
        } else {
            continue;
        };
        return Err(RegisterError::Label {
            metric: metric.to_owned(),
            label: (*label).to_owned(),
            reason,
        });
    }
    Ok(())
}

/// Refuses a unit that is not the end of the family's name.
pub(crate) fn check_unit(name: &str, kind: Kind, unit: &str) -> Result<(), RegisterError> {
    let fits = !unit.is_empty() && has_stem(family(name, kind), &format!("_{unit}"));
    let refused = || RegisterError::Unit { metric: name.to_owned(), unit: unit.to_owned() };
    fits.then_some(()).ok_or_else(refused)
}

/// The name of the family in OpenMetrics, where a counter's samples end in `_total` and its family does not.
pub(crate) fn family(name: &str, kind: Kind) -> &str {
    match kind {
        Kind::Counter => name.strip_suffix("_total").unwrap_or(name),
        Kind::Gauge | Kind::Histogram => name,
    }
}

/// Every name that a metric writes or reserves in either format; two metrics must not share one.
pub(crate) fn claims(name: &str, kind: Kind) -> Vec<String> {
    let family = family(name, kind);
    let suffixes: &[&str] = match kind {
        Kind::Counter => &["_total", "", "_created"],
        Kind::Gauge => &[""],
        Kind::Histogram => &["", "_bucket", "_count", "_sum", "_created"],
    };
    suffixes.iter().map(|suffix| format!("{family}{suffix}")).collect()
}

fn has_stem(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|stem| !stem.is_empty())
}

fn is_metric_name(name: &str) -> bool {
    let first = |c: u8| c.is_ascii_alphabetic() || c == b'_' || c == b':';
    name.bytes().next().is_some_and(first) && name.bytes().all(|c| first(c) || c.is_ascii_digit())
}

/// Names that begin with `_` are reserved by OpenMetrics, those that begin with `__` by Prometheus.
pub(crate) fn is_label_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|c| c.is_ascii_alphabetic())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}
