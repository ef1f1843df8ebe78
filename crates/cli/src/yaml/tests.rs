use super::{Value, parse};
use crate::diagnostic::Pos;

#[test]
fn each_value_and_key_knows_its_place() {
    let root = parse("a: 1\nb:\n  - x\n  - {c: 1.10}\n").expect("YAML");
    let Value::Map(entries) = root.value else { panic!("a mapping") };
    assert_eq!(entries[1].0.at, Pos { line: 2, column: 1 });
    let Value::Seq(items) = &entries[1].1.value else { panic!("a list") };
    assert_eq!(items[0].at, Pos { line: 3, column: 5 });
    let Value::Map(inner) = &items[1].value else { panic!("a mapping") };
    assert_eq!(
        (inner[0].0.at, inner[0].1.at),
        (Pos { line: 4, column: 6 }, Pos { line: 4, column: 9 })
    );
    assert_eq!(inner[0].1.text().as_deref(), Some("1.10"), "as written");
}

#[test]
fn an_alias_bomb_ends_in_an_error() {
    // A million million items, had nobody counted them.
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for i in 1..12 {
        let row = vec![format!("*a{}", i - 1); 10].join(",");
        bomb.push_str(&format!("a{i}: &a{i} [{row}]\n"));
    }
    let error = parse(&bomb).expect_err("a bomb");
    assert!(error.hint.is_some() && error.at.is_some(), "{error:?}");
}

#[test]
fn deep_nesting_ends_in_an_error() {
    for bomb in ["[".repeat(100_000), "- ".repeat(100_000), "a: {".repeat(50_000)] {
        let error = parse(&bomb).expect_err("too deep");
        assert!(error.at.is_some(), "{error:?}");
    }
}
