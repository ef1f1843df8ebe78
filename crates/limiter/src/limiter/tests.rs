use std::sync::Mutex as StdMutex;

use super::*;
use crate::law::{Aimd, Knee};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn control(law: impl Law + 'static) -> Control {
    let meter = Meter::new(Duration::ZERO, law.window());
    Control { law: Box::new(law), meter, opened: Duration::ZERO, ended: 0 }
}

#[test]
fn as_many_are_measured_as_make_fifty_thousand_a_second() {
    let mut control = control(Knee::default());
    let mut mask = 0;
    // 1,000 in 10 ms are twice as many as are needed; then 500 were measured of as many.
    for (at, measured) in [(10, 1000), (20, 500), (30, 500)] {
        control.ended = measured;
        mask = control.restart(ms(at), false, mask);
        assert_eq!((mask, control.ended, control.opened), (1, 0, ms(at)));
    }
    control.ended = 250;
    assert_eq!(control.restart(ms(40), false, mask), 0, "just as many as are needed");
    control.ended = 1000;
    assert_eq!(control.restart(ms(40), false, 1), 1, "no time has passed");
}

#[test]
fn a_law_that_decides_on_each_item_is_told_of_each() {
    let mut control = control(Aimd::default());
    control.ended = 1_000_000;
    assert_eq!(control.restart(ms(10), false, 0), 0);
}

#[test]
fn the_throughput_that_a_law_is_told_counts_those_that_were_not_measured() {
    #[derive(Debug)]
    struct Told(Arc<StdMutex<Option<f64>>>);

    impl Law for Told {
        fn next(&mut self, limit: usize, sample: &Sample) -> usize {
            *self.0.lock().expect("nobody panics") = sample.throughput;
            limit
        }
    }

    let told = Arc::new(StdMutex::new(None));
    let limiter = Limiter::new(4, Told(Arc::clone(&told)));
    // ORDERING: Relaxed; one thread.
    limiter.mask.store(3, Ordering::Relaxed);
    let sample = Sample { throughput: Some(10.0), ..Sample::default() };
    limiter.decide(limiter.control.lock(), sample);
    assert_eq!(*told.lock().expect("nobody panics"), Some(40.0));
}
