use std::sync::Arc;
use std::task::Wake;

use super::*;

fn push(queue: &mut Queue, weight: u32) -> Place {
    queue.push(weight, Oversize::Refuse, Waker::noop().clone(), None)
}

/// Of all who wait, in order.
fn weights(queue: &mut Queue) -> Vec<u32> {
    let mut at = queue.head;
    let weights = std::iter::from_fn(|| {
        let place = at?;
        at = queue.blocks.first_waiting_after(place);
        let slot = queue.blocks.get_mut(place);
        assert_eq!(slot.state, State::Waiting);
        Some(slot.weight)
    });
    let weights: Vec<u32> = weights.collect();
    assert_eq!(weights.len(), queue.waiting() as usize);
    weights
}

#[test]
fn leaving_from_head_middle_and_tail_keeps_the_order_of_the_rest() {
    let mut queue = Queue::new();
    let places: Vec<Place> = (1..=5).map(|weight| push(&mut queue, weight)).collect();
    assert_eq!(queue.cancel(places[2]).0, Left::Nothing);
    assert_eq!(weights(&mut queue), [1, 2, 4, 5]);
    assert_eq!(queue.cancel(places[0]).0, Left::Head);
    assert_eq!(queue.cancel(places[4]).0, Left::Nothing);
    assert_eq!(weights(&mut queue), [2, 4]);
    push(&mut queue, 9);
    assert_eq!(weights(&mut queue), [2, 4, 9]);
}

#[test]
fn a_grant_that_was_not_collected_is_given_back() {
    let mut queue = Queue::new();
    let place = push(&mut queue, 3);
    queue.grant_head(None);
    assert_eq!((queue.waiting(), queue.head()), (0, None));
    assert_eq!(queue.cancel(place).0, Left::Granted);
}

#[test]
fn only_the_heavier_ones_that_did_not_choose_to_wait_are_refused() {
    let mut queue = Queue::new();
    let light = push(&mut queue, 1);
    let heavy = push(&mut queue, 5);
    let patient = queue.push(5, Oversize::Wait, Waker::noop().clone(), None);
    let mut woken = 0;
    queue.refuse_heavier(4, |_| woken += 1);
    assert_eq!((woken, weights(&mut queue)), (1, vec![1, 5]));
    let waker = Waker::noop();
    let mut poll = |at| queue.poll(at, waker, &mut Some(waker.clone()));
    assert!(matches!(poll(heavy), Polled::Refused { limit: 4 }));
    assert!(matches!(poll(light), Polled::Waiting));
    assert!(matches!(poll(patient), Polled::Waiting));
}

#[test]
fn one_that_waits_for_growth_makes_no_shrink_look_at_all_who_wait() {
    let mut queue = Queue::new();
    push(&mut queue, 2);
    queue.push(9, Oversize::Wait, Waker::noop().clone(), None);
    assert_eq!(queue.heaviest, 2);
    push(&mut queue, 7);
    let mut refused = 0;
    queue.refuse_heavier(4, |_| refused += 1);
    assert_eq!((refused, queue.heaviest), (1, 2));
}

/// How many clones of a waker are alive.
#[derive(Debug, Default)]
struct Counted;

impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

fn leave_all(queue: &mut Queue, places: impl IntoIterator<Item = Place>) {
    for place in places {
        if !queue.leave_behind(place) {
            drop(queue.cancel(place));
        }
    }
}

#[test]
fn memory_comes_back_when_the_crowd_has_gone_though_others_came_meanwhile() {
    let mut queue = Queue::new();
    let crowd: Vec<Place> = (0..100_000).map(|_| push(&mut queue, 1)).collect();
    assert!(queue.capacity() >= 100_000);
    // One more comes for every hundred who leave, so that the queue is never empty.
    let mut others = Vec::new();
    for some in crowd.chunks(100) {
        leave_all(&mut queue, some.iter().copied());
        others.push(push(&mut queue, 2));
    }
    assert_eq!(weights(&mut queue), vec![2; 1000]);
    assert!(queue.capacity() <= 1000 + 3 * 64, "{}", queue.capacity());
    leave_all(&mut queue, others);
    assert_eq!(queue.waiting(), 0);
    assert!(queue.capacity() <= 2 * 64, "{}", queue.capacity());
}

#[test]
fn memory_comes_back_though_a_few_of_the_crowd_stay_for_good() {
    let mut queue = Queue::new();
    let mut stay = Vec::new();
    // A long pause, through which one in a hundred is patient.
    for round in 0..20 {
        let crowd: Vec<Place> =
            (0..10_000).map(|at| push(&mut queue, round * 10_000 + at)).collect();
        let (patient, rest): (Vec<_>, Vec<_>) =
            crowd.into_iter().enumerate().partition(|(at, _)| at % 100 == 50);
        leave_all(&mut queue, rest.into_iter().rev().map(|(_, place)| place));
        stay.extend(patient.into_iter().map(|(_, place)| place));
    }
    let expected: Vec<u32> = (0..2000).map(|at| at * 100 + 50).collect();
    assert_eq!(weights(&mut queue), expected);
    assert!(queue.capacity() <= 8 * 2000 + 64, "{}", queue.capacity());
    let (even, odd): (Vec<_>, Vec<_>) =
        stay.into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
    leave_all(&mut queue, even.into_iter().map(|(_, place)| place));
    assert_eq!(weights(&mut queue), expected.into_iter().skip(1).step_by(2).collect::<Vec<_>>());
    for (_, place) in odd {
        assert_eq!(queue.head, Some(place));
        drop(queue.grant_head(None));
        assert!(matches!(queue.poll(place, Waker::noop(), &mut None), Polled::Granted));
    }
    assert_eq!(queue.head(), None);
}

