//! A metric: its description and all its series.

use std::sync::Arc;
use std::time::Instant;

use crate::callback::Callback;
use crate::exemplar;
use crate::format::Format;
use crate::histogram::{Buffers, HistogramCells};
use crate::kind::Kind;
use crate::labels::{Labels, write_label};
use crate::name;
use crate::number::{bound, write_f64, write_u64_line};
use crate::series::{CounterCell, GaugeCell, Series};
use crate::snapshot::{FamilySnapshot, SeriesSnapshot, Value};
use crate::store::Store;

/// A metric: its description and all its series.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: Kind,
    pub(crate) constant: Arc<[(String, String)]>,
    pub(crate) data: Data,
    heads: Heads,
}

/// Where the values are.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    Counter(Arc<Store<CounterCell>>),
    Gauge(Arc<Store<GaugeCell>>),
    Histogram(Arc<Store<HistogramCells>>),
    Callback(Arc<Callback>),
}

/// Everything in a family's output that never changes.
#[derive(Debug)]
struct Heads {
    text: Vec<u8>,
    open_metrics: Vec<u8>,
    /// Up to where the labels of a series begin.
    sample: Vec<u8>,
    created: Vec<u8>,
    histogram: Option<HistogramHeads>,
}

#[derive(Debug)]
struct HistogramHeads {
    bucket: Vec<u8>,
    /// From the end of the series' labels to the value, for each bucket.
    bounds: Vec<Vec<u8>>,
    count: Vec<u8>,
    sum: Vec<u8>,
    negative: bool,
}

/// What an output asks of the families.
#[derive(Debug)]
pub(crate) struct Writer<'o> {
    pub(crate) out: &'o mut Vec<u8>,
    pub(crate) format: Format,
    pub(crate) created: bool,
    pub(crate) buffers: Buffers,
}

impl Family {
    pub(crate) fn new(
        name: String,
        help: String,
        unit: Option<&str>,
        kind: Kind,
        constant: Arc<[(String, String)]>,
        data: Data,
    ) -> Self {
        let heads = Heads::new(&name, &help, unit, kind, &constant, &data);
        Self { name, help, kind, constant, data, heads }
    }

    /// Names of the labels that tell the series apart.
    pub(crate) fn labels(&self) -> &[String] {
        match &self.data {
            Data::Counter(store) => store.names(),
            Data::Gauge(store) => store.names(),
            Data::Histogram(store) => store.names(),
            Data::Callback(_) => &[],
        }
    }

    /// Removes series that were not used for long.
    pub(crate) fn expire(&self, now: Instant) {
        match &self.data {
            Data::Counter(store) => store.expire(now),
            Data::Gauge(store) => store.expire(now),
            Data::Histogram(store) => store.expire(now),
            Data::Callback(_) => {}
        }
    }

    pub(crate) fn overflowed(&self) -> u64 {
        match &self.data {
            Data::Counter(store) => store.overflowed(),
            Data::Gauge(store) => store.overflowed(),
            Data::Histogram(store) => store.overflowed(),
            Data::Callback(_) => 0,
        }
    }

    pub(crate) fn invalid_observations(&self) -> u64 {
        if let Data::Histogram(store) = &self.data { store.spec().invalid() } else { 0 }
    }

    pub(crate) fn panics(&self) -> u64 {
        if let Data::Callback(callback) = &self.data { callback.panics() } else { 0 }
    }

    /// Appends the family's lines.
    pub(crate) fn write(&self, to: &mut Writer<'_>) {
        to.out.extend_from_slice(match to.format {
            Format::Text => &self.heads.text,
            Format::OpenMetrics => &self.heads.open_metrics,
        });
        match &self.data {
            Data::Counter(store) => store.each(|series| {
                self.open(to, &series.labels);
                write_u64_line(to.out, series.value.get());
                if to.format == Format::OpenMetrics {
                    exemplar::write(to.out, series.value.index());
                }
                self.write_created(to, series);
            }),
            Data::Gauge(store) => store.each(|series| {
                self.open(to, &series.labels);
                write_f64(to.out, series.value.get());
                to.out.push(b'\n');
            }),
            Data::Histogram(store) => store.each(|series| {
                self.write_histogram(to, series);
                self.write_created(to, series);
            }),
            Data::Callback(callback) => {
                if let Some(value) = callback.value(self.kind) {
                    self.open(to, &callback.labels);
                    write_f64(to.out, value);
                    to.out.push(b'\n');
                }
            }
        }
    }

    #[inline]
    fn open(&self, to: &mut Writer<'_>, labels: &Labels) {
        to.out.extend_from_slice(&self.heads.sample);
        to.out.extend_from_slice(labels.with_tail());
    }

    fn write_created<M>(&self, to: &mut Writer<'_>, series: &Series<M>) {
        if to.created && to.format == Format::OpenMetrics {
            to.out.extend_from_slice(&self.heads.created);
            to.out.extend_from_slice(series.labels.with_tail());
            write_f64(to.out, series.created);
            to.out.push(b'\n');
        }
    }

