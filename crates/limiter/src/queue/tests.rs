use super::*;

fn push(queue: &mut Queue, weight: u32) -> u32 {
    queue.push(weight, Oversize::Refuse, Waker::noop().clone(), None)
}

fn weights(queue: &Queue) -> Vec<u32> {
    let mut at = queue.head;
    std::iter::from_fn(|| match queue.slots.get(at as usize)? {
        Slot::Waiting { weight, .. } => {
            at = queue.links[at as usize].next;
            Some(*weight)
        }
        other => panic!("linked slot is {other:?}"),
    })
    .collect()
}

#[test]
fn leaving_from_head_middle_and_tail_keeps_the_order_of_the_rest() {
    let mut queue = Queue::new();
    let slots: Vec<u32> = (1..=5).map(|weight| push(&mut queue, weight)).collect();
    assert!(matches!(queue.cancel(slots[2]).0, Left::Waiting { was_head: false }));
    assert_eq!(weights(&queue), [1, 2, 4, 5]);
    assert!(matches!(queue.cancel(slots[0]).0, Left::Waiting { was_head: true }));
    assert!(matches!(queue.cancel(slots[4]).0, Left::Waiting { was_head: false }));
    assert_eq!(weights(&queue), [2, 4]);
    push(&mut queue, 9);
    assert_eq!(weights(&queue), [2, 4, 9]);
}

#[test]
fn a_grant_that_was_not_collected_is_given_back_with_its_weight() {
    let mut queue = Queue::new();
    let slot = push(&mut queue, 3);
    queue.grant_head(None);
    assert_eq!((queue.waiting(), queue.head()), (0, None));
    assert!(matches!(queue.cancel(slot).0, Left::Granted { weight: 3 }));
}

#[test]
fn only_the_heavier_ones_that_did_not_choose_to_wait_are_refused() {
    let mut queue = Queue::new();
    let light = push(&mut queue, 1);
    let heavy = push(&mut queue, 5);
    let patient = queue.push(5, Oversize::Wait, Waker::noop().clone(), None);
    let mut woken = 0;
    queue.refuse_heavier(4, |_| woken += 1);
    assert_eq!((woken, weights(&queue)), (1, vec![1, 5]));
    let waker = Waker::noop();
    let mut poll = |at| queue.poll(at, waker, &mut Some(waker.clone()));
    assert!(matches!(poll(heavy), Polled::Refused { limit: 4 }));
    assert!(matches!(poll(light), Polled::Waiting));
    assert!(matches!(poll(patient), Polled::Waiting));
}

#[test]
fn memory_comes_back_when_the_last_of_a_crowd_has_left() {
    let mut queue = Queue::new();
    let slots: Vec<u32> = (0..5000).map(|_| push(&mut queue, 1)).collect();
    assert!(queue.slots.capacity() >= 5000);
    slots.into_iter().for_each(|slot| drop(queue.cancel(slot)));
    assert_eq!(queue.slots.capacity(), 0);
    let slot = push(&mut queue, 1);
    assert_eq!((slot, weights(&queue)), (0, vec![1]));
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
    let census = queue.census(after(10));
    assert_eq!((census.waiting, census.granted), (2, 1));
    assert_eq!(census.oldest_wait, Some(Duration::from_secs(9)));
    assert_eq!(census.oldest_grant, Some(Duration::from_secs(6)));
}
