//! A parser that takes exactly what the two formats allow and nothing more: it refuses what real scrapers let pass.

use std::collections::{BTreeMap, BTreeSet};

/// A family as it was read.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) help: Option<String>,
    pub(crate) unit: Option<String>,
    pub(crate) samples: Vec<Sample>,
}

/// A sample as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
    pub(crate) exemplar: Option<(Vec<(String, String)>, f64)>,
}

/// Reads a whole exposition.
pub(crate) fn parse(text: &str, open_metrics: bool) -> Result<Vec<Family>, String> {
    let body = if open_metrics {
        text.strip_suffix("# EOF\n").ok_or("no # EOF at the end")?
    } else {
        text
    };
    if !body.is_empty() && !body.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    let mut families: Vec<Family> = Vec::new();
    for line in body.split_terminator('\n') {
        read_line(line, open_metrics, &mut families).map_err(|why| format!("{why}: {line:?}"))?;
    }
    let mut names = BTreeSet::new();
    let mut series = BTreeSet::new();
    for family in &families {
        if family.kind.is_empty() {
            return Err(format!("{}: no TYPE", family.name));
        }
        let own = suffixes(&family.kind, open_metrics).iter().copied().chain([""]);
        let own: BTreeSet<String> = own.map(|suffix| format!("{}{suffix}", family.name)).collect();
        for name in own {
            if !names.insert(name.clone()) {
                return Err(format!("{name}: belongs to two families"));
            }
        }
        if family.unit.as_ref().is_some_and(|unit| !family.name.ends_with(&format!("_{unit}"))) {
            return Err(format!("{}: the unit is not the end of the name", family.name));
        }
        for sample in &family.samples {
            let mut labels = sample.labels.clone();
            labels.sort();
            if !series.insert((sample.name.clone(), labels)) {
                return Err(format!("{sample:?}: comes twice"));
            }
        }
        if open_metrics {
            grouped(family)?;
        }
        if family.kind == "histogram" {
            histogram(family, open_metrics)?;
        } else if family.kind == "counter"
            && family.samples.iter().any(|sample| sample.value.is_nan() || sample.value < 0.0)
        {
            return Err(format!("{}: a counter that is negative or no number", family.name));
        }
    }
    Ok(families)
}

/// The samples of one label set stand together.
fn grouped(family: &Family) -> Result<(), String> {
    let own = |sample: &Sample| {
        let mut labels = sample.labels.clone();
        labels.retain(|(name, _)| family.kind != "histogram" || name != "le");
        labels.sort();
        labels
    };
    let mut sets: Vec<Labels> = family.samples.iter().map(own).collect();
    sets.dedup();
    let sets_in_all = sets.len();
    sets.sort();
    sets.dedup();
    if sets.len() < sets_in_all {
        return Err(format!("{}: the samples of a label set are apart", family.name));
    }
    Ok(())
}

fn suffixes(kind: &str, open_metrics: bool) -> &'static [&'static str] {
    match (kind, open_metrics) {
        ("counter", true) => &["_total", "_created"],
        ("histogram", true) => &["_bucket", "_sum", "_count", "_created"],
        ("histogram", false) => &["_bucket", "_sum", "_count"],
        _ => &[""],
    }
}

fn read_line(line: &str, open_metrics: bool, families: &mut Vec<Family>) -> Result<(), String> {
    if line.is_empty() {
        return Err("an empty line".to_owned());
    }
    let Some(comment) = line.strip_prefix('#') else {
        let family = families.last_mut().ok_or("a sample before any TYPE")?;
        let sample = sample(line, open_metrics)?;
        let fits = |suffix: &&str| sample.name == format!("{}{suffix}", family.name);
        if !suffixes(&family.kind, open_metrics).iter().any(fits) {
            return Err("a sample of another family".to_owned());
        }
        family.samples.push(sample);
        return Ok(());
    };
    let (keyword, rest) =
        comment.strip_prefix(' ').and_then(|c| c.split_once(' ')).ok_or("a comment")?;
    let (name, rest) = rest.split_once(' ').ok_or("no value")?;
    if !is_name(name, true) {
        return Err("a bad name".to_owned());
    }
    // HELP comes first in the text format, TYPE in OpenMetrics; other metadata belongs to the family that is open.
    let opens = keyword == if open_metrics { "TYPE" } else { "HELP" }
        || families.last().is_none_or(|f| f.name != name);
    if opens {
        families.push(Family { name: name.to_owned(), ..Family::default() });
    }
    let family = families.last_mut().expect("there is one now");
    if family.name != name || !family.samples.is_empty() {
        return Err("metadata in the middle of a family".to_owned());
    }
    match keyword {
        "TYPE" if family.kind.is_empty() && ["counter", "gauge", "histogram"].contains(&rest) => {
            family.kind = rest.to_owned();
        }
        "UNIT" if open_metrics && family.unit.is_none() && family.help.is_none() => {
            family.unit = Some(rest.to_owned())
        }
        "HELP" if family.help.is_none() => family.help = Some(unescape(rest, open_metrics)?),
        _ => return Err("metadata that is unknown, twice or out of order".to_owned()),
    }
    Ok(())
}