    fn write_histogram(&self, to: &mut Writer<'_>, series: &Series<HistogramCells>) {
        let heads = self.heads.histogram.as_ref().expect("a histogram has the heads of one");
        let (counts, sum) = series.value.read(&mut to.buffers);
        let mut count = 0_u64;
        for (bucket, (bound, n)) in heads.bounds.iter().zip(counts).enumerate() {
            count = count.saturating_add(*n);
            to.out.extend_from_slice(&heads.bucket);
            to.out.extend_from_slice(series.labels.inner());
            to.out.extend_from_slice(bound);
            write_u64_line(to.out, count);
            if to.format == Format::OpenMetrics {
                exemplar::write(to.out, series.value.cell(bucket));
            }
        }
        // OpenMetrics has neither where observations may be negative: its sum is a counter.
        if to.format == Format::OpenMetrics && (heads.negative || sum.is_nan() || sum < 0.0) {
            return;
        }
        to.out.extend_from_slice(&heads.sum);
        to.out.extend_from_slice(series.labels.with_tail());
        write_f64(to.out, sum);
        to.out.push(b'\n');
        to.out.extend_from_slice(&heads.count);
        to.out.extend_from_slice(series.labels.with_tail());
        write_u64_line(to.out, count);
    }

    /// The value of the series with these labels, in any order and without the constant ones.
    pub(crate) fn value(&self, labels: &[(&str, &str)]) -> Option<Value> {
        let values = self.in_order(labels)?;
        match &self.data {
            Data::Counter(store) => Some(Value::Counter(store.get(&values)?.value.get() as f64)),
            Data::Gauge(store) => Some(Value::Gauge(store.get(&values)?.value.get())),
            Data::Histogram(store) => Some(Value::Histogram(store.get(&values)?.value.snapshot())),
            Data::Callback(callback) => callback.value(self.kind).map(|value| self.number(value)),
        }
    }

    fn in_order<'v>(&self, labels: &[(&str, &'v str)]) -> Option<Vec<&'v str>> {
        let names = self.labels();
        let find = |name: &String| labels.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
        (names.len() == labels.len()).then(|| names.iter().map(find).collect())?
    }

    fn number(&self, value: f64) -> Value {
        if self.kind == Kind::Counter { Value::Counter(value) } else { Value::Gauge(value) }
    }

    /// All values.
    pub(crate) fn snapshot(&self) -> FamilySnapshot {
        let mut all = Vec::new();
        let mut push = |labels: &Labels, value| {
            let values = labels.values(self.labels());
            let own = self.labels().iter().cloned().zip(values);
            all.push(SeriesSnapshot {
                labels: self.constant.iter().cloned().chain(own).collect(),
                value,
            });
        };
        match &self.data {
            Data::Counter(store) => {
                store
                    .each(|series| push(&series.labels, Value::Counter(series.value.get() as f64)));
            }
            Data::Gauge(store) => {
                store.each(|series| push(&series.labels, Value::Gauge(series.value.get())))
            }
            Data::Histogram(store) => {
                store
                    .each(|series| push(&series.labels, Value::Histogram(series.value.snapshot())));
            }
            Data::Callback(callback) => {
                if let Some(value) = callback.value(self.kind) {
                    push(&callback.labels, self.number(value));
                }
            }
        }
        FamilySnapshot {
            name: self.name.clone(),
            help: self.help.clone(),
            kind: self.kind,
            series: all,
        }
    }
}

impl Heads {
    fn new(
        name: &str,
        help: &str,
        unit: Option<&str>,
        kind: Kind,
        constant: &[(String, String)],
        data: &Data,
    ) -> Self {
        let labelled = match data {
            Data::Counter(store) => !store.names().is_empty(),
            Data::Gauge(store) => !store.names().is_empty(),
            Data::Histogram(store) => !store.names().is_empty(),
            Data::Callback(_) => false,
        };
        let family = name::family(name, kind);
        let open = |name: &str, more: bool| {
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
        };
        let histogram = match data {
            Data::Histogram(store) => Some(HistogramHeads {
                bucket: open(&format!("{name}_bucket"), true),
                bounds: (store.spec().bounds.iter().copied().chain([f64::INFINITY]))
                    .map(|b| {
                        format!("{}le=\"{}\"}} ", if labelled { "," } else { "" }, bound(b))
                            .into_bytes()
                    })
                    .collect(),
                count: open(&format!("{name}_count"), labelled),
                sum: open(&format!("{name}_sum"), labelled),
                negative: store.spec().bounds.first().is_some_and(|bound| *bound < 0.0),
            }),
            Data::Counter(_) | Data::Gauge(_) | Data::Callback(_) => None,
        };
        Self {
            text: text_head(name, help, kind),
            open_metrics: open_metrics_head(family, help, unit, kind),
            sample: open(name, labelled),
            created: open(&format!("{family}_created"), labelled),
            histogram,
        }
    }
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
