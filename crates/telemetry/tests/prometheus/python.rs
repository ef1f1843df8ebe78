//! What both parsers of Python's client make of our texts, and of texts that are nearly ours.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::prelude::Rng as _;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tidegate_telemetry::Format;

use crate::folder::{Folder, write_samples};
use crate::{random, strict};

/// Runs a script with an argument; what it says.
fn run_python(script: &str, argument: &Path) -> String {
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(argument)
        .output()
        .expect("install python3");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "(pip install prometheus_client==0.26.0)\n{said}");
    said
}

#[test]
fn python_parsers_take_everything() {
    let folder = Folder::new("python");
    write_samples(&folder.0, 3_000);
    let script = r##"
import glob, sys
from prometheus_client.parser import text_string_to_metric_families as text
from prometheus_client.openmetrics.parser import text_string_to_metric_families as om
bad, samples = 0, 0
for parse, pattern in ((text, "txt"), (om, "om")):
    for path in glob.glob(sys.argv[1] + "/*." + pattern):
        content = open(path, newline="").read()
        try:
            got = [s for family in parse(content) for s in family.samples]
            lines = [l for l in content.split("\n") if l and not l.startswith("#")]
            assert len(got) == len(lines), (len(got), len(lines))
            samples += len(got)
        except Exception as error:
            bad += 1
            if bad < 10:
                print(path, repr(error), repr(content))
print(samples, "samples")
sys.exit(bad > 0 or samples < 1000)
"##;
    run_python(script, &folder.0);
}

/// What breaks a text, or nearly does.
const PIECES: [&str; 24] = [
    " ",
    "\"",
    "\\",
    "{",
    "}",
    ",",
    "=",
    "\n",
    "#",
    "# EOF\n",
    "# TYPE a counter\n",
    "# HELP a \n",
    "a 1\n",
    "_total",
    "_count",
    "le=\"1.0\"",
    "NaN",
    "-",
    "+Inf",
    "0",
    "9",
    "e",
    ".",
    "# {x=\"y\"} 1",
];

/// The text with a piece too many, too few or out of place.
fn broken(text: &str, chance: &mut impl FnMut(usize) -> usize) -> String {
    if text.is_empty() {
        return String::new();
    }
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let line = chance(lines.len());
    match chance(7) {
        0 => drop(lines.remove(line)),
        1 => lines.insert(line, lines[line]),
        2 => lines.swap(line, chance(text.lines().count())),
        _ => {
            let mut chars: Vec<String> = text.chars().map(String::from).collect();
            let (at, piece) = (chance(chars.len()), PIECES[chance(PIECES.len())].to_owned());
            match chance(4) {
                0 => drop(chars.remove(at)),
                1 => chars[at] = piece,
                2 => chars.insert(at, chars[at].clone()),
                _ => chars.insert(at, piece),
            }
            return chars.concat();
        }
    }
    lines.concat()
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes every write");
        hex
    })
}

/// What our parser reads: nothing when it refuses, else every sample, with its labels sorted and its value as bits.
fn ours(text: &str, open_metrics: bool) -> Option<Vec<String>> {
    let families = strict::parse(text, open_metrics).ok()?;
    let mut samples: Vec<String> = families
        .into_iter()
        .flat_map(|family| family.samples)
        .map(|mut sample| {
            sample.labels.sort();
            let labels: Vec<String> = sample
                .labels
                .iter()
                .map(|(name, value)| format!("{}={}", hex(name), hex(value)))
                .collect();
            let bits = if sample.value.is_nan() { 0x7ff8 << 48 } else { sample.value.to_bits() };
            format!("{}:{}:{bits:016x}", hex(&sample.name), labels.join(","))
        })
        .collect();
    samples.sort();
    Some(samples)
}

#[test]
fn our_strict_parser_takes_nothing_that_pythons_refuses_and_reads_the_same() {
    let folder = Folder::new("differential");
    let mut runner = TestRunner::deterministic();
    let mut cases = String::new();
    for i in 0..3_000 {
        let spec = random::spec().new_tree(&mut runner).expect("a registry").current();
        let (registry, _) = spec.build();
        for format in [Format::Text, Format::OpenMetrics] {
            let open_metrics = format == Format::OpenMetrics;
            let mut text = registry.render(format);
            // Each third as it is, broken once, broken twice.
            for _ in 0..i % 3 {
                text = broken(&text, &mut |below| runner.rng().next_u32() as usize % below.max(1));
            }
            let samples = ours(&text, open_metrics);
            let verdict =
                samples.map_or("-".to_owned(), |samples| format!("+{}", samples.join(";")));
            writeln!(cases, "{} {} {verdict}", u8::from(open_metrics), hex(&text))
                .expect("a string takes every write");
        }
    }
    let file = folder.0.join("cases");
    fs::write(&file, cases).expect("it can be written");
    let script = r##"
import struct, sys
from prometheus_client.parser import text_string_to_metric_families as text
from prometheus_client.openmetrics.parser import text_string_to_metric_families as om
def bits(value):
    return "7ff8000000000000" if value != value else struct.pack(">d", value).hex()
def sample(s):
    labels = sorted((k.encode(), v.encode()) for k, v in s.labels.items())
    return "%s:%s:%s" % (s.name.encode().hex(), ",".join(k.hex() + "=" + v.hex() for k, v in labels), bits(float(s.value)))
seen = {"both take": 0, "both refuse": 0, "only Python takes": 0}
bad = 0
for line in open(sys.argv[1]):
    open_metrics, content, ours = line.rstrip("\n").split(" ")
    content = bytes.fromhex(content).decode()
    try:
        theirs = "+" + ";".join(sorted(sample(s) for f in (om if open_metrics == "1" else text)(content) for s in f.samples))
    except Exception as error:
        theirs, why = "-", error
    if ours == theirs:
        seen["both refuse" if ours == "-" else "both take"] += 1
    elif ours == "-":
        seen["only Python takes"] += 1
    else:
        bad += 1
        if bad < 10:
            print(repr(content), "\n ours", ours, "\n theirs", theirs, repr(why) if theirs == "-" else "")
print(seen, bad, "bad")
sys.exit(bad > 0 or seen["both take"] < 2000 or seen["both refuse"] < 1000)
"##;
    run_python(script, &file);
}
