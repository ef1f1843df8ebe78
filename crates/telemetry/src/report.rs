//! What the registry says about itself: only when there is something to say, after all other metrics.

use std::sync::Arc;

use crate::family::{Family, open_metrics_head, text_head};
use crate::format::Format;
use crate::kind::Kind;
use crate::labels::write_label;
use crate::name;
use crate::number::write_u64_line;
use crate::snapshot::{FamilySnapshot, SeriesSnapshot, Value};

/// One report: a counter with the label `metric`.
pub(crate) struct Report {
    pub(crate) name: &'static str,
    help: &'static str,
    of: fn(&Family) -> u64,
}

const PANICS: Report = Report {
    name: "telemetry_callback_panics_total",
    help: "Readings that are missing because the callback of a metric panicked.",
    of: |family| family.members.panics(),
};
const INVALID: Report = Report {
    name: "telemetry_invalid_observations_total",
    help: "Values that were left out: not finite, or negative for a counter.",
    of: |family| family.members.invalid(),
};
pub(crate) const OVERFLOW: Report = Report {
    name: "telemetry_overflow_total",
    help: "How often a label set shared the overflow series, or was left out, because the metric had as many as it may.",
    of: |family| family.members.overflowed(),
};
const ALL: [Report; 3] = [PANICS, INVALID, OVERFLOW];

/// Names that no other metric may have.
pub(crate) const NAMES: [&str; 3] = [PANICS.name, INVALID.name, OVERFLOW.name];

/// Appends the reports.
pub(crate) fn write(families: &[Arc<Family>], format: Format, out: &mut Vec<u8>) {
    for report in ALL {
        let mut begun = false;
        for family in families {
            let n = (report.of)(family);
            if n == 0 {
                continue;
            }
            if !std::mem::replace(&mut begun, true) {
                out.extend(match format {
                    Format::Text => text_head(report.name, report.help, Kind::Counter),
                    Format::OpenMetrics => open_metrics_head(
                        name::family(report.name, Kind::Counter),
                        report.help,
                        None,
                        Kind::Counter,
                    ),
                });
            }
            out.extend_from_slice(report.name.as_bytes());
            out.push(b'{');
            for (name, value) in family.constant.iter() {
                write_label(out, name, value);
                out.push(b',');
            }
            write_label(out, "metric", &family.name);
            out.extend_from_slice(b"} ");
            write_u64_line(out, n);
        }
    }
}

/// The reports as data.
pub(crate) fn snapshots(families: &[Arc<Family>]) -> Vec<FamilySnapshot> {
    let mut all = Vec::new();
    for report in ALL {
        let said =
            families.iter().map(|family| (family, (report.of)(family))).filter(|(_, n)| *n > 0);
        let series: Vec<_> = said
            .map(|(family, n)| {
                let own = ("metric".to_owned(), family.name.clone());
                let labels = family.constant.iter().cloned().chain([own]).collect();
                SeriesSnapshot { labels, value: Value::Counter(n as f64) }
            })
            .collect();
        if !series.is_empty() {
            let (name, help) = (report.name.to_owned(), report.help.to_owned());
            all.push(FamilySnapshot { name, help, kind: Kind::Counter, series });
        }
    }
    all
}
