//! Metrics of another program, over HTTP.

use std::fmt;
use std::time::Duration;

use hyper::Uri;
use tokio::time::timeout;

use super::exposition::{self, Sample};
use super::{Reading, Source};
use crate::chat::error::taken_out;
use crate::chat::transport::{Bounds, Transport};

/// A metric of another program: its name, and the labels that a series of it must have. Several series that have them count
/// as their sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    name: String,
    labels: Vec<(String, String)>,
}

impl Series {
    /// All series of the metric. Those of a histogram have names of their own: `wait_seconds_count`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), labels: Vec::new() }
    }

    /// Only those with this label.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    fn is_of(&self, sample: &Sample) -> bool {
        self.name == sample.name && self.labels.iter().all(|label| sample.labels.contains(label))
    }

    fn sum(&self, samples: &[Sample]) -> Option<f64> {
        let mut values = samples.iter().filter(|sample| self.is_of(sample)).map(|s| s.value);
        values.next().map(|first| first + values.sum::<f64>())
    }
}

impl From<&str> for Series {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let mut before = '{';
        for (name, value) in &self.labels {
            write!(f, "{before}{name}={value:?}")?;
            before = ',';
        }
        if self.labels.is_empty() { Ok(()) } else { f.write_str("}") }
    }
}

/// The share that failed, by two counters.
#[derive(Debug)]
struct Failing {
    failed: Series,
    all: Series,
    before: Option<(f64, f64)>,
}

/// Reads metrics that another program shows as Prometheus text or OpenMetrics: a model server, a database, a proxy.
///
/// An answer that does not come in time, is too long or is no text of metrics changes nothing, and is told as
/// [trouble](Source::trouble).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tidegate_workflow::{HttpSource, Series};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let model = Series::new("vllm:num_requests_waiting").label("model_name", "small");
/// let source = HttpSource::new("http://10.0.0.7:8000/metrics")?
///     .gpu_wait(model)
///     .error_share("http_errors_total", "http_requests_total")
///     .within(Duration::from_millis(500));
/// # drop(source); Ok(()) }
/// ```
pub struct HttpSource {
    uri: Uri,
    /// As it may be told: without user, password and query.
    address: String,
    within: Duration,
    at_most: usize,
    transport: Option<Transport>,
    queue_depth: Option<Series>,
    gpu_wait: Option<Series>,
    error_rate: Option<Series>,
    failing: Option<Failing>,
    trouble: Option<String>,
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSource")
            .field("address", &self.address)
            .field("within", &self.within)
            .field("trouble", &self.trouble)
            .finish_non_exhaustive()
    }
}

impl HttpSource {
    /// A source that reads nothing until it is given series.
    ///
    /// # Errors
    /// When the address is none of HTTP.
    pub fn new(address: &str) -> Result<Self, NotAnAddress> {
        let uri: Uri = address.parse().map_err(|_| NotAnAddress(shown(address)))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(NotAnAddress(shown(address)));
        }
        Ok(Self {
            uri,
            address: shown(address),
            within: Duration::from_secs(2),
            at_most: 16 << 20,
            transport: None,
            queue_depth: None,
            gpu_wait: None,
            error_rate: None,
            failing: None,
            trouble: None,
        })
    }

    /// What tells how many wait.
    pub fn queue_depth(mut self, series: impl Into<Series>) -> Self {
        self.queue_depth = Some(series.into());
        self
    }

    /// What tells the GPU wait.
    pub fn gpu_wait(mut self, series: impl Into<Series>) -> Self {
        self.gpu_wait = Some(series.into());
        self
    }

    /// What tells the error rate.
    pub fn error_rate(mut self, series: impl Into<Series>) -> Self {
        self.error_rate = Some(series.into());
        self
    }

    /// Two counters whose growth since the last read tells the error rate: of what failed, and of everything. It is 0 while
    /// nothing happens, and unknown at the first read.
    pub fn error_share(mut self, failed: impl Into<Series>, all: impl Into<Series>) -> Self {
        self.failing = Some(Failing { failed: failed.into(), all: all.into(), before: None });
        self
    }

    /// How long a read may take in all; 2 s unless set.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// How many bytes an answer may have; 16 MiB unless set.
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.at_most = bytes;
        self
    }

    async fn samples(&mut self) -> Result<Vec<Sample>, String> {
        let bounds = Bounds {
            connect: self.within,
            head: self.within,
            piece: self.within,
            bytes: self.at_most,
        };
        let transport = self.transport.get_or_insert_with(|| Transport::new(bounds));
        let body = transport.get(&self.uri, "text/plain; version=0.0.4").await;
        let body = async { body?.rest().await }.await.map_err(|error| error.to_string())?;
        let text = String::from_utf8(body).map_err(|_| "the answer is no UTF-8".to_owned())?;
        let wanted: Vec<&Series> = self.wanted().collect();
        let samples = exposition::samples(&text).filter(|sample| {
            sample.as_ref().map_or(true, |sample| wanted.iter().any(|series| series.is_of(sample)))
        });
        samples.collect::<Result<_, _>>().map_err(|error| error.to_string())
    }

    fn wanted(&self) -> impl Iterator<Item = &Series> {
        let failing = self.failing.iter().flat_map(|failing| [&failing.failed, &failing.all]);
        self.queue_depth.iter().chain(&self.gpu_wait).chain(&self.error_rate).chain(failing)
    }

    fn reading(&mut self, samples: &[Sample]) -> Reading {
        let missing = self.wanted().find(|series| series.sum(samples).is_none());
        self.trouble = missing.map(|series| format!("{} has no series `{series}`", self.address));
        let sum = |series: &Option<Series>| series.as_ref()?.sum(samples);
        let share = self.failing.as_mut().and_then(|failing| {
            let now = (failing.failed.sum(samples)?, failing.all.sum(samples)?);
            let (failed, all) = failing.before.replace(now)?;
            let (failed, all) = (now.0 - failed, now.1 - all);
            // Counters that went back began anew.
            let is_sound = failed >= 0.0 && all >= 0.0;
            is_sound.then(|| if all > 0.0 { (failed / all).min(1.0) } else { 0.0 })
        });
        Reading {
            queue_depth: sum(&self.queue_depth),
            gpu_wait: sum(&self.gpu_wait),
            error_rate: sum(&self.error_rate).or(share),
        }
    }
}

