use super::*;
use crate::law::Window;

/// What a limiter measures of work items that end in virtual time.
struct Played {
    control: Control,
    stride: u32,
    now: Duration,
    throughputs: Vec<f64>,
}

impl Played {
    fn new(window: Window) -> Self {
        let control = Control::new(Box::new(Spans(window)));
        Self { control, stride: 1, now: Duration::ZERO, throughputs: Vec::new() }
    }

    /// Work items end one after the other, until so many have or, if that is `None`, until the law is asked. Says how many.
    fn play(&mut self, every: Duration, items: Option<usize>) -> usize {
        for ended in 1.. {
            self.now += every;
            let mut is_asked = false;
            if ended % self.stride as usize == 0 {
                is_asked = self.measured();
            }
            if items.map_or(is_asked, |items| items == ended) {
                return ended;
            }
        }
        unreachable!("numbers do not end")
    }

    fn measured(&mut self) -> bool {
        let at = self.now;
        let (latency, outcome) = (Duration::ZERO, Outcome::Success);
        let item = Ended { at, latency, in_flight: 1, outcome, backend_wait: None };
        let (sample, stride) = self.control.take(&item, self.stride);
        self.stride = stride.unwrap_or(self.stride);
        if sample.is_some() {
            self.control.restart(at, false);
        }
        self.throughputs.extend(sample.and_then(|sample| sample.throughput));
        sample.is_some()
    }
}

/// Never changes the limit.
#[derive(Debug)]
struct Spans(Window);

impl Law for Spans {
    fn next(&mut self, limit: usize, _: &Sample) -> usize {
        limit
    }

    fn window(&self) -> Window {
        self.0
    }
}

const NANO: Duration = Duration::from_nanos(1);

#[test]
fn after_a_burst_the_law_is_asked_within_some_work_items() {
    let mut played = Played::new(Window::every(Duration::ZERO, 24));
    played.play(100 * NANO, Some(500_000));
    assert_eq!(played.stride, 64);
    // Two that are measured, one in 64 each: then a second has passed, and each is.
    let ended = played.play(Duration::from_millis(10), None);
    assert!(ended <= 2 * 64 + 24, "{ended}");
    assert_eq!(played.stride, 1);
}

#[test]
fn a_window_that_lasts_does_not_keep_every_one_of_very_many_measured() {
    let mut played = Played::new(Window::every(Duration::from_secs(10), 24));
    played.play(1000 * NANO, Some(1_100_000));
    assert_eq!((played.stride, played.throughputs.len()), (32, 0));
}

#[test]
fn throughput_counts_those_that_were_not_measured_also_while_their_share_changes() {
    let mut played = Played::new(Window::every(Duration::ZERO, 24));
    played.play(100 * NANO, Some(200_000));
    assert_eq!(played.stride, 64);
    let is_near = |per_second: &f64| (0.9e7..1.1e7).contains(per_second);
    assert!(played.throughputs.iter().all(is_near), "{:?}", played.throughputs);
}

#[test]
fn as_many_are_measured_as_make_fifty_thousand_a_second() {
    let mut pace = Pace::default();
    let mut told = |at, ended| {
        pace.ended(ended);
        pace.stride(Duration::from_millis(at), true)
    };
    // 1,000 in 10 ms are twice as many as are needed.
    assert_eq!([told(10, 1000), told(20, 1000)], [Some(2); 2]);
    assert_eq!(told(30, 500), Some(1), "just as many as are needed");
    assert_eq!([told(30, 400), told(31, 100)], [None, Some(16)], "a millisecond is enough");
}

#[test]
fn a_law_that_is_asked_about_each_is_told_each() {
    let mut played = Played::new(Window::EACH);
    played.play(100 * NANO, Some(100_000));
    assert_eq!(played.stride, 1);
}
