//! One group: contenders, rounds, promises.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::{Row, Suite};

/// Rounds that a group has in any case.
const FEWEST: usize = 7;
/// Slices that a calibrating run may take with everything around what it measures.
const PATIENCE: u32 = 4;

type Contender<'c> = Box<dyn FnMut(u64) -> Duration + 'c>;

/// Turns an operation into a contender that times `n` runs of it.
pub fn timed<T>(mut operation: impl FnMut() -> T) -> impl FnMut(u64) -> Duration {
    move |n| {
        let start = Instant::now();
        for _ in 0..n {
            std::hint::black_box(operation());
        }
        start.elapsed()
    }
}

/// The promises of a group, by whom they are measured against.
#[derive(Debug, Default)]
struct Promises {
    best: Option<f64>,
    named: BTreeMap<String, f64>,
}

/// A timed group. A contender is called with a number of operations and answers with the time that they took, so that
/// it can leave its own set-up out; [`timed`] makes one from a plain operation.
pub struct Group<'s> {
    suite: &'s mut Suite,
    id: String,
    contenders: Vec<(String, Contender<'s>)>,
    promises: Promises,
    operations: Option<u64>,
    items: u64,
    round: Duration,
}

impl fmt::Debug for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("id", &self.id)
            .field("promises", &self.promises)
            .finish_non_exhaustive()
    }
}

impl<'s> Group<'s> {
    pub(crate) fn new(suite: &'s mut Suite, id: &str) -> Self {
        Self {
            suite,
            id: id.to_owned(),
            contenders: Vec::new(),
            promises: Promises::default(),
            operations: None,
            items: 1,
            round: Duration::ZERO,
        }
    }

    /// Ours; call it first, once.
    pub fn ours(self, contender: impl FnMut(u64) -> Duration + 's) -> Self {
        self.peer("ours", contender)
    }

    /// A peer that a user would pick instead.
    pub fn peer(mut self, name: &str, contender: impl FnMut(u64) -> Duration + 's) -> Self {
        self.contenders.push((name.to_owned(), Box::new(contender)));
        self
    }

    /// Promises ours ≤ `ratio` × the best peer.
    pub fn at_most(mut self, ratio: f64) -> Self {
        self.promises.best = Some(ratio);
        self
    }

    /// Promises ours ≤ `ratio` × that peer; may be called for several.
    pub fn at_most_of(mut self, peer: &str, ratio: f64) -> Self {
        self.promises.named.insert(peer.to_owned(), ratio);
        self
    }

    /// Promises ours ≤ `ns` nanoseconds an operation.
    pub fn at_most_ns(self, ns: f64) -> Self {
        self.at_most_of("value", ns)
    }

    /// Fixes the operations of a round, where the number is part of what is measured (100k tasks, say). The figures stay
    /// per operation.
    pub fn operations(mut self, n: u64) -> Self {
        self.operations = Some(n);
        self
    }

    /// Makes every contender's share of a round at least so long, `--quick` or not: of a few milliseconds, one tick of the
    /// scheduler can be half. A fixed number of operations is run as often as that takes.
    pub fn rounds_of(mut self, round: Duration) -> Self {
        self.round = round;
        self
    }

    /// Says that an operation handles so many items (series, say); the figures are per item.
    pub fn items(mut self, items: u64) -> Self {
        self.items = items;
        self
    }

