use super::*;

fn push(queue: &mut Queue, weight: u32) -> u32 {
    queue.push(weight, Oversize::Refuse, Waker::noop().clone(), None)
}

fn weights(queue: &Queue) -> Vec<u32> {
    let mut at = queue.head;
    std::iter::from_fn(|| {
        let slot = (at != NIL).then(|| queue.slots.get(at))?;
        assert_eq!(slot.state, State::Waiting);
        at = slot.next;
        Some(slot.weight)
    })
    .collect()
}

#[test]
fn leaving_from_head_middle_and_tail_keeps_the_order_of_the_rest() {
    let mut queue = Queue::new();
    let slots: Vec<u32> = (1..=5).map(|weight| push(&mut queue, weight)).collect();
    assert_eq!(queue.cancel(slots[2]).0, Left::Middle);
    assert_eq!(weights(&queue), [1, 2, 4, 5]);
    assert_eq!(queue.cancel(slots[0]).0, Left::Head);
    assert_eq!(queue.cancel(slots[4]).0, Left::Middle);
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
    assert_eq!(queue.cancel(slot).0, Left::Granted { weight: 3 });
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

/// Leaves one after the other, as the semaphore does it.
fn leave_all(queue: &mut Queue, slots: impl IntoIterator<Item = u32>) {
    for slot in slots {
        if queue.cancel(slot).0 != (Left::Lingers { full: false }) {
            drop(queue.see_off());
        }
    }
    drop(queue.see_off());
}

#[test]
fn whoever_leaves_a_crowd_lingers_but_does_not_count_as_waiting() {
    let mut queue = Queue::new();
    let slots: Vec<u32> = (0..=CROWD + 1).map(|weight| push(&mut queue, weight)).collect();
    assert_eq!(queue.cancel(slots[1]).0, Left::Lingers { full: false });
    assert_eq!((queue.waiting(), queue.lingers()), (CROWD + 1, true));
    assert_eq!(queue.see_off().len(), 1);
    assert_eq!((queue.waiting(), queue.lingers()), (CROWD + 1, false));
    assert_eq!(weights(&queue)[..3], [0, 2, 3]);
}

#[test]
fn the_head_of_a_crowd_and_whoever_leaves_beside_a_grant_do_not_linger() {
    let mut queue = Queue::new();
    let slots: Vec<u32> = (0..=CROWD + 3).map(|weight| push(&mut queue, weight)).collect();
    assert_eq!(queue.cancel(slots[0]).0, Left::Head);
    queue.grant_head(None);
    assert_eq!(queue.cancel(slots[4]).0, Left::Middle);
    assert_eq!(queue.cancel(slots[1]).0, Left::Granted { weight: 1 });
    assert_eq!(queue.cancel(slots[5]).0, Left::Lingers { full: false });
}

#[test]
fn memory_comes_back_when_the_crowd_has_gone_though_others_came_meanwhile() {
    let mut queue = Queue::new();
    let crowd: Vec<u32> = (0..100_000).map(|_| push(&mut queue, 1)).collect();
    assert!(queue.capacity() >= 100_000);
    // One more comes for every hundred who leave, so that the queue is never empty.
    let mut others = Vec::new();
    for some in crowd.chunks(100) {
        leave_all(&mut queue, some.iter().copied());
        others.push(push(&mut queue, 2));
    }
    assert_eq!(weights(&queue), vec![2; 1000]);
    // The last of the crowd lay in the last block, and the others gathered in the first ones.
    assert!(queue.capacity() <= 4 * 512, "{}", queue.capacity());
    assert!(queue.slots.end() <= 4 * 512, "{}", queue.slots.end());
    leave_all(&mut queue, others);
    assert_eq!((queue.waiting(), push(&mut queue, 1)), (0, 0));
}

#[test]
fn leaving_in_any_order_keeps_the_order_of_the_rest() {
    let mut queue = Queue::new();
    let slots: Vec<u32> = (0..5000).map(|weight| push(&mut queue, weight)).collect();
    let stays = |at: u32| at.wrapping_mul(2_654_435_761).is_multiple_of(3);
    // Not in order of arrival: 7 and 5000 have no common divisor.
    let order = (0..5000_u32).map(|at| at * 7 % 5000).filter(|at| !stays(*at));
    leave_all(&mut queue, order.map(|at| slots[at as usize]));
    let rest: Vec<u32> = (0..5000).filter(|at| stays(*at)).collect();
    assert_eq!(weights(&queue), rest);
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
