//! Registries with anything in them, and what they must say.

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};
use tidegate_telemetry::{Buckets, HistogramSnapshot, Registry};

/// A metric to be tried: most are in order, some must be refused.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    name: String,
    help: String,
    labels: usize,
    kind: u8,
    bounds: Vec<f64>,
    series: Vec<([String; 2], Vec<f64>)>,
}

/// A registry to be tried.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    constant: Option<String>,
    prefix: Option<String>,
    created: bool,
    metrics: Vec<Metric>,
}

/// A sample that the text must have: its name, labels and the bits of its value.
pub(crate) type Expected = (String, Vec<(String, String)>, u64);

/// Any text, with what needs an escape more often than chance would have it.
fn text() -> impl Strategy<Value = String> {
    let char = prop_oneof![
        any::<char>(),
        prop::sample::select(vec!['\\', '"', '\n', '\r', ' ', 'n', '{', '}', ',', '='])
    ];
    prop::collection::vec(char, 0..6).prop_map(|chars| chars.into_iter().collect())
}

fn name() -> impl Strategy<Value = String> {
    let stem = prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        "[a-zA-Z_:][a-zA-Z0-9_:]{0,5}",
        text()
    ];
    let suffix = prop::sample::select(vec![
        "", "", "_total", "_total", "b_total", "_total", "_count", "_sum", "_bucket", "_created",
    ]);
    (stem, suffix).prop_map(|(stem, suffix)| stem + suffix)
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        -10.0..10.0_f64,
        (0..1_000_000_i64).prop_map(|n| n as f64 / 100.0),
        prop::sample::select(vec![
            0.0,
            -0.0,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            1e15,
            1e16,
            1e-5,
            f64::INFINITY
        ]),
    ]
}

fn metric() -> impl Strategy<Value = Metric> {
    let bounds = prop::collection::vec(number(), 0..4).prop_map(|mut bounds| {
        bounds.sort_by(f64::total_cmp);
        bounds
    });
    let series =
        prop::collection::vec(([text(), text()], prop::collection::vec(number(), 0..4)), 0..4);
    (name(), text(), 0..=2_usize, 0..5_u8, bounds, series).prop_map(
        |(name, help, labels, kind, bounds, series)| Metric {
            name,
            help,
            labels,
            kind,
            bounds,
            series,
        },
    )
}

/// Any registry.
pub(crate) fn spec() -> impl Strategy<Value = Spec> {
    let constant = prop_oneof![Just(None), text().prop_map(Some)];
    let prefix = prop_oneof![Just(None), Just(None), Just(Some("a".to_owned()))];
    (constant, prefix, any::<bool>(), prop::collection::vec(metric(), 0..4)).prop_map(
        |(constant, prefix, created, metrics)| Spec { constant, prefix, created, metrics },
    )
}

impl Spec {
    /// The registry, and every sample that its text must have.
    pub(crate) fn build(&self) -> (Registry, Vec<Expected>) {
        let builder = Registry::builder();
        let builder =
            self.constant.iter().fold(builder, |builder, value| builder.label("zone", value));
        let builder = if self.created { builder.created_timestamps() } else { builder };
        let builder = self.prefix.iter().fold(builder, |builder, prefix| builder.prefix(prefix));
        let registry = builder.build().expect("prefix and label are in order");
        let mut expected = Vec::new();
        for metric in &self.metrics {
            // What is refused must leave no trace.
            let _ = metric.register(&registry, self, &mut expected);
        }
        expected.sort();
        (registry, expected)
    }
}

