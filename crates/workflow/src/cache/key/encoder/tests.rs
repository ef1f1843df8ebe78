use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::json;

use super::*;

fn bytes(value: impl Serialize) -> Vec<u8> {
    encode(&value).expect("it can be serialized")
}

#[test]
fn json_values_that_differ_have_different_keys() {
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.0),
        json!(""),
        json!("a"),
        json!([]),
        json!({}),
        json!([1]),
        json!([[1], 2]),
        json!([[1, 2]]),
        json!([1, [2]]),
        json!(["a", "b"]),
        json!({"a": "b"}),
        json!({"a": null}),
        json!([null]),
        json!({"a": {"b": 1}}),
        json!({"a": {}, "b": 1}),
    ];
    let keys: HashSet<Vec<u8>> = values.iter().map(bytes).collect();
    assert_eq!(keys.len(), values.len());
}

#[test]
fn a_field_that_is_left_out_is_not_another_one() {
    #[derive(Serialize)]
    struct Ask {
        #[serde(skip_serializing_if = "Option::is_none")]
        temperature: Option<f32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        top_p: Option<f32>,
    }
    let ask = |temperature, top_p| bytes(Ask { temperature, top_p });
    assert_ne!(ask(Some(0.5), None), ask(None, Some(0.5)));
    assert_eq!(ask(Some(0.5), None), ask(Some(0.5), None));
}

#[test]
fn a_map_has_one_key_in_whatever_order_its_entries_come() {
    let entries = || (0..50).map(|n| (n.to_string(), n));
    let sorted: BTreeMap<String, i32> = entries().collect();
    for _ in 0..5 {
        // Each has an order of its own.
        let map: HashMap<String, i32> = entries().collect();
        assert_eq!(bytes(&map), bytes(&sorted));
    }
    let other: HashMap<String, i32> = entries().map(|(key, n)| (key, n + 1)).collect();
    assert_ne!(bytes(&other), bytes(&sorted));
}

#[test]
fn the_same_number_is_the_same_key_in_every_type() {
    assert_eq!(bytes(12_u8), bytes(12_i64));
    assert_eq!(bytes(-12_i8), bytes(-12_i128));
    assert_eq!(bytes(u64::MAX), bytes(u128::from(u64::MAX)));
    assert_ne!(bytes(u128::MAX), bytes(i128::MIN));
}

#[test]
fn enums_options_and_texts_are_told_apart() {
    #[derive(Serialize)]
    enum Kind {
        Unit,
        One(u8),
        Two(u8, u8),
        Named { a: u8 },
    }
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Any {
        Number(u8),
        Flag(bool),
    }
    let keys = [
        bytes(Kind::Unit),
        bytes(Kind::One(1)),
        bytes(Kind::Two(1, 1)),
        bytes(Kind::Named { a: 1 }),
        bytes(Any::Number(1)),
        bytes(Any::Flag(true)),
        bytes(Some(1_u8)),
        bytes(None::<u8>),
        bytes(()),
        bytes('a'),
        bytes("a"),
        bytes(("a", "bc")),
        bytes(("ab", "c")),
        bytes([0.0_f64]),
        bytes([-0.0_f64]),
    ];
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
}

#[test]
fn what_is_flattened_can_be_a_key() {
    #[derive(Serialize)]
    struct Ask {
        model: String,
        #[serde(flatten)]
        more: BTreeMap<String, u8>,
    }
    let ask = |n| Ask { model: "m".into(), more: [("seed".to_owned(), n)].into() };
    assert_ne!(bytes(ask(1)), bytes(ask(2)));
}
