use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn sample(in_flight: usize, latency: u64, wait: Option<u64>) -> Sample {
    Sample {
        max_in_flight: in_flight,
        latency: Some(Latency { count: COUNT, ..Latency::of(ms(latency)) }),
        backend_wait: wait.map(ms),
        ..Sample::default()
    }
}

#[test]
fn a_wait_that_is_told_leads_to_the_capacity_in_one_step() {
    let next = Knee::default().next(40, &sample(40, 80, Some(60)));
    assert!((10..=12).contains(&next), "{next}");
}

#[test]
fn an_unused_limit_does_not_grow() {
    let mut law = Knee::default();
    for _ in 0..20 {
        assert_eq!(law.next(40, &sample(39, 20, Some(0))), 40);
        assert_eq!(law.next(40, &sample(20, 20, None)), 40);
    }
}

#[test]
fn a_used_limit_grows_faster_the_longer_nothing_waits() {
    let mut law = Knee::default();
    let mut limit = 40;
    let mut steps = Vec::new();
    for _ in 0..4 {
        let next = law.next(limit, &sample(limit, 20, Some(0)));
        steps.push(next as f64 / limit as f64);
        limit = next;
    }
    assert!(steps.is_sorted() && 1.4 < steps[3], "{steps:?}");
}

#[test]
fn overloads_beyond_one_in_twenty_cut_a_tenth() {
    let mut law = Knee::default();
    let refused =
        |overloads, rate| Sample { overloads, error_rate: Some(rate), ..Sample::default() };
    assert_eq!(law.next(40, &refused(1, 0.04)), 40);
    assert_eq!(law.next(40, &refused(3, 0.06)), 36);
}

#[test]
fn the_limit_stays_within_its_bounds() {
    let mut law = Knee::new(5, 50);
    assert_eq!(law.next(6, &sample(6, 100, Some(99))), 5);
    let mut limit = 49;
    for _ in 0..5 {
        limit = law.next(limit, &sample(limit, 20, Some(0)));
    }
    assert_eq!(limit, 50);
}

#[test]
fn a_window_with_few_latencies_changes_nothing() {
    let mut law = Knee::default();
    let few = Sample {
        latency: Some(Latency { count: FEWEST - 1, ..Latency::of(ms(80)) }),
        ..sample(40, 80, Some(60))
    };
    assert_eq!(law.next(40, &few), 40);
}
