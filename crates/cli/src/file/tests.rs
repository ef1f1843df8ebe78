use std::time::Duration;

use proptest::prelude::*;

use super::{parse, parse_duration};

#[test]
fn durations_read_as_people_write_them() {
    for (text, millis) in [
        ("500ms", 500),
        ("30s", 30_000),
        ("1h30m", 5_400_000),
        ("1.5s", 1_500),
        ("2d", 172_800_000),
        ("1m 5s", 65_000),
    ] {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for bad in ["", "10", "5x", "s", "-1s", "1s1m", "1.2.3s", "9999999999d", "1e9s", "∞"] {
        assert!(parse_duration(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_size_that_no_number_holds_is_no_size() {
    let size =
        |text: &str| parse(&format!("limits: {{capture: {text}}}\ntasks: {{a: {{run: echo}}}}"));
    assert_eq!(size("2 MiB").expect("a size").limits.capture, Some(2 << 20));
    for text in ["17592186044417 MiB", "2000 MiB", "1 GiB"] {
        assert!(size(text).is_err(), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_without_end_is_read_up_to_the_bound() {
    let error = super::text_of("/dev/zero".as_ref()).expect_err("no workflow");
    assert!(error.message.contains("larger than 4 MiB"), "{error:?}");
}

#[test]
fn the_place_of_a_template_error_is_exact() {
    let text = "tasks:\n  a:\n    run: |\n      echo\n      echo {{ nope }}\n  b: {run: \"echo {{ nope }}\"}\n";
    let found = parse(text).expect_err("two bad names");
    let places: Vec<_> = found.iter().filter_map(|d| Some((d.at?.line, d.at?.column))).collect();
    assert_eq!(places, [(5, 15), (6, 21)]);
}

#[test]
fn ten_thousand_tasks_in_a_chain_are_checked_without_recursion() {
    let mut text = String::from("tasks:\n  t0: {needs: t9999, run: echo}\n");
    for i in 1..10_000 {
        text.push_str(&format!("  t{i}: {{needs: t{}, run: echo}}\n", i - 1));
    }
    let found = parse(&text).expect_err("a cycle");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("cycle"), "{found:?}");
}

#[test]
fn the_reference_in_the_readme_is_a_workflow() {
    let readme = include_str!("../../README.md");
    let files: Vec<&str> =
        readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(files.len(), 1);
    let workflow = parse(files[0]).expect("the reference is valid");
    assert_eq!(workflow.tasks.len(), 4);
}

const PIECES: &[&str] = &[
    "tasks",
    "needs",
    "run",
    "foreach",
    "retry",
    "timeout",
    "agent",
    "env",
    "inputs",
    "limits",
    "agents",
    ": ",
    ":\n",
    "\n",
    "  ",
    "    ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "a",
    "b",
    "\"",
    "'",
    "|\n",
    ">\n",
    "{{ ",
    " }}",
    "{% ",
    " %}",
    "tasks.a.output",
    "item",
    "&x ",
    "*x",
    "<<: ",
    "!!int ",
    "1",
    "1.5",
    "true",
    "null",
    "30s",
    "#",
    "\t",
    "é",
    "---\n",
    "? ",
    "~",
    "%YAML 1.2\n",
    "\u{feff}",
    "\\",
    "0x1",
    ".inf",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parser_panic(parts in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        let text = parts.concat();
        let source = super::Source::new("x.yaml".as_ref(), text.clone());
        for diagnostic in parse(&text).err().into_iter().flatten() {
            let shown = source.show(&diagnostic).to_string();
            prop_assert!(shown.starts_with("error: "), "{shown}");
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }
}