    /// Runs the rounds and prints the row. A group that has used up its time ends after fewer rounds, with seven at
    /// least.
    ///
    /// # Panics
    /// When the group has no contender, or a promise names a peer that does not stand in it.
    pub fn run(mut self) {
        if !self.suite.wants(&self.id) {
            return;
        }
        let (rounds, slice, budget) = if self.suite.quick { (9, 5, 2) } else { (41, 25, 12) };
        let slice = Duration::from_millis(slice).max(self.round);
        let budget =
            Duration::from_secs(budget).max(slice * 2 * (FEWEST * self.contenders.len()) as u32);
        let fixed = self.operations;
        let operations: Vec<u64> = self
            .contenders
            .iter_mut()
            .map(|(_, run)| fixed.unwrap_or_else(|| calibrate(run, slice)))
            .collect();
        let count = self.contenders.len();
        let mut rounds_ns = vec![Vec::with_capacity(rounds); count];
        let begun = Instant::now();
        for round in 0..rounds {
            if round >= FEWEST && begun.elapsed() > budget {
                break;
            }
            for turn in 0..count {
                // There and back, so that nobody always comes after the same one and finds the heap as that one left it.
                let step = if round % 2 == 0 { turn } else { count - turn };
                let at = (round / 2 + step) % count;
                let (mut took, mut done) = (Duration::ZERO, 0);
                while done == 0 || took < self.round {
                    took += (self.contenders[at].1)(operations[at]);
                    done += operations[at] * self.items;
                }
                rounds_ns[at].push(took.as_secs_f64() * 1e9 / done as f64);
            }
        }
        let names = self.contenders.iter().map(|(name, _)| name.clone());
        let row = row(self.id, "ns", names.zip(rounds_ns).collect(), &self.promises);
        drop(self.contenders);
        self.suite.push(row);
    }
}

/// A group whose figures were measured by other means. Several rounds of one contender may be given one after another.
#[derive(Debug)]
pub struct Figure<'s> {
    suite: &'s mut Suite,
    id: String,
    unit: String,
    rounds: Vec<(String, Vec<f64>)>,
    promises: Promises,
}

impl<'s> Figure<'s> {
    pub(crate) fn new(suite: &'s mut Suite, id: &str, unit: &str) -> Self {
        let (id, unit) = (id.to_owned(), unit.to_owned());
        Self { suite, id, unit, rounds: Vec::new(), promises: Promises::default() }
    }

    /// Ours, one figure a round; call it first.
    pub fn ours(self, rounds: &[f64]) -> Self {
        self.peer("ours", rounds)
    }

    /// A peer, one figure a round, as many as ours.
    pub fn peer(mut self, name: &str, rounds: &[f64]) -> Self {
        self.rounds.push((name.to_owned(), rounds.to_vec()));
        self
    }

    /// Promises ours ≤ `ratio` × the best peer.
    pub fn at_most(mut self, ratio: f64) -> Self {
        self.promises.best = Some(ratio);
        self
    }

    /// Promises ours ≤ `ratio` × that peer.
    pub fn at_most_of(mut self, peer: &str, ratio: f64) -> Self {
        self.promises.named.insert(peer.to_owned(), ratio);
        self
    }

    /// Promises ours ≤ `value`, in the unit of the figure.
    pub fn at_most_value(self, value: f64) -> Self {
        self.at_most_of("value", value)
    }

    /// Prints the row.
    ///
    /// # Panics
    /// When ours is missing, or a promise names a peer that does not stand in the group.
    pub fn report(self) {
        if self.suite.wants(&self.id) {
            let row = row(self.id, &self.unit, self.rounds, &self.promises);
            self.suite.push(row);
        }
    }
}

/// Finds how many operations fill `slice`, by doubling; a contender that spends its time outside of what it measures is
/// not driven further than [`PATIENCE`] slices of that.
fn calibrate(run: &mut Contender<'_>, slice: Duration) -> u64 {
    let mut n = 1;
    loop {
        let begun = Instant::now();
        let took = run(n);
        if slice <= took || slice * PATIENCE <= begun.elapsed() {
            return n;
        }
        let wanted = slice.as_secs_f64() / took.as_secs_f64().max(1e-9);
        n = n.saturating_mul((wanted as u64 + 1).clamp(2, 10));
    }
}

