use super::*;

fn at_rate(limit: usize, per_second: f64) -> Sample {
    Sample { throughput: Some(per_second), ..window(100, limit, 2, 20) }
}

/// It did 2,000 a second at 40, and is at 80 now.
fn grown(mut law: Knee, at_40: &Sample) -> Knee {
    let throughput = Some(2000.0);
    assert_eq!(law.next(40, &Sample { throughput, ..*at_40 }), 40);
    (law.max, law.exact) = (200, 80.0);
    law
}

#[test]
fn growth_that_does_no_more_per_second_is_taken_back() {
    let grown = || grown(settled(2, 20), &window(100, 40, 2, 20));
    assert!(80 <= grown().next(80, &at_rate(80, 4000.0)), "it does twice as much");
    let mut vain = grown();
    assert_eq!(vain.next(80, &at_rate(80, 1000.0)), 40);
    assert_eq!(vain.capacity.value(), None, "what was learned on the way is wrong");
    let unused = Sample { max_in_flight: 30, ..at_rate(80, 500.0) };
    assert_eq!(grown().next(80, &unused), 80, "it had no more to do");
    let mut checking = grown();
    checking.phase = Phase::Emptying { before: 100.0, wait: 0.001, again: false };
    assert_ne!(checking.next(80, &at_rate(80, 1000.0)), 40, "a cut is not growth");
}

#[test]
fn growth_by_someone_else_is_not_taken_back() {
    let mut law = grown(settled(2, 20), &window(100, 40, 2, 20));
    law.exact = 40.0;
    assert_ne!(law.next(80, &at_rate(80, 1000.0)), 40);
}

#[test]
fn even_where_all_latencies_are_equal_the_rate_is_not_exact() {
    let mut law = grown(settled(20, 20), &window(100, 40, 20, 20));
    // ln 1.35 = 0.30 is less than ½·ln 2 = 0.35, by less than twice √(0.2/40).
    let sample = Sample { throughput: Some(2700.0), ..window(100, 80, 20, 20) };
    assert_ne!(law.next(80, &sample), 40);
}

#[test]
fn a_backend_that_has_shrunk_is_not_taken_for_growth_in_vain() {
    let shrunk = |p10, mean| {
        let mut law = grown(settled(2, 20), &window(100, 40, 2, 20));
        let sample = Sample { throughput: Some(500.0), ..window(100, 80, p10, mean) };
        law.next(80, &sample)
    };
    // 80·(1 − 60/80) = 20 are served, and below 0.7·40.
    assert!((20..=22).contains(&shrunk(62, 80)), "{}", shrunk(62, 80));
    assert_eq!(shrunk(52, 80), 40, "30 are served: as many as may be at 40, for all that is known");
}
