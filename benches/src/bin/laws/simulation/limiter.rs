//! One of the limiters before the backend.

use std::time::Duration;

use tidegate_limiter::{Ended, Meter};

use crate::contender::{Contender, Steering};
use crate::scenario::Scenario;

/// How many it lets in at a time, and who steers that.
#[derive(Debug)]
pub(super) struct Limiter {
    steering: Steering,
    meter: Meter,
    pub(super) limit: usize,
    pub(super) in_flight: usize,
    pub(super) refused: usize,
    /// Clients that wait to be admitted.
    pub(super) waiting: usize,
}

impl Limiter {
    /// One of those of `scenario`, at which so many clients wait.
    pub(super) fn new(scenario: &Scenario, contender: &Contender, waiting: usize) -> Self {
        let steering = contender.steering(scenario);
        let share = scenario.start.div_ceil(scenario.limiters);
        let limit = steering.first_limit().unwrap_or(share);
        let meter = Meter::new(Duration::ZERO, steering.window());
        Self { steering, meter, limit, in_flight: 0, refused: 0, waiting }
    }

    pub(super) fn is_oracle(&self) -> bool {
        self.steering.is_oracle()
    }

    /// Learns what became of an item. Whether the limit is another one now.
    pub(super) fn ended(&mut self, item: &Ended) -> bool {
        let backend_wait = item.backend_wait.filter(|_| self.steering.is_told_the_wait());
        let Some(mut sample) = self.meter.ended(&Ended { backend_wait, ..*item }) else {
            return false;
        };
        sample.queue_depth = Some((self.refused + self.waiting) as f64);
        sample.gpu_wait = sample.backend_wait.map(|wait| wait.as_secs_f64());
        self.refused = 0;
        let next = self.steering.next(self.limit, &sample);
        let changed = next != self.limit;
        self.limit = next;
        self.meter.restart(sample.at, self.steering.window(), changed);
        changed
    }
}
