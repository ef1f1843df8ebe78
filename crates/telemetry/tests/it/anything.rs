//! Whatever is registered, the text is in order and says what was counted.

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tidegate_telemetry::{Format, Registry};

use crate::random::spec;
use crate::strict::{Sample, parse};

/// Ten thousand registries, a million in the nightly run.
fn cases() -> u32 {
    if std::env::var_os("TIDEGATE_NIGHTLY").is_some() { 1_000_000 } else { 10_000 }
}

fn is_count_or_sum(name: &str) -> bool {
    name.ends_with("_count") || name.ends_with("_sum")
}

fn samples(registry: &Registry, format: Format) -> Result<Vec<Sample>, TestCaseError> {
    let text = registry.render(format);
    let families = parse(&text, format == Format::OpenMetrics)
        .map_err(|why| TestCaseError::fail(format!("{format:?}: {why}\n{text}")))?;
    Ok(families.into_iter().flat_map(|family| family.samples).collect())
}

#[test]
fn no_registry_writes_what_a_strict_parser_refuses() {
    let config = Config { cases: cases(), failure_persistence: None, ..Config::default() };
    let every = |spec: crate::random::Spec| {
        let (registry, expected) = spec.build();
        for format in [Format::Text, Format::OpenMetrics] {
            let samples = samples(&registry, format)?;
            for (name, labels, bits) in &expected {
                let found =
                    samples.iter().find(|sample| sample.name == *name && sample.labels == *labels);
                let value = match found {
                    Some(sample) => sample.value,
                    // OpenMetrics has neither where the sum may fall, which the strict parser checks.
                    None if format == Format::OpenMetrics && is_count_or_sum(name) => continue,
                    None => {
                        return Err(TestCaseError::fail(format!(
                            "{format:?}: no {name}{labels:?}"
                        )));
                    }
                };
                let same =
                    value.to_bits() == *bits || value.is_nan() && f64::from_bits(*bits).is_nan();
                if !same {
                    return Err(TestCaseError::fail(format!(
                        "{name}{labels:?}: {value} is not {}",
                        f64::from_bits(*bits)
                    )));
                }
            }
        }
        Ok(())
    };
    TestRunner::new(config).run(&spec(), every).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn the_strict_parser_refuses_what_others_let_pass() {
    let bad = [
        "a 1\n",
        "# TYPE a gauge\na 1",
        "# TYPE a gauge\n\na 1\n",
        "# TYPE a gauge\na 1\na 1\n",
        "# TYPE a gauge\na{x=\"1\",x=\"2\"} 1\n",
        "# TYPE a gauge\na{x=\"\\t\"} 1\n",
        "# TYPE a gauge\na  1\n",
        "# TYPE a gauge\na 0x1\n",
        "# TYPE a gauge\nb 1\n",
        "# TYPE a gauge\n# TYPE a gauge\na 1\n",
        "# TYPE a counter\na -1\n",
        "# TYPE a counter\na NaN\n",
        "# note\n# TYPE a gauge\na 1\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        "# TYPE h histogram\nh_bucket{le=\"1.0\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_sum 1\nh_count 1\n",
        "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n",
    ];
    for text in bad {
        assert!(parse(text, false).is_err(), "{text}");
    }
    let good = "# HELP a x\n# TYPE a gauge\na{x=\"\\\\\\n\\\"\"} -1e-300\n";
    assert_eq!(parse(good, false).unwrap()[0].samples[0].labels[0].1, "\\\n\"");
    assert!(parse("# TYPE a gauge\na 1\n", true).is_err());
    assert!(parse("# TYPE a counter\na 1\n# EOF\n", true).is_err());
    let apart =
        "# TYPE a counter\na_total{x=\"1\"} 1\na_total{x=\"2\"} 1\na_created{x=\"1\"} 1\n# EOF\n";
    assert!(parse(apart, true).is_err());
}
