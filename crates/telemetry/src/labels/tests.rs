//! Label sets compare exactly.

use proptest::prelude::{Strategy, prop, prop_assert_eq, proptest};

use super::Labels;

fn names() -> Vec<String> {
    vec!["a".to_owned(), "bc".to_owned()]
}

/// Values made of the pieces that the rendered form is made of: the most confusable there are.
fn value() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "", "x", "\"", "\\", "\n", "n", ",bc=\"", "\",bc=\"", "é", "=", "} ",
    ]);
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn only_the_same_values_are_equal(a in value(), b in value(), c in value(), d in value()) {
        let names = names();
        let labels = Labels::new(&names, &[&a, &b], "} ");
        prop_assert_eq!(labels.are(&names, &[&c, &d]), a == c && b == d);
        assert!(labels.are(&names, &[&a, &b]));
    }

    #[test]
    fn values_come_back_as_they_were(a in value(), b in value()) {
        let names = names();
        prop_assert_eq!(Labels::new(&names, &[&a, &b], "} ").values(&names), vec![a, b]);
    }
}

#[test]
fn a_value_with_the_separator_is_not_two_values() {
    let names = names();
    let labels = Labels::new(&names, &["x", "y"], "} ");
    assert!(!labels.are(&names, &["x\",bc=\"y", ""]));
    assert!(!labels.are(&names, &["xy", ""]));
}

#[test]
fn values_too_long_or_too_many_for_the_quick_way_compare_too() {
    let names: Vec<String> = (0..9).map(|n| format!("n{n}")).collect();
    let (edge, long) = ("x".repeat(255), "x".repeat(256));
    for (count, value) in [(1, long.as_str()), (8, &edge[1..]), (8, &edge), (9, "v"), (9, "")] {
        let values = vec![value; count];
        let labels = Labels::new(&names[..count], &values, " ");
        assert!(labels.are(&names[..count], &values), "{count} of {} bytes", value.len());
        for place in 0..count {
            let mut other = values.clone();
            let different = format!("{value}y");
            other[place] = &different;
            assert!(!labels.are(&names[..count], &other), "{count} of {} bytes", value.len());
        }
    }
    // 256 in one byte would be 0.
    assert!(!Labels::new(&names[..1], &[""], " ").are(&names[..1], &[&long]));
}
