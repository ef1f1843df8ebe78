use super::*;

fn flat(node: &Node, path: &str, all: &mut Vec<String>) {
    match &node.value {
        Raw::Map(entries) => {
            for (key, _, value) in entries {
                flat(value, &format!("{path}.{key}"), all);
            }
        }
        value => {
            let Place { line, column } = node.place;
            all.push(format!("{}={value:?}@{line}:{column}", &path[1..]));
        }
    }
}

fn read(text: &str, format: Format) -> Vec<String> {
    let mut all = Vec::new();
    flat(&parse(text, format).expect("it is well written"), "", &mut all);
    all.sort();
    all
}

#[test]
fn the_three_formats_give_the_same_tree_each_with_its_places() {
    let yaml = "# ü\nlimit: 10\nretry:\n  factor: 2.5\n  on: true\nagents: {cöde: {wait: 5m}}\nlist: [1]\n";
    assert_eq!(
        read(yaml, Format::Yaml),
        [
            "agents.cöde.wait=Text(\"5m\")@6:23",
            "limit=Int(10)@2:8",
            "list=List@7:7",
            "retry.factor=Float(2.5)@4:11",
            "retry.on=Bool(true)@5:7",
        ]
    );
    let json = "{\"limit\": 10,\n\t\"retry\": {\"factor\": 2.5, \"on\": true},\n \
                \"agents\": {\"c\\u00f6de\": {\"wait\": \"5m\"}}, \"list\": [1]}\n";
    assert_eq!(
        read(json, Format::Json),
        [
            "agents.cöde.wait=Text(\"5m\")@3:35",
            "limit=Int(10)@1:11",
            "list=List@3:51",
            "retry.factor=Float(2.5)@2:22",
            "retry.on=Bool(true)@2:33",
        ]
    );
    let toml = "limit = 0xA\nlist = [1]\n[retry]\nfactor = 2.5\non = true\n[agents.\"cöde\"]\nwait = '5m'\n";
    assert_eq!(
        read(toml, Format::Toml),
        [
            "agents.cöde.wait=Text(\"5m\")@7:8",
            "limit=Int(10)@1:9",
            "list=List@2:8",
            "retry.factor=Float(2.5)@4:10",
            "retry.on=Bool(true)@5:6",
        ]
    );
}

#[test]
fn what_is_badly_written_is_told_with_its_place() {
    for (text, format, line) in [
        ("a: 1\nb: [1\n", Format::Yaml, 2),
        ("a: 1\na: 2\n", Format::Yaml, 2),
        ("{\"a\": 1,\n}", Format::Json, 2),
        ("{\"a\": 1,\n\"a\": 2}", Format::Json, 2),
        ("a = 1\nb = \n", Format::Toml, 2),
        ("a = 1\na = 2\n", Format::Toml, 2),
    ] {
        let error = parse(text, format).expect_err(text);
        assert!(error.place.line >= line && !error.what.is_empty(), "{text:?}: {error:?}");
    }
    for format in [Format::Yaml, Format::Json, Format::Toml] {
        assert_eq!(
            parse("", format).map(|node| node.value),
            Ok(Raw::Map(Vec::new())),
            "{format:?}"
        );
    }
}

#[test]
fn hostile_texts_end_in_an_error_and_not_in_the_stack() {
    let deep = "[".repeat(100_000);
    let nested = format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000));
    for format in [Format::Yaml, Format::Json, Format::Toml] {
        assert!(parse(&deep, format).is_err(), "{format:?}");
        assert!(parse(&nested, format).is_err(), "{format:?}");
    }
}
