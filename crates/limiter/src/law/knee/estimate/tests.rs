use super::*;

#[test]
fn an_estimate_moves_by_the_share_of_its_own_variance() {
    let mut estimate = Estimate::new(10.0, 3.0);
    // (3 + 1) / (3 + 1 + 4) = 0.5 of the way, and half the variance is left.
    estimate.update(12.0, 4.0, 1.0, 4.0);
    assert_eq!(estimate, Estimate::new(11.0, 2.0));
    // 4·√(2 + 2) = 8: at the edge it is noise, beyond it is a change.
    let mut edge = estimate;
    edge.update(19.0, 2.0, 0.0, 4.0);
    assert_eq!(edge, Estimate::new(15.0, 1.0));
    estimate.update(19.1, 2.0, 0.0, 4.0);
    assert_eq!(estimate, Estimate::new(19.1, 2.0));
}

#[test]
fn an_estimate_weighs_what_it_knows_against_what_it_sees() {
    let mut estimate = Estimate::new(10.0, 3.0);
    // Variance 3 + 1 against 4 of the measurement: half of the way, and half of the variance is left.
    estimate.update(14.0, 4.0, 1.0, 4.0);
    assert_eq!(estimate, Estimate::new(12.0, 2.0));
    // Off by √(16·(2 + 2)) = 8 is still noise, more is a change.
    let mut noisy = estimate;
    noisy.update(20.0, 2.0, 0.0, 4.0);
    assert_eq!(noisy, Estimate::new(16.0, 1.0));
    estimate.update(20.1, 2.0, 0.0, 4.0);
    assert_eq!(estimate, Estimate::new(20.1, 2.0));
}

#[test]
fn what_chance_explains_is_admitted_and_not_taken_for_less() {
    let estimate = Estimate::new(10.0, 3.0);
    assert!(estimate.admits(15.9, 1.0) && !estimate.admits(16.1, 1.0), "three times √(3 + 1)");
    let less = Estimate::new(4.0, 1.0);
    assert!(less.is_below(&estimate, 2.9) && !less.is_below(&estimate, 3.1));
}
