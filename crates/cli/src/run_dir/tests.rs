use std::time::Duration;

use super::{RunDir, TICK, id, stamp};

#[test]
fn a_moment_reads_as_a_date() {
    for (seconds, shown) in [
        (0, "19700101-000000"),
        (951_827_696, "20000229-123456"),
        (1_795_237_862, "20261121-051102"),
        (4_107_542_399, "21000228-235959"),
        (4_107_542_400, "21000301-000000"),
    ] {
        assert_eq!(stamp(Duration::from_secs(seconds)), shown);
    }
}

#[test]
fn runs_that_start_together_get_folders_of_their_own() {
    let base = std::env::temp_dir().join(format!("tidegate-run-dir-{}", std::process::id()));
    let ids: std::collections::BTreeSet<String> =
        (0..20).map(|_| RunDir::create(&base).expect("a folder").id).collect();
    std::fs::remove_dir_all(&base).expect("the folder goes");
    assert_eq!(ids.len(), 20);
}

#[test]
fn the_order_of_ids_is_that_of_the_starts() {
    let second = Duration::from_secs(1_000_000_000);
    let starts = [second, second + TICK, second + Duration::from_micros(500), second + TICK * 9999];
    let ids: Vec<String> = starts.into_iter().map(id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert_eq!(id(second + Duration::from_nanos(999_999_999)), "20010909-014640-ffff");
}
