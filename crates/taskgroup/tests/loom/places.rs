//! Places under a limit: given, given up, refused.

use std::future::poll_fn;

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use tidegate_taskgroup::Refused;
use tidegate_taskgroup::core::{Entry, Grant, Places, Tally, Turn, Who, turn};

use super::bounded;

/// Stands in the queue as `Spawner::place` does; a place at once is `None`.
fn ask(places: &Places<Grant>) -> Result<Option<(u64, Turn)>, Refused> {
    let (grant, turn) = turn();
    match places.enter(grant, false) {
        Entry::Now(_) => Ok(None),
        Entry::Later(ticket) => Ok(Some((ticket, turn))),
        Entry::Closed(_) => Err(Refused::Cancelled),
        Entry::Deadlock(_) => Err(Refused::WouldDeadlock),
    }
}

fn take(places: &Places<Grant>) {
    assert!(places.try_admit(|| Ok::<_, ()>(()), &mut Grant::give).is_some(), "it is free");
}

fn give_back(places: &Places<Grant>) {
    places.give_back(&mut Grant::give);
}

/// As `AwaitPlace` does when it is dropped.
fn give_up(places: &Places<Grant>, ticket: u64, turn: &Turn) {
    if turn.give_up() { give_back(places) } else { places.give_up(ticket) }
}

#[test]
fn a_place_given_to_one_who_gives_up_goes_to_the_next() {
    bounded(|| {
        let places = Arc::new(Places::new(1));
        take(&places);
        let (first, turn) = ask(&places).expect("open").expect("it is full");
        let (_, next) = ask(&places).expect("open").expect("it is full");
        let holder = {
            let places = Arc::clone(&places);
            thread::spawn(move || give_back(&places))
        };
        let waiter = {
            let places = Arc::clone(&places);
            thread::spawn(move || give_up(&places, first, &turn))
        };
        assert!(block_on(poll_fn(|cx| next.poll(cx))), "nobody closed");
        holder.join().expect("no panic");
        waiter.join().expect("no panic");
        give_back(&places);
        assert_eq!((places.running(), places.waiting()), (0, 0));
    });
}

#[test]
fn who_waits_for_a_place_while_the_group_is_cancelled_and_a_task_ends_is_told_once() {
    bounded(|| {
        let places = Arc::new(Places::new(1));
        take(&places);
        let holder = {
            let places = Arc::clone(&places);
            thread::spawn(move || give_back(&places))
        };
        let canceller = {
            let places = Arc::clone(&places);
            thread::spawn(move || places.close())
        };
        let given = match ask(&places) {
            Ok(None) => true,
            Ok(Some((_, turn))) => block_on(poll_fn(|cx| turn.poll(cx))),
            Err(refused) => {
                assert_eq!(refused, Refused::Cancelled);
                false
            }
        };
        if given {
            give_back(&places);
        }
        holder.join().expect("no panic");
        canceller.join().expect("no panic");
        assert_eq!((places.running(), places.waiting()), (0, 0), "every place is back");
        assert!(places.try_admit(|| Ok::<_, ()>(()), &mut Grant::give).is_none(), "it is closed");
    });
}

/// Cancelled, released and given up at once: whoever had the place, it is back.
#[test]
fn one_who_gives_up_while_the_group_is_cancelled_and_a_task_ends_keeps_no_place() {
    bounded(|| {
        let places = Arc::new(Places::new(1));
        take(&places);
        let (ticket, turn) = ask(&places).expect("open").expect("it is full");
        let others = [give_back as fn(&Places<Grant>), Places::close].map(|act| {
            let places = Arc::clone(&places);
            thread::spawn(move || act(&places))
        });
        give_up(&places, ticket, &turn);
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        assert_eq!((places.running(), places.waiting()), (0, 0), "every place is back");
    });
}

/// As `Spawner::try_spawn` does: the place comes first, and goes back if the group takes nobody any more.
#[test]
fn a_place_taken_for_one_who_is_refused_goes_to_the_next_in_line() {
    bounded(|| {
        let group = Arc::new((Places::new(1), Tally::new()));
        let spawner = {
            let group = Arc::clone(&group);
            thread::spawn(move || {
                let (places, tally) = &*group;
                let admitted = places.try_admit(|| tally.enter(Who::Task), &mut Grant::give);
                if let Some(Ok(_)) = admitted {
                    give_back(places);
                    let _ = tally.leave(1);
                }
            })
        };
        let closer = {
            let group = Arc::clone(&group);
            thread::spawn(move || {
                group.1.close();
            })
        };
        let given = match ask(&group.0).expect("open") {
            None => true,
            Some((_, turn)) => block_on(poll_fn(|cx| turn.poll(cx))),
        };
        assert!(given, "nobody cancelled");
        give_back(&group.0);
        spawner.join().expect("no panic");
        closer.join().expect("no panic");
        assert_eq!((group.0.running(), group.0.waiting()), (0, 0), "every place is back");
    });
}

#[test]
fn a_place_that_came_with_a_higher_limit_is_not_lost_on_one_who_gives_up() {
    bounded(|| {
        let places = Arc::new(Places::new(0));
        let (ticket, turn) = ask(&places).expect("open").expect("there is no place");
        let raising = {
            let places = Arc::clone(&places);
            thread::spawn(move || places.resize(1, &mut Grant::give))
        };
        let waiter = {
            let places = Arc::clone(&places);
            thread::spawn(move || give_up(&places, ticket, &turn))
        };
        raising.join().expect("no panic");
        waiter.join().expect("no panic");
        assert_eq!((places.running(), places.waiting()), (0, 0), "every place is back");
    });
}
