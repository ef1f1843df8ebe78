//! Prometheus text and OpenMetrics, read line by line.

use std::fmt;

/// A line with a value.
#[derive(Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

/// A line that is neither a sample nor a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    line: usize,
    text: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.text.chars().take(80).collect();
        write!(f, "line {} is no metric: {shown:?}", self.line)
    }
}

/// The samples of a text, in either format; timestamps and exemplars are left out.
pub(crate) fn samples(text: &str) -> impl Iterator<Item = Result<Sample, BadLine>> {
    let lines = text.lines().enumerate().map(|(at, line)| (at, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(at, line)| {
        sample(line).ok_or_else(|| BadLine { line: at + 1, text: line.to_owned() })
    })
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' ', '\t'])?;
    let mut name = line[..end].to_owned();
    let mut rest = line[end..].trim_start();
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside.trim_start();
        loop {
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            // Names that are more than letters stand in quotes, that of the metric among the labels.
            let label = match rest.strip_prefix('"') {
                Some(quoted) => {
                    let (label, after) = unquoted(quoted)?;
                    rest = after.trim_start();
                    label
                }
                None => {
                    let (label, _) = rest.split_once('=')?;
                    rest = &rest[label.len()..];
                    label.trim_end().to_owned()
                }
            };
            match rest.strip_prefix('=') {
                Some(value) => {
                    let (value, after) = unquoted(value.trim_start().strip_prefix('"')?)?;
                    labels.push((label, value));
                    rest = after.trim_start();
                }
                None if name.is_empty() => name = label,
                None => return None,
            }
            rest = match rest.strip_prefix(',') {
                Some(after) => after.trim_start(),
                None => rest.strip_prefix('}').map(|_| rest)?,
            };
        }
    }
    let value = number(rest.split_whitespace().next()?)?;
    (!name.is_empty()).then_some(Sample { name, labels, value })
}

/// The text up to the closing quote, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                c @ ('\\' | '"') => value.push(c),
                // As Prometheus does with escapes that it does not know.
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    None
}

/// Rust takes "NaN" and "+Inf" in any case, as Go does, and besides them nothing but decimal numbers.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Sample>, BadLine> {
        samples(text).collect()
    }

    fn pairs(labels: &[(&str, &str)]) -> Vec<(String, String)> {
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn both_formats_are_read_with_labels_escapes_timestamps_and_exemplars() {
        let text = "# HELP a Help { 1\n# TYPE a counter\n\na 1\n  a{x=\"1\"}\t-2.5e-7 1700000000\r\n\
                    a{x=\"q\\\"b\\\\n\\nl}\", y = \"\",} +Inf\nb_bucket{le=\"1.0\"} 3 # {id=\"{7}\"} 0.5\n\
                    {\"über.all\",z=\"1\"} 9\n# EOF\n";
        let samples = read(text).expect("every line is good");
        let read: Vec<_> =
            samples.iter().map(|s| (s.name.as_str(), s.labels.clone(), s.value)).collect();
        assert_eq!(
            read,
            [
                ("a", pairs(&[]), 1.0),
                ("a", pairs(&[("x", "1")]), -2.5e-7),
                ("a", pairs(&[("x", "q\"b\\n\nl}"), ("y", "")]), f64::INFINITY),
                ("b_bucket", pairs(&[("le", "1.0")]), 3.0),
                ("über.all", pairs(&[("z", "1")]), 9.0),
            ]
        );
    }

    #[test]
    fn a_line_that_is_no_sample_is_told_with_its_number() {
        for line in [
            "a",
            "a ",
            "a{",
            "a{x} 1",
            "a{x=1} 1",
            "a{x=\"1} 1",
            "a{x=\"1\" y=\"2\"} 1",
            "a x",
            "{} 1",
            "<html>",
        ] {
            let error = read(&format!("# one\n{line}\n")).expect_err(line);
            assert_eq!(error.line, 2, "{line}");
        }
        assert_eq!(read("<p> x").expect_err("no").to_string(), "line 1 is no metric: \"<p> x\"");
    }

    #[test]
    fn what_telemetry_writes_is_read_back() {
        use tidegate_telemetry::{Format, Registry};
        let registry = Registry::new();
        let odd = registry.gauge_vec("odd", "With\nlines.", ["of"]).expect("the name is free");
        odd.set(["a\"b\\c\nd é}"], f64::NEG_INFINITY);
        let wait = registry.histogram("wait", "Time.", [0.1]).expect("the name is free");
        wait.observe_with_exemplar(0.05, &[("id", "7")]).expect("it is short");
        for format in [Format::Text, Format::OpenMetrics] {
            let samples = read(&registry.render(format)).expect("it is what scrapers read");
            let odd = samples.iter().find(|sample| sample.name == "odd").expect("it is there");
            assert_eq!(odd.labels, pairs(&[("of", "a\"b\\c\nd é}")]));
            let count =
                samples.iter().find(|sample| sample.name == "wait_count").expect("it is there");
            assert_eq!((odd.value, count.value), (f64::NEG_INFINITY, 1.0));
        }
    }

    #[test]
    fn no_text_panics() {
        use proptest::prelude::*;
        proptest!(|(text in "[a{}\"=,\\\\n 1#\té\n]{0,40}")| {
            let _ = read(&text);
        });
    }
}
