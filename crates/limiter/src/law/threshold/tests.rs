use super::*;
use crate::{Ended, Meter, Outcome};

fn calm() -> Sample {
    Sample {
        queue_depth: Some(0.0),
        gpu_wait: Some(0.0),
        error_rate: Some(0.0),
        ..Sample::default()
    }
}

fn next(change: impl FnOnce(&mut ThresholdConfig), limit: usize, sample: Sample) -> usize {
    let mut config = ThresholdConfig::default();
    change(&mut config);
    Threshold::new(config).unwrap().next(limit, &sample)
}

#[test]
fn the_three_steps_of_the_rule() {
    let mut law = Threshold::new(ThresholdConfig::default()).unwrap();
    let deep = |depth| Sample { queue_depth: Some(depth), ..calm() };
    let limit = law.next(2, &deep(20.0));
    assert_eq!(limit, 3);
    let limit = law.next(limit, &Sample { gpu_wait: Some(6.0), ..deep(20.0) });
    assert_eq!(limit, 1, "a suffering backend outweighs a deep queue");
    assert_eq!(law.next(limit, &deep(30.0)), 2);
}

#[test]
fn a_queue_at_the_watermark_is_deep_but_a_wait_at_its_threshold_is_not_high() {
    assert_eq!(next(|_| {}, 2, Sample { queue_depth: Some(10.0), ..calm() }), 3);
    assert_eq!(next(|_| {}, 2, Sample { queue_depth: Some(9.0), ..calm() }), 2);
    assert_eq!(next(|_| {}, 4, Sample { gpu_wait: Some(4.0), ..calm() }), 4);
    assert_eq!(next(|_| {}, 4, Sample { error_rate: Some(0.2), ..calm() }), 4);
    assert_eq!(next(|_| {}, 4, Sample { error_rate: Some(0.21), ..calm() }), 2);
}

#[test]
fn the_result_stays_within_min_and_max() {
    let flood = Sample { queue_depth: Some(1e9), ..calm() };
    assert_eq!(next(|_| {}, 5, flood), 5);
    assert_eq!(next(|_| {}, 2, Sample { gpu_wait: Some(9.0), ..calm() }), 1);
    assert_eq!(next(|config| config.increase_step = usize::MAX, 3, flood), 5);
    assert_eq!(next(|_| {}, 50, calm()), 5);
}

#[test]
fn a_threshold_of_zero_is_off() {
    let waits = Sample { gpu_wait: Some(100.0), ..calm() };
    assert_eq!(next(|config| config.gpu_wait_high = 0.0, 4, waits), 4);
    let fails = Sample { error_rate: Some(1.0), ..calm() };
    assert_eq!(next(|config| config.error_rate_high = 0.0, 4, fails), 4);
    let deep = Sample { queue_depth: Some(100.0), ..calm() };
    assert_eq!(next(|config| config.queue_high_watermark = 0.0, 4, deep), 4);
}

#[test]
fn a_reading_that_is_missing_or_not_a_number_changes_nothing_unless_its_threshold_is_off() {
    let deep = Sample { queue_depth: Some(100.0), ..calm() };
    for gpu_wait in [None, Some(f64::NAN)] {
        let unreadable = Sample { gpu_wait, ..deep };
        assert_eq!(next(|_| {}, 2, unreadable), 2);
        assert_eq!(next(|_| {}, 50, unreadable), 50, "not even the clamp");
        assert_eq!(next(|config| config.gpu_wait_high = 0.0, 2, unreadable), 3);
    }
    let blind = Sample { queue_depth: None, gpu_wait: Some(9.0), ..calm() };
    assert_eq!(next(|_| {}, 4, blind), 4);
}

#[test]
fn a_limiter_asks_it_once_an_interval() {
    let config = ThresholdConfig {
        adaptation_interval: Duration::from_secs(7),
        ..ThresholdConfig::default()
    };
    let law = Threshold::new(config).unwrap();
    let mut meter = Meter::new(Duration::ZERO, law.window());
    let mut asked_at = |millis| {
        let at = Duration::from_millis(millis);
        let (latency, outcome) = (Duration::ZERO, Outcome::Success);
        meter.ended(&Ended { at, latency, in_flight: 1, outcome, backend_wait: None }).is_some()
    };
    assert_eq!([1, 6999, 7000].map(&mut asked_at), [false, false, true]);
}

#[test]
fn a_config_that_makes_no_sense_is_refused_with_its_values() {
    let refused = |change: fn(&mut ThresholdConfig)| {
        let mut config = ThresholdConfig::default();
        change(&mut config);
        Threshold::new(config).unwrap_err().to_string()
    };
    assert_eq!(
        refused(|config| config.base_limit = 6),
        "limits must satisfy min ≤ base ≤ max, but min_limit is 1, base_limit 6, max_limit 5"
    );
    assert_eq!(
        refused(|config| config.max_limit = Semaphore::MAX_PERMITS + 1),
        "max_limit must be 1073741823 or less, but is 1073741824"
    );
    assert!(refused(|config| config.min_limit = 3).contains("min_limit is 3"));
    assert!(refused(|config| config.gpu_wait_high = -1.0).starts_with("gpu_wait_high must be 0"));
    assert!(refused(|config| config.error_rate_high = f64::NAN).contains("is NaN"));
    assert!(refused(|config| config.adaptation_interval = Duration::ZERO).contains("interval"));
}
