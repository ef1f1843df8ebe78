//! The hash spreads what labels look like.

use std::collections::HashSet;

use super::Hasher;

/// Asserts that `values` hash apart, in full and in the bits that choose a place, about as chance would have it.
fn spreads(values: &[[String; 2]]) {
    let hasher = Hasher::new();
    let hashes: Vec<u64> = values.iter().map(|[a, b]| hasher.hash(&[a, b])).collect();
    assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), values.len(), "{values:?}");
    let places = (values.len() * 4).next_power_of_two() as u64;
    for shift in [0, 64 - places.ilog2()] {
        let hit =
            hashes.iter().map(|hash| hash >> shift & (places - 1)).collect::<HashSet<_>>().len();
        // Of n into 4n to 8n places, chance hits (1 - 1/e^(1/4)) * 4 n = 0.88 n and more.
        assert!(
            hit as f64 > values.len() as f64 * 0.8,
            "{hit} of {} places, {shift}",
            values.len()
        );
    }
}

#[test]
fn values_of_every_length_hash_apart() {
    // All that differs is one byte, at each place of each length.
    let text = |len: usize, at: usize| {
        String::from_utf8((0..len).map(|i| if i == at { b'x' } else { b'a' }).collect()).unwrap()
    };
    let values: Vec<_> =
        (0..100).flat_map(|len| (0..=len).map(move |at| [text(len, at), String::new()])).collect();
    spreads(&values);
}

#[test]
fn pairs_hash_apart_whichever_value_differs() {
    let pairs: Vec<_> =
        (0..100).flat_map(|a| (0..100).map(move |b| [a.to_string(), b.to_string()])).collect();
    spreads(&pairs);
    let same: Vec<_> = (0..5_000).map(|n| [n.to_string(), n.to_string()]).collect();
    spreads(&same);
    let paths: Vec<_> = (0..20_000)
        .map(|n| ["GET".to_owned(), format!("/api/v1/accounts/{n:05}/with/a/tail/after/it")])
        .collect();
    spreads(&paths);
}
