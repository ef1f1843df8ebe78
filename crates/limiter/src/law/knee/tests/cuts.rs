use super::*;

/// Knows the latency without waiting, 2 ms and 18 ms above, and this one at the limit of 40, for sure.
fn sure(p10: f64, spread: f64) -> Knee {
    let shape = |p10, spread| Shape {
        p10: Estimate::new(p10, 1e-12),
        spread: Estimate::new(spread, 1e-12),
    };
    Knee {
        max: 100,
        base: Some(shape(0.002, 0.018)),
        now: Some(shape(p10, spread)),
        ..settled(2, 20)
    }
}

fn next(law: &mut Knee, p10: u64, mean: u64) {
    law.next(40, &window(100, 40, p10, mean));
}

fn is_thinning(law: &Knee) -> bool {
    matches!(law.phase, Phase::Thinning { .. })
}

#[test]
fn a_second_cut_after_which_six_tenths_of_the_wait_are_left_was_in_vain() {
    let believed = |p10, mean| {
        let mut law = sure(0.002, 0.018);
        law.phase = Phase::Emptying { before: 60.0, wait: 0.010, again: true };
        next(&mut law, p10, mean);
        law.base.map(|base| base.p10.value) == Some(p10 as f64 / 1e3)
    };
    assert!(believed(9, 27), "7 ms of 10");
    assert!(!believed(7, 25), "5 ms of 10");
}

#[test]
fn a_cut_after_which_the_spread_is_nearer_to_what_it_was_was_in_vain() {
    let thinned = |p10, mean| {
        let mut law = sure(0.002, 0.072);
        law.phase = Phase::Thinning { before: 60.0, spread: 0.072 };
        next(&mut law, p10, mean);
        law
    };
    // The geometric mean of 18 and 72 is 36.
    let vain = thinned(20, 57);
    assert_eq!(vain.exact, 60.0);
    let base = vain.base.expect("it is believed");
    assert!((base.p10.value - 0.008).abs() < 1e-9, "four times as long, as the spread: {base:?}");
    let helped = thinned(2, 37);
    assert_eq!((helped.shared, helped.phase), (6.0, Phase::Steady));
}

#[test]
fn the_spread_after_a_cut_that_helped_is_believed_however_few_show_it() {
    let mut law = Knee { exact: 40.0, ..sure(0.002, 0.060) };
    law.phase = Phase::Thinning { before: 60.0, spread: 0.060 };
    let mut sample = window(100, 40, 2, 34);
    sample.latency = sample.latency.map(|latency| Latency { count: 12, ..latency });
    law.next(40, &sample);
    let spread = law.now.map_or(0.0, |now| now.spread.value);
    assert!((spread - 0.032).abs() < 1e-9, "{spread}");
}

#[test]
fn a_capacity_that_fell_step_by_step_while_something_waits_was_slower_service() {
    let mut law = Knee { peak: 100.0, ..sure(0.004, 0.018) };
    next(&mut law, 4, 22);
    assert_eq!(law.exact, 100.0);
}

#[test]
fn only_a_fall_of_more_than_a_fifth_is_checked() {
    let mut law = sure(0.002, 0.018);
    // 40·(1 − 4/24) = 33 are served; 35 are more than four fifths.
    next(&mut law, 6, 24);
    assert!((34.0..36.0).contains(&law.exact), "{}", law.exact);
    assert_eq!(law.phase, Phase::Steady);
}

#[test]
fn a_spread_that_grew_is_slower_service_if_chance_and_a_queue_do_not_explain_it() {
    let thins = |mut law: Knee, p10, mean| {
        next(&mut law, p10, mean);
        is_thinning(&law)
    };
    assert!(thins(sure(0.002, 0.031), 2, 33));
    assert!(!thins(sure(0.002, 0.021), 2, 23), "by less than a fifth of the latency");
    assert!(!thins(Knee { shared: 6.0, ..sure(0.002, 0.031) }, 2, 33), "shared, by less than 0.3");
    let mut doubtful = sure(0.002, 0.029);
    doubtful.now = doubtful.now.map(|now| Shape { spread: Estimate::new(0.029, 1.0), ..now });
    assert!(!thins(doubtful, 2, 31), "perhaps by chance");
    assert!(!thins(sure(0.008, 0.023), 8, 31), "6 of 11 ms are of a queue");
}

#[test]
fn a_cut_for_a_wider_spread_leaves_three_tenths_at_least() {
    let mut law = sure(0.002, 0.090);
    next(&mut law, 2, 92);
    assert!(is_thinning(&law));
    assert!((law.exact - 12.0).abs() < 1e-9, "{}", law.exact);
}
