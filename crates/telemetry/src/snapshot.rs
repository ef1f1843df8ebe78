//! Values read out of a registry, as plain data.

use crate::kind::Kind;

/// Every series of a registry at one time, as plain data.
///
/// Each histogram in it is exact; two series are read one after the other.
///
/// ```
/// use tidegate_telemetry::Registry;
///
/// let registry = Registry::new();
/// let jobs = registry.counter("jobs_total", "Jobs done.")?;
/// jobs.inc_by(5);
/// let before = registry.snapshot();
/// jobs.inc_by(2);
/// let since = registry.snapshot().since(&before);
/// assert_eq!(since.value("jobs_total", &[]), Some(2.0));
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Families by name.
    pub families: Vec<FamilySnapshot>,
}

/// A metric with all its series.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilySnapshot {
    /// The name as it is exposed.
    pub name: String,
    /// What the metric means.
    pub help: String,
    /// What the metric is.
    pub kind: Kind,
    /// In the order in which they were made.
    pub series: Vec<SeriesSnapshot>,
}

/// One label set and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesSnapshot {
    /// Names and values, constant labels first.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: Value,
}

/// The value of a series.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter.
    Counter(f64),
    /// Of a gauge.
    Gauge(f64),
    /// Of a histogram.
    Histogram(HistogramSnapshot),
}

impl Snapshot {
    /// The family of that name.
    pub fn family(&self, name: &str) -> Option<&FamilySnapshot> {
        self.families.iter().find(|family| family.name == name)
    }

    /// The value of a counter or gauge; for a histogram, of its `_count` or `_sum`. Labels in any order.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        if let Some(series) = self.family(name).and_then(|family| family.get(labels)) {
            return series.value.number();
        }
        let of = |suffix: &str| self.histogram(name.strip_suffix(suffix)?, labels);
        of("_count").map(|h| h.count() as f64).or_else(|| of("_sum").map(HistogramSnapshot::sum))
    }

    /// The histogram of that name and label set. Labels in any order.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Option<&HistogramSnapshot> {
        match &self.family(name)?.get(labels)?.value {
            Value::Histogram(histogram) => Some(histogram),
            Value::Counter(_) | Value::Gauge(_) => None,
        }
    }

    /// What happened between `earlier` and this: counters and histograms as differences, gauges as they are now.
    ///
    /// A series that `earlier` does not have, or whose count went back because it was removed and made again, counts
    /// from zero.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut families = self.families.clone();
        for family in &mut families {
            let Some(before) = earlier.family(&family.name) else { continue };
            for series in &mut family.series {
                if let Some(old) = before.series.iter().find(|old| old.labels == series.labels) {
                    series.value = series.value.since(&old.value);
                }
            }
        }
        Self { families }
    }
}

impl FamilySnapshot {
    /// The series with exactly these labels, in any order.
    pub fn get(&self, labels: &[(&str, &str)]) -> Option<&SeriesSnapshot> {
        self.series.iter().find(|series| {
            series.labels.len() == labels.len()
                && labels
                    .iter()
                    .all(|(name, value)| series.labels.iter().any(|(n, v)| n == name && v == value))
        })
    }
}

impl Value {
    /// The number of a counter or gauge.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Counter(number) | Self::Gauge(number) => Some(*number),
            Self::Histogram(_) => None,
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        match (self, earlier) {
            (Self::Counter(now), Self::Counter(then)) if now >= then => Self::Counter(now - then),
            (Self::Histogram(now), Self::Histogram(then)) => Self::Histogram(now.since(then)),
            _ => self.clone(),
        }
    }
}

/// What a histogram had observed at one time; count, sum and buckets agree.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSnapshot {
    bounds: Vec<f64>,
    counts: Vec<u64>,
    sum: f64,
}

impl HistogramSnapshot {
    pub(crate) fn new(bounds: Vec<f64>, counts: Vec<u64>, sum: f64) -> Self {
        Self { bounds, counts, sum }
    }

    /// Upper bounds of all buckets but the last, which has none.
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// Observations in each bucket alone; one more than there are bounds.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Observations in all.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |total, n| total.saturating_add(*n))
    }

    /// The sum of all observations.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The mean of all observations; `None` without any.
    pub fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum / self.count() as f64)
    }

    /// The value below which a share `q` (0 to 1) of the observations lies, interpolated within its bucket as
    /// PromQL's `histogram_quantile` does it; `None` without observations, or when `q` is not between 0 and 1.
    ///
    /// A quantile in the last bucket is the highest bound: the histogram knows no more. Without any bound it is `None`.
    ///
    /// ```
    /// # use tidegate_telemetry::Registry;
    /// # let registry = Registry::new();
    /// let seconds = registry.histogram("wait_seconds", "Time waited.", [1.0, 2.0, 4.0])?;
    /// (0..10).for_each(|_| seconds.observe(1.5));
    /// assert_eq!(seconds.snapshot().quantile(0.5), Some(1.5));
    /// # Ok::<(), tidegate_telemetry::RegisterError>(())
    /// ```
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = q * count as f64;
        let mut below = 0_u64;
        for (i, n) in self.counts.iter().enumerate() {
            let upto = below + n;
            if upto as f64 >= rank {
                return self.within(i, rank - below as f64, *n as f64);
            }
            below = upto;
        }
        self.bounds.last().copied()
    }

    /// The value at `rank` of the `n` observations in bucket `i`.
    fn within(&self, i: usize, rank: f64, n: f64) -> Option<f64> {
        let Some(upper) = self.bounds.get(i).copied() else { return self.bounds.last().copied() };
        // The first bucket begins at 0, or, when its bound is not above 0, has no beginning.
        let lower = match i {
            0 if upper <= 0.0 => return Some(upper),
            0 => 0.0,
            _ => self.bounds[i - 1],
        };
        Some(if n == 0.0 { lower } else { lower + (upper - lower) * (rank / n) })
    }

    /// What was observed after `earlier`; all of this when `earlier` is not an earlier state of the same histogram.
    pub fn since(&self, earlier: &Self) -> Self {
        let grown = self.bounds == earlier.bounds
            && self.counts.iter().zip(&earlier.counts).all(|(now, then)| now >= then);
        if !grown {
            return self.clone();
        }
        let counts =
            self.counts.iter().zip(&earlier.counts).map(|(now, then)| now - then).collect();
        Self { bounds: self.bounds.clone(), counts, sum: self.sum - earlier.sum }
    }
}
