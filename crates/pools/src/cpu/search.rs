//! How long a thread without work looks for more before it sleeps.
//!
//! While processors are free, looking beats sleeping: a wake-up costs more than the moment. While they are not, whoever looks
//! takes a processor from those who work, and is itself put behind them; then a sleeper's wake-up comes sooner. How late the
//! thread comes back from giving its processor away tells one from the other.

use std::time::Duration;

/// How long to look; about what a wake-up costs.
#[cfg(not(loom))]
pub(crate) const SEARCH: Duration = Duration::from_micros(20);

/// A thread that comes back this late has met others that work.
const LATE: Duration = Duration::from_micros(50);

/// Searches left out at most after one that came back late. Where processors are never free, one search in so many may come
/// back a time slice late, some 3 ms, which is 50 µs a job at the worst; where they are free again, so many jobs cost a wake-up.
const LONGEST: u32 = 63;

/// Whether to search, from how the last searches went.
#[derive(Debug, Default)]
pub(crate) struct Searches {
    left_out: u32,
    to_leave_out: u32,
}

impl Searches {
    /// Whether the thread shall search now.
    pub(crate) fn next(&mut self) -> bool {
        let search = self.to_leave_out == 0;
        self.to_leave_out = self.to_leave_out.saturating_sub(1);
        search
    }

    /// A search ended, after the longest time away given.
    pub(crate) fn ended(&mut self, away: Duration) {
        self.left_out = if away > LATE { (2 * self.left_out + 1).min(LONGEST) } else { 0 };
        self.to_leave_out = self.left_out;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn left_out(searches: &mut Searches) -> usize {
        (0..).find(|_| searches.next()).expect("it searches again")
    }

    #[test]
    fn each_late_return_in_a_row_leaves_out_twice_as_many_searches() {
        let mut searches = Searches::default();
        let counts = [(); 8].map(|()| {
            searches.ended(LATE * 2);
            left_out(&mut searches)
        });
        assert_eq!(counts, [1, 3, 7, 15, 31, 63, 63, 63]);
    }

    #[test]
    fn one_prompt_return_and_every_search_is_made_again() {
        let mut searches = Searches::default();
        searches.ended(LATE * 2);
        searches.ended(LATE * 2);
        searches.ended(LATE);
        assert_eq!(left_out(&mut searches), 0);
    }
}