impl Source for HttpSource {
    async fn read(&mut self) -> Reading {
        let within = self.within;
        let samples = timeout(within, self.samples()).await;
        let samples =
            samples.unwrap_or_else(|_| Err(format!("no answer was complete within {within:?}")));
        match samples {
            Ok(samples) => self.reading(&samples),
            Err(why) => {
                let why = format!("{}: {why}", self.address);
                self.trouble = Some(secrets(&self.uri).fold(why, |why, of| taken_out(&why, of)));
                Reading::default()
            }
        }
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }
}

/// The address is none of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnAddress(String);

impl fmt::Display for NotAnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no address such as `http://10.0.0.7:8000/metrics`", self.0)
    }
}

impl std::error::Error for NotAnAddress {}

/// What a server must not be quoted with: the password of an address, and the values of its query.
fn secrets(uri: &Uri) -> impl Iterator<Item = &str> {
    let user = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@'));
    let password =
        user.map(|(user, _)| user.split_once(':').map_or(user, |(_, password)| password));
    let values = uri.query().unwrap_or_default().split('&');
    let values = values.map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    password.into_iter().chain(values)
}

/// Without user, password and query, which may hold a token.
fn shown(address: &str) -> String {
    let address = address.split_once('?').map_or(address, |(before, _)| before);
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> HttpSource {
        HttpSource::new("http://x/").expect("it is an address").error_share("failed", "all")
    }

    /// The error rate after each of these counts of failures and of everything.
    fn rates<const N: usize>(source: &mut HttpSource, counts: [(f64, f64); N]) -> [Option<f64>; N] {
        counts.map(|(failed, all)| {
            let sample = |name: &str, value| Sample { name: name.into(), labels: vec![], value };
            let samples = [sample("failed", failed), sample("all", all), sample("rate", 0.5)];
            source.reading(&samples).error_rate
        })
    }

    #[test]
    fn the_share_that_failed_is_unknown_when_a_counter_has_begun_anew() {
        let counts = [(5.0, 10.0), (1.0, 20.0), (2.0, 3.0), (4.0, 7.0)];
        assert_eq!(rates(&mut source(), counts), [None, None, None, Some(0.5)]);
    }

    #[test]
    fn no_more_than_all_of_it_failed() {
        assert_eq!(rates(&mut source(), [(0.0, 0.0), (9.0, 3.0)])[1], Some(1.0));
    }

    #[test]
    fn an_error_rate_that_is_told_counts_more_than_one_that_is_worked_out() {
        let mut told = source().error_rate("rate");
        assert_eq!(rates(&mut told, [(0.0, 0.0), (3.0, 4.0)]), [Some(0.5); 2]);
    }
}