fn sample(line: &str, open_metrics: bool) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, rest) = line.split_at(end);
    if !is_name(name, true) {
        return Err("a bad name".to_owned());
    }
    let (labels, rest) = labels(rest)?;
    let rest = rest.strip_prefix(' ').ok_or("no space before the value")?;
    let (value_text, exemplar_text) = match rest.split_once(" # ") {
        Some((value, exemplar)) if open_metrics => (value, Some(exemplar)),
        _ => (rest, None),
    };
    let exemplar = exemplar_text.map(exemplar).transpose()?;
    Ok(Sample { name: name.to_owned(), labels, value: number(value_text)?, exemplar })
}

fn exemplar(text: &str) -> Result<(Vec<(String, String)>, f64), String> {
    let (labels, rest) = labels(text)?;
    if labels.iter().map(|(n, v)| n.chars().count() + v.chars().count()).sum::<usize>() > 128 {
        return Err("an exemplar that is too long".to_owned());
    }
    let mut parts = rest.strip_prefix(' ').ok_or("an exemplar without a value")?.split(' ');
    let value = number(parts.next().unwrap_or_default())?;
    parts.next().map(number).transpose()?;
    parts.next().map_or(Ok((labels, value)), |_| Err("more than an exemplar".to_owned()))
}

/// Names and values.
type Labels = Vec<(String, String)>;

fn labels(text: &str) -> Result<(Labels, &str), String> {
    let Some(mut rest) = text.strip_prefix('{') else { return Ok((Vec::new(), text)) };
    let mut all: Labels = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        let end = closing_quote(after).ok_or("a label value without an end")?;
        if !is_name(name, false) || all.iter().any(|(other, _)| other == name) {
            return Err(format!("label name {name:?}"));
        }
        all.push((name.to_owned(), unescape(&after[..end], true)?));
        rest = &after[end + 1..];
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((all, after));
        }
        rest = rest.strip_prefix(',').ok_or("neither comma nor brace after a label")?;
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|c| {
        let closes = c == b'"' && !escaped;
        escaped = c == b'\\' && !escaped;
        closes
    })
}

fn unescape(text: &str, quotes: bool) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match (c, quotes) {
            ('\\', _) => match chars.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if quotes => '"',
                other => return Err(format!("escape {other:?}")),
            },
            ('"', true) => return Err("a quote without an escape".to_owned()),
            (c, _) => c,
        });
    }
    Ok(out)
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "NaN" => Ok(f64::NAN),
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        _ if text.bytes().all(|c| c.is_ascii_digit() || b"+-.e".contains(&c)) => {
            text.parse().map_err(|_| format!("number {text:?}"))
        }
        _ => Err(format!("number {text:?}")),
    }
}

fn is_name(name: &str, metric: bool) -> bool {
    let first = |c: u8| c.is_ascii_alphabetic() || c == b'_' || metric && c == b':';
    name.bytes().next().is_some_and(first) && name.bytes().all(|c| first(c) || c.is_ascii_digit())
}

/// Buckets, count and sum.
type Set = (Vec<(f64, f64)>, Option<f64>, Option<f64>);

/// Buckets rise and end with `+Inf`, which is the count.
fn histogram(family: &Family, open_metrics: bool) -> Result<(), String> {
    let mut sets: BTreeMap<Labels, Set> = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        let le = labels.iter().position(|(name, _)| name == "le").map(|at| labels.remove(at).1);
        let set = sets.entry(labels).or_default();
        match (sample.name.strip_prefix(family.name.as_str()), le) {
            (Some("_bucket"), Some(le)) => {
                let bound = number(&le)?;
                if le != "+Inf" && !le.contains(['.', 'e']) {
                    return Err(format!("{}: bound {le:?} is not canonical", family.name));
                }
                if let Some((_, exemplar)) = &sample.exemplar
                    && (exemplar.is_nan() || *exemplar > bound)
                {
                    return Err(format!("{}: an exemplar above its bucket", family.name));
                }
                set.0.push((bound, sample.value));
            }
            (Some("_count"), None) => set.1 = Some(sample.value),
            (Some("_sum"), None) => set.2 = Some(sample.value),
            (Some("_created"), None) => {}
            _ => return Err(format!("{sample:?}: not a sample of a histogram")),
        }
    }
    for (labels, (buckets, count, sum)) in sets {
        let rising = buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        let last = buckets.last().copied().unwrap_or_default();
        let whole = count.is_some() == sum.is_some() && (open_metrics || count.is_some());
        let sum_fits = !open_metrics || sum.is_none_or(|sum| sum >= 0.0);
        if !rising
            || last.0 != f64::INFINITY
            || count.is_some_and(|n| n != last.1)
            || !whole
            || !sum_fits
        {
            return Err(format!(
                "{}{labels:?}: {buckets:?}, count {count:?}, sum {sum:?}",
                family.name
            ));
        }
    }
    Ok(())
}