fn row(id: String, unit: &str, rounds: Vec<(String, Vec<f64>)>, promises: &Promises) -> Row {
    let mut contenders = rounds.into_iter();
    let (_, ours) = contenders.next().expect("a group has ours");
    let peers: Vec<(String, Vec<f64>)> = contenders.collect();
    let medians: BTreeMap<String, f64> =
        peers.iter().map(|(name, rounds)| (name.clone(), median(rounds))).collect();
    let best = medians
        .iter()
        .min_by(|a, b| a.1.total_cmp(b.1))
        .map(|(name, _)| name.clone())
        .unwrap_or_default();
    let ours_ns = median(&ours);
    // Slow rounds cancel out within a round; but where a contender is fast in some rounds and slow in others, the rounds' ratios
    // can tell of another one than the figures that stand beside them. The worse of the two is what is promised about.
    let ratio_to = |name: &str| {
        let (_, theirs) = peers
            .iter()
            .find(|(peer, _)| peer == name)
            .expect("a promise names a peer of its group");
        let ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        median(&ratios).max(ours_ns / median(theirs))
    };
    let ratio = if best.is_empty() { 1.0 } else { ratio_to(&best) };
    let kept = |(against, limit): (&String, &f64)| {
        if against == "value" { ours_ns <= *limit } else { ratio_to(against) <= *limit }
    };
    let met = promises.best.is_none_or(|limit| ratio <= limit) && promises.named.iter().all(kept);
    let targets = promises.named.clone();
    Row {
        id,
        unit: unit.to_owned(),
        ours_ns,
        peers: medians,
        best_peer: best,
        ratio,
        target: promises.best,
        targets,
        met,
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratio_is_taken_within_a_round_so_that_a_slow_round_cancels_out() {
        let promises = Promises { best: Some(0.5), named: BTreeMap::new() };
        let rounds = vec![
            ("ours".to_owned(), vec![1.0, 10.0, 1.0]),
            ("peer".to_owned(), vec![2.0, 20.0, 2.0]),
        ];
        let row = row("demo".to_owned(), "ns", rounds, &promises);
        assert_eq!((row.ratio, row.met, row.best_peer.as_str()), (0.5, true, "peer"));
    }

    #[test]
    fn ratio_is_that_of_the_figures_where_they_say_worse_than_the_rounds() {
        let promises = Promises { best: Some(1.0), named: BTreeMap::new() };
        // Two of three rounds are faster than the peer's, but the figures are 4.0 and 3.0.
        let rounds = vec![
            ("ours".to_owned(), vec![4.0, 1.0, 9.0]),
            ("peer".to_owned(), vec![5.0, 3.0, 2.0]),
        ];
        let row = row("demo".to_owned(), "ns", rounds, &promises);
        assert_eq!((row.ratio, row.met), (4.0 / 3.0, false));
    }

    #[test]
    fn a_contender_that_measures_little_of_what_it_does_is_not_driven_on_without_end() {
        let mut slow: Contender<'_> = Box::new(|n| {
            std::thread::sleep(Duration::from_micros(100 * n));
            Duration::from_nanos(n)
        });
        let begun = Instant::now();
        calibrate(&mut slow, Duration::from_millis(1));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn figures_of_a_group_are_per_item() {
        let mut suite = Suite::quick("demo");
        suite.group("demo/items").ours(|n| Duration::from_millis(5 * n)).items(1_000).run();
        assert!((suite.rows()[0].ours_ns - 5_000.0).abs() < 1e-6);
    }

    #[test]
    fn a_promise_against_one_peer_is_judged_by_that_peer() {
        let named = BTreeMap::from([("slow".to_owned(), 0.5)]);
        let rounds = vec![
            ("ours".to_owned(), vec![3.0]),
            ("slow".to_owned(), vec![4.0]),
            ("fast".to_owned(), vec![1.0]),
        ];
        let row = row("demo".to_owned(), "ns", rounds, &Promises { best: None, named });
        assert!(!row.met);
        assert_eq!(row.ratio, 3.0);
    }
}
