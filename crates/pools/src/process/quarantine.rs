//! Inputs that killed workers. Pure; time is a parameter.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// More inputs than this are not remembered; the oldest goes first.
const MOST: usize = 1024;

/// Counts deaths by function and input.
#[derive(Debug)]
pub(super) struct Quarantine {
    after: u32,
    keep: Duration,
    hasher: RandomState,
    deaths: HashMap<u64, (u32, Instant)>,
}

impl Quarantine {
    /// Keeps an input out for `keep` once it killed `after` workers; 0 is never.
    pub(super) fn new(after: u32, keep: Duration) -> Self {
        Self { after, keep, hasher: RandomState::new(), deaths: HashMap::new() }
    }

    /// An input killed a worker.
    pub(super) fn record(&mut self, call: &[u8], now: Instant) {
        if self.after == 0 {
            return;
        }
        let keep = self.keep;
        self.deaths.retain(|_, (_, last)| now.saturating_duration_since(*last) < keep);
        if MOST <= self.deaths.len() {
            let oldest = self.deaths.iter().min_by_key(|(_, (_, last))| *last).map(|(key, _)| *key);
            oldest.map(|key| self.deaths.remove(&key));
        }
        let entry = self.deaths.entry(self.hasher.hash_one(call)).or_insert((0, now));
        *entry = (entry.0 + 1, now);
    }

    /// How many workers the input killed, if it is kept out.
    pub(super) fn keeps_out(&self, call: &[u8], now: Instant) -> Option<u32> {
        if self.deaths.is_empty() {
            return None; // Hashing a large input is not free.
        }
        let (deaths, last) = self.deaths.get(&self.hasher.hash_one(call))?;
        let kept = self.after <= *deaths && now.saturating_duration_since(*last) < self.keep;
        kept.then_some(*deaths)
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, MOST, Quarantine};

    #[test]
    fn an_input_is_kept_out_after_so_many_deaths_and_for_so_long() {
        let mut quarantine = Quarantine::new(2, Duration::from_secs(10));
        let now = Instant::now();
        quarantine.record(b"bad", now);
        assert_eq!(quarantine.keeps_out(b"bad", now), None);
        quarantine.record(b"bad", now);
        assert_eq!(quarantine.keeps_out(b"bad", now), Some(2));
        assert_eq!(quarantine.keeps_out(b"good", now), None);
        assert_eq!(quarantine.keeps_out(b"bad", now + Duration::from_secs(10)), None);
    }

    #[test]
    fn deaths_of_long_ago_do_not_count() {
        let mut quarantine = Quarantine::new(2, Duration::from_secs(10));
        let now = Instant::now();
        quarantine.record(b"bad", now);
        let later = now + Duration::from_secs(10);
        quarantine.record(b"bad", later);
        assert_eq!(quarantine.keeps_out(b"bad", later), None);
    }

    #[test]
    fn it_remembers_a_bounded_number_of_inputs() {
        let mut quarantine = Quarantine::new(1, Duration::from_secs(10));
        let now = Instant::now();
        for n in 0..2 * MOST {
            quarantine.record(&n.to_le_bytes(), now + Duration::from_micros(n as u64));
        }
        assert_eq!(quarantine.deaths.len(), MOST);
    }
}
