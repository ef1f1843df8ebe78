use super::*;

fn header() -> Header {
    Header {
        key: [7; 32],
        of: "u32".into(),
        tags: vec!["docs".into()],
        epoch: 3,
        seen: 4,
        since_1970_ms: 1_000,
    }
}

#[test]
fn a_file_that_is_cut_anywhere_or_has_any_bit_wrong_is_not_whole() {
    for value in [&b"short"[..], &[9; 300]] {
        let file = encode(&header(), value, 100).expect("it is encoded");
        assert_eq!(decode(&file), Some((header(), value.to_vec())));
        for len in 0..file.len() {
            assert_eq!(decode(&file[..len]), None, "cut at byte {len}");
        }
        for bit in 0..file.len() * 8 {
            let mut wrong = file.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&wrong), None, "bit {bit} is wrong");
        }
        let longer = [&file[..], b"?"].concat();
        assert_eq!(decode(&longer), None);
    }
}

#[test]
fn what_is_large_and_can_be_compressed_is_and_nothing_gets_larger_by_it() {
    let same = vec![5; 100_000];
    let file = encode(&header(), &same, 1024).expect("it is encoded");
    assert!(file.len() < 1_000, "{}", file.len());
    assert_eq!(decode(&file), Some((header(), same.clone())));
    let as_it_is = encode(&header(), &same, 100_000).expect("it is encoded");
    assert!(as_it_is.len() > 100_000, "it is not above the bound");
    // A digest of its own digest, and so on: nothing that LZ4 could shorten.
    let mut noise = Vec::new();
    while noise.len() < 100_000 {
        let next = blake3::hash(noise.get(noise.len().saturating_sub(32)..).unwrap_or(&[]));
        noise.extend_from_slice(next.as_bytes());
    }
    let file = encode(&header(), &noise, 1024).expect("it is encoded");
    assert!(file.len() < noise.len() + 100, "{}", file.len());
    assert_eq!(decode(&file), Some((header(), noise)));
}

#[test]
fn a_result_counts_until_its_time_is_over_and_never_before_its_time() {
    let minute = Some(Duration::from_millis(60_000));
    let age = |now_ms| header().age(now_ms, minute);
    assert_eq!(age(1_000), Some(Duration::ZERO));
    assert_eq!(age(60_999), Some(Duration::from_millis(59_999)));
    assert_eq!(age(61_000), None);
    assert_eq!(age(999), None, "the clock was set back");
    assert_eq!(header().age(999, None), Some(Duration::ZERO), "without a limit nobody asks");
}
