//! Handles to series that are removed meanwhile.

use std::sync::Arc;

use super::{Handle, Series};
use crate::labels::Labels;

#[test]
fn a_series_that_was_removed_while_it_was_taken_is_looked_up_again() {
    let series = [1, 2].map(|value| Arc::new(Series::new(value, Labels::new(&[], &[], " "))));
    series[0].hold.remove();
    let mut found = series.iter();
    let handle = Handle::first_live(|| Handle::new(found.next().expect("the second one is live")));
    assert_eq!(handle.value, 2);
    assert!(!series[0].hold.is_held() && series[1].hold.is_held());
    assert!(!series[1].hold.remove_unheld());
    drop(handle.clone());
    drop(handle);
    assert!(series[1].hold.remove_unheld() && !series[1].hold.remove_unheld());
}