#[test]
fn a_small_queue_stays_where_it_is_however_many_come_and_go() {
    let mut queue = Queue::new();
    for _ in 0..1000 {
        let (one, two) = (push(&mut queue, 1), push(&mut queue, 1));
        leave_all(&mut queue, [one, two]);
    }
    assert_eq!(queue.capacity(), 64);
}

#[test]
fn leaving_in_any_order_keeps_the_order_of_the_rest() {
    let mut queue = Queue::new();
    let places: Vec<Place> = (0..5000).map(|weight| push(&mut queue, weight)).collect();
    let stays = |at: u32| at.wrapping_mul(2_654_435_761).is_multiple_of(3);
    // Not in order of arrival: 7 and 5000 have no common divisor.
    let order = (0..5000_u32).map(|at| at * 7 % 5000).filter(|at| !stays(*at));
    leave_all(&mut queue, order.map(|at| places[at as usize]));
    let rest: Vec<u32> = (0..5000).filter(|at| stays(*at)).collect();
    assert_eq!(weights(&mut queue), rest);
}

#[test]
fn who_leaves_a_long_queue_leaves_a_waker_behind_but_few_are_there_for_each_that_waits() {
    let counted = Arc::new(Counted);
    let wakers = || Arc::strong_count(&counted) - 1;
    let mut queue = Queue::new();
    let waker = || Waker::from(Arc::clone(&counted));
    let places: Vec<Place> =
        (0..20_000).map(|_| queue.push(1, Oversize::Refuse, waker(), None)).collect();
    let mut most_behind = 0;
    // 7919 and 20,000 have no common divisor.
    for at in 0..20_000 {
        leave_all(&mut queue, [places[at * 7919 % 20_000]]);
        if queue.has_litter() {
            drop(queue.take_litter());
        }
        let (behind, waiting) = (wakers() - queue.waiting() as usize, queue.waiting() as usize);
        most_behind = most_behind.max(behind);
        assert!(behind <= 16 * waiting + 256 + 64, "{behind} for {waiting}");
    }
    assert!(10_000 < most_behind, "{most_behind}");
    assert_eq!(wakers(), 0, "nobody waits");
}

#[test]
fn who_leaves_a_short_queue_leaves_nothing_behind() {
    let counted = Arc::new(Counted);
    let mut queue = Queue::new();
    let waker = || Waker::from(Arc::clone(&counted));
    let places: Vec<Place> =
        (0..100).map(|_| queue.push(1, Oversize::Refuse, waker(), None)).collect();
    leave_all(&mut queue, places[10..20].iter().copied());
    assert_eq!(Arc::strong_count(&counted), 1 + 90);
}

#[test]
fn every_shrink_refuses_the_heavier_ones_that_the_one_before_left() {
    let mut queue = Queue::new();
    for weight in [5, 3, 2] {
        push(&mut queue, weight);
    }
    let mut left_by = |limit| {
        queue.refuse_heavier(limit, drop);
        weights(&mut queue)
    };
    assert_eq!(left_by(4), [3, 2]);
    assert_eq!(left_by(2), [2]);
}

#[test]
fn once_all_who_were_refused_have_collected_or_left_the_frontier_is_known_again() {
    let mut queue = Queue::new();
    let places: Vec<Place> = (0..3).map(|_| push(&mut queue, 2)).collect();
    let light = push(&mut queue, 1);
    queue.refuse_heavier(1, drop);
    assert_eq!(queue.frontier(), None);
    let refused = queue.poll(places[0], Waker::noop(), &mut None);
    assert!(matches!(refused, Polled::Refused { limit: 1 }));
    let refused = queue.poll(places[1], Waker::noop(), &mut None);
    assert!(matches!(refused, Polled::Refused { limit: 1 }));
    assert_eq!(queue.frontier(), None);
    drop(queue.cancel(places[2]));
    assert_eq!(queue.frontier(), Some(light.number()));
}

#[test]
fn whoever_has_collected_is_not_the_oldest_grant() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut queue = Queue::new();
    let mut push = || queue.push(1, Oversize::Refuse, Waker::noop().clone(), Some(after(0)));
    let (first, _second) = (push(), push());
    drop(queue.grant_head(Some(after(1))));
    drop(queue.grant_head(Some(after(3))));
    assert!(matches!(queue.poll(first, Waker::noop(), &mut None), Polled::Granted));
    assert_eq!(queue.census(after(10), 0).oldest_grant, Some(Duration::from_secs(7)));
}

#[test]
fn ages_are_those_of_the_head_and_of_the_oldest_grant_not_collected() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut queue = Queue::new();
    for seconds in 0..3 {
        queue.push(1, Oversize::Refuse, Waker::noop().clone(), Some(after(seconds)));
    }
    queue.grant_head(Some(after(4)));
    let census = queue.census(after(10), 0);
    assert_eq!((census.waiting, census.granted), (2, 1));
    assert_eq!(census.oldest_wait, Some(Duration::from_secs(9)));
    assert_eq!(census.oldest_grant, Some(Duration::from_secs(6)));
}
