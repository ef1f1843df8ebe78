//! Classes that wait, by the amounts they want.

use std::cmp::{Ordering, Reverse};

use super::super::ready::Key;
use super::super::{ById, ClassId};
use super::look;

/// Finds the best of those whose amounts are all free, without a look at each: one amount takes a way down a balanced tree,
/// `k` of them at most O(n^(1 - 1/k)) nodes of a k-d tree (Bentley, 1975), however amounts and order are mixed.
///
/// A class has a place as long as it is known, whether it waits or not: a change of its key walks up from there. New ones go
/// to trees of doubling sizes, so that each is built into one at most log n times (Bentley and Saxe, 1980).
#[derive(Debug)]
pub(super) struct Sizes {
    /// How many amounts each of them wants.
    amounts: usize,
    /// The largest first, each at least twice the next.
    trees: Vec<Tree>,
    places: ById<Place, ClassId>,
    waiting: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    tree: usize,
    at: usize,
}

#[derive(Debug)]
struct Entry {
    class: ClassId,
    wants: Box<[u64]>,
    /// `None` while it does not wait.
    key: Option<Key>,
}

/// The best of some, and its class.
type Best = Option<(Key, ClassId)>;

impl Sizes {
    /// For classes that want so many amounts each.
    pub(super) fn new(amounts: usize) -> Self {
        Self { amounts, trees: Vec::new(), places: ById::default(), waiting: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    /// The best of those that wait and want no more than what is free of each.
    pub(super) fn best(&self, free: &[u64]) -> Best {
        let mut best = None;
        self.trees.iter().for_each(|tree| tree.best(0..tree.entries.len(), free, &mut best));
        best
    }

    /// The class waits, with this as its best task.
    pub(super) fn put(&mut self, class: ClassId, wants: impl Iterator<Item = u64>, key: Key) {
        if let Some(place) = self.places.get(&class) {
            let was = self.trees[place.tree].set(place.at, Some(key));
            self.waiting += usize::from(was.is_none());
            return;
        }
        self.waiting += 1;
        let mut entries = vec![Entry { class, wants: wants.collect(), key: Some(key) }];
        while self.trees.last().is_some_and(|tree| tree.entries.len() < 2 * entries.len()) {
            let place = self.trees.len() - 1;
            let tree = self.trees.pop().expect("there is a last one");
            entries.extend(known(tree, place, &self.places));
        }
        self.plant(entries);
    }

    /// The class waits no more.
    pub(super) fn take(&mut self, class: ClassId) {
        if let Some(place) = self.places.get(&class) {
            let was = self.trees[place.tree].set(place.at, None);
            self.waiting -= usize::from(was.is_some());
        }
    }

    /// The class is no more.
    pub(super) fn forget(&mut self, class: ClassId) {
        self.take(class);
        self.places.remove(&class);
        let entries: usize = self.trees.iter().map(|tree| tree.entries.len()).sum();
        if 2 * self.places.len() < entries {
            let trees = std::mem::take(&mut self.trees).into_iter().enumerate();
            let entries = trees.flat_map(|(place, tree)| known(tree, place, &self.places));
            let entries = entries.collect();
            self.plant(entries);
        }
    }

    /// Makes a tree of these, after the others.
    fn plant(&mut self, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let tree = Tree::new(entries, self.amounts);
        for (at, entry) in tree.entries.iter().enumerate() {
            self.places.insert(entry.class, Place { tree: self.trees.len(), at });
        }
        self.trees.push(tree);
    }
}

/// The entries of classes that have their place in this tree.
fn known(tree: Tree, place: usize, places: &ById<Place, ClassId>) -> impl Iterator<Item = Entry> {
    let entries = tree.entries.into_iter().enumerate();
    let known = entries.filter(move |(at, entry)| {
        places.get(&entry.class) == Some(&Place { tree: place, at: *at })
    });
    known.map(|(_, entry)| entry)
}

/// A k-d tree in place: the root of a range of entries is the one in its middle, and what is known of the range stands there.
#[derive(Debug)]
struct Tree {
    entries: Vec<Entry>,
    ranges: Vec<Range>,
}

/// What is known of a range of entries.
#[derive(Debug, Default)]
struct Range {
    best: Best,
    /// The least and the most that any of them wants of each resource, waiting or not.
    wants: Box<[(u64, u64)]>,
}

type Part = std::ops::Range<usize>;

fn middle(part: &Part) -> usize {
    part.start + part.len() / 2
}

impl Tree {
    fn new(mut entries: Vec<Entry>, amounts: usize) -> Self {
        split(&mut entries, amounts, 0);
        let ranges = entries.iter().map(|_| Range::default()).collect();
        let mut tree = Self { entries, ranges };
        tree.sum_up_all(0..tree.entries.len());
        tree
    }

    fn sum_up_all(&mut self, part: Part) {
        if part.is_empty() {
            return;
        }
        let root = middle(&part);
        self.sum_up_all(part.start..root);
        self.sum_up_all(root + 1..part.end);
        let mut wants: Box<[(u64, u64)]> =
            self.entries[root].wants.iter().map(|of| (*of, *of)).collect();
        for half in halves(&part).into_iter().filter(|half| !half.is_empty()) {
            for (of, (least, most)) in wants.iter_mut().zip(&self.ranges[middle(&half)].wants) {
                *of = (of.0.min(*least), of.1.max(*most));
            }
        }
        self.ranges[root].wants = wants;
        self.sum_up(&part);
    }

    /// Finds the best of a part anew, from what is known of its halves.
    fn sum_up(&mut self, part: &Part) {
        let root = middle(part);
        let [left, right] = halves(part).map(|half| self.best_of(&half));
        self.ranges[root].best = self.own(root).max(left).max(right);
    }

    fn own(&self, at: usize) -> Best {
        let entry = &self.entries[at];
        entry.key.map(|key| (key, entry.class))
    }

    fn best_of(&self, part: &Part) -> Best {
        if part.is_empty() { None } else { self.ranges[middle(part)].best }
    }

    /// Gives an entry another key, and tells the one it had.
    fn set(&mut self, at: usize, key: Option<Key>) -> Option<Key> {
        let was = std::mem::replace(&mut self.entries[at].key, key);
        self.sum_up_from(at, 0..self.entries.len());
        was
    }

    /// Finds the best anew of each part that holds this entry.
    fn sum_up_from(&mut self, at: usize, part: Part) {
        look();
        let root = middle(&part);
        let [left, right] = halves(&part);
        match at.cmp(&root) {
            Ordering::Less => self.sum_up_from(at, left),
            Ordering::Equal => {}
            Ordering::Greater => self.sum_up_from(at, right),
        }
        self.sum_up(&part);
    }

    /// Makes `best` the best of the part that fits, if that is better.
    fn best(&self, part: Part, free: &[u64], best: &mut Best) {
        if self.best_of(&part) <= *best {
            return;
        }
        look();
        let root = middle(&part);
        let of = &self.ranges[root];
        let mut all = of.wants.iter().zip(free);
        if of.wants.iter().zip(free).any(|((least, _), free)| free < least) {
            return;
        }
        if all.all(|((_, most), free)| most <= free) {
            *best = of.best;
            return;
        }
        let fits = self.entries[root].wants.iter().zip(free).all(|(wants, free)| wants <= free);
        if fits {
            *best = self.own(root).max(*best);
        }
        // The half that may have the best one first, so that the other need not be looked at.
        let mut halves = halves(&part);
        halves.sort_by_key(|half| Reverse(self.best_of(half)));
        halves.into_iter().for_each(|half| self.best(half, free, best));
    }
}

fn halves(part: &Part) -> [Part; 2] {
    let root = middle(part);
    [part.start..root, root + 1..part.end]
}

/// Puts in the middle who is in the middle by one amount, and so on for the halves by the next.
fn split(entries: &mut [Entry], amounts: usize, by: usize) {
    if entries.len() < 2 || amounts == 0 {
        return;
    }
    look();
    let root = entries.len() / 2;
    entries.select_nth_unstable_by_key(root, |entry| entry.wants[by]);
    let (left, right) = entries.split_at_mut(root);
    split(left, amounts, (by + 1) % amounts);
    split(&mut right[1..], amounts, (by + 1) % amounts);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reproducible stream of numbers: Knuth's MMIX generator.
    fn below(seed: &mut u64, n: u64) -> u64 {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) % n
    }

    #[test]
    fn what_is_forgotten_gives_its_place_back_although_nobody_new_comes() {
        let mut sizes = Sizes::new(1);
        let of = |at: u32| (ClassId(at), Key::new(0, 0.0, 0, u64::from(at)));
        (0..100).map(of).for_each(|(class, key)| sizes.put(class, [1].into_iter(), key));
        (10..100).for_each(|at| sizes.forget(ClassId(at)));
        assert!(sizes.trees.iter().map(|tree| tree.entries.len()).sum::<usize>() <= 20);
        let (class, key) = of(0);
        assert_eq!(sizes.best(&[1]), Some((key, class)));
    }

    #[test]
    fn the_best_that_fits_is_found_whoever_comes_goes_and_is_forgotten() {
        for amounts in 0..=3 {
            let mut seed = amounts as u64;
            let mut sizes = Sizes::new(amounts);
            let mut all: Vec<(ClassId, Vec<u64>, Option<Key>)> = Vec::new();
            for seq in 0..2_000 {
                let key = Key::new(below(&mut seed, 4) as i32, 0.0, 0, seq);
                let at = below(&mut seed, all.len() as u64 + 1) as usize;
                match below(&mut seed, 8) {
                    0..3 => {
                        let class = ClassId(seq as u32);
                        let wants: Vec<u64> = (0..amounts).map(|_| below(&mut seed, 9)).collect();
                        sizes.put(class, wants.iter().copied(), key);
                        all.push((class, wants, Some(key)));
                    }
                    3..5 if at < all.len() => {
                        sizes.put(all[at].0, all[at].1.iter().copied(), key);
                        all[at].2 = Some(key);
                    }
                    5..7 if at < all.len() => {
                        sizes.take(all[at].0);
                        all[at].2 = None;
                    }
                    7 if at < all.len() => {
                        sizes.forget(all[at].0);
                        all.swap_remove(at);
                    }
                    _ => {}
                }
                let free: Vec<u64> = (0..amounts).map(|_| below(&mut seed, 10)).collect();
                let fit =
                    all.iter().filter(|(_, wants, _)| wants.iter().zip(&free).all(|(a, b)| a <= b));
                let best =
                    fit.filter_map(|(class, _, key)| Some((key.as_ref().copied()?, *class))).max();
                assert_eq!(sizes.best(&free), best);
                assert_eq!(sizes.is_empty(), all.iter().all(|(_, _, key)| key.is_none()));
                let kept: usize = sizes.trees.iter().map(|tree| tree.entries.len()).sum();
                assert!(kept <= 2 * all.len(), "{kept} for {}", all.len());
                assert!(sizes.trees.len() <= 12);
            }
        }
    }
}