impl Metric {
    fn register(
        &self,
        registry: &Registry,
        spec: &Spec,
        expected: &mut Vec<Expected>,
    ) -> Result<(), tidegate_telemetry::RegisterError> {
        let mut expect_le = |suffix: &str, values: &[&str], le: Option<&str>, value: f64| {
            let mut labels: Vec<(String, String)> =
                spec.constant.iter().map(|value| ("zone".to_owned(), value.clone())).collect();
            labels.extend(
                ["x", "y"]
                    .iter()
                    .zip(values)
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
            );
            labels.extend(le.map(|le| ("le".to_owned(), le.to_owned())));
            let prefix = spec.prefix.as_ref().map(|prefix| format!("{prefix}_"));
            let name = format!("{}{}{suffix}", prefix.unwrap_or_default(), self.name);
            expected.retain(|(n, l, _)| (n, l) != (&name, &labels));
            expected.push((name, labels, value.to_bits()));
        };
        let mut expect =
            |suffix: &str, values: &[&str], value: f64| expect_le(suffix, values, None, value);
        let define = || {
            let definition = registry.define(&self.name, &self.help);
            if self.name.contains("b_total") { definition.unit("b") } else { definition }
        };
        let bounds = Buckets::from(self.bounds.clone());
        let all = || self.series.iter().flat_map(|(_, values)| values).copied();
        match (self.kind, self.labels) {
            (0, 0) => {
                let counter = define().counter()?;
                let n: u64 = self
                    .series
                    .iter()
                    .flat_map(|(_, values)| values)
                    .map(|v| v.to_bits() >> 8)
                    .sum();
                counter.inc_by(n);
                expect("", &[], n as f64);
            }
            (0, _) => {
                let vec = define().counter_vec(["x", "y"])?;
                for ([x, y], values) in &self.series {
                    let counter = vec.with([x, y]);
                    values.iter().for_each(|value| counter.inc_by(value.to_bits() >> 8));
                    expect("", &[x, y], counter.value() as f64);
                }
            }
            (1, 0) => {
                let gauge = define().gauge()?;
                let value = self
                    .series
                    .first()
                    .and_then(|(_, values)| values.first())
                    .copied()
                    .unwrap_or(0.0);
                gauge.set(value);
                expect("", &[], value);
            }
            (1, _) => {
                let vec = define().gauge_vec(["x", "y"])?;
                for ([x, y], values) in &self.series {
                    let value = values.first().copied().unwrap_or(-0.0);
                    vec.set([x, y], value);
                    expect("", &[x, y], value);
                }
            }
            (2, 0) => {
                let histogram = define().histogram(bounds)?;
                all().for_each(|value| histogram.observe(value));
                expect_histogram(&mut expect_le, &[], &histogram.snapshot());
            }
            (2, _) => {
                let vec = define().histogram_vec(["x", "y"], bounds)?;
                for ([x, y], values) in &self.series {
                    let histogram = vec.with([x, y]);
                    for value in values {
                        let _ = histogram.observe_with_exemplar(*value, &[("trace", x)]);
                    }
                    expect_histogram(&mut expect_le, &[x, y], &histogram.snapshot());
                }
            }
            (3, 0) => {
                let counter = define().float_counter()?;
                all().for_each(|value| counter.inc_by(value));
                expect("", &[], counter.value());
            }
            (3, _) => {
                let vec = define().float_counter_vec(["x", "y"])?;
                for ([x, y], values) in &self.series {
                    let counter = vec.with([x, y]);
                    for value in values {
                        let _ = counter.inc_with_exemplar(*value, &[("trace", y)]);
                    }
                    expect("", &[x, y], counter.value());
                }
            }
            (_, 0) => {
                let value = all().next().unwrap_or(1e-7);
                define().gauge_fn(move || value)?;
                expect("", &[], value);
            }
            _ => {
                let series = self.series.clone();
                define().gauge_vec_fn(["x", "y"], move |readings| {
                    for ([x, y], values) in &series {
                        values.iter().for_each(|value| readings.set([x, y], *value));
                    }
                })?;
                for ([x, y], values) in &self.series {
                    if let Some(value) = values.last() {
                        expect("", &[x, y], *value);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Every line of a histogram; the bounds as Rust writes them, in the form that the formats ask for.
fn expect_histogram(
    expect: &mut impl FnMut(&str, &[&str], Option<&str>, f64),
    values: &[&str],
    seen: &HistogramSnapshot,
) {
    let mut count = 0.0;
    let bounds = seen.bounds().iter().copied().chain([f64::INFINITY]);
    for (bound, n) in bounds.zip(seen.counts()) {
        count += *n as f64;
        expect("_bucket", values, Some(&le(bound)), count);
    }
    expect("_count", values, None, count);
    expect("_sum", values, None, seen.sum());
}

/// A bound in its canonical form: as Go's `%g` writes it, with a point where there is no exponent.
fn le(bound: f64) -> String {
    if bound.is_infinite() {
        return "+Inf".to_owned();
    }
    let (plain, scientific) = (format!("{bound:?}"), format!("{bound:e}"));
    let (mantissa, exponent) = scientific.split_once('e').expect("the form has an exponent");
    match exponent.parse::<i32>().expect("an exponent is a number") {
        -4..6 if !plain.contains('e') => plain,
        -4..6 => format!("{bound}"),
        exponent @ ..0 => format!("{mantissa}e-{:02}", -exponent),
        exponent => format!("{mantissa}e+{exponent:02}"),
    }
}
