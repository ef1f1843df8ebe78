//! What a limiter tells its law, and what it does with the answer.

use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use tidegate_limiter::{
    AcquireError, Aimd, Fixed, Knee, Law, Limiter, OwnedTicket, Sample, Semaphore, TryAcquireError,
    Window,
};

/// Says what it is told to say, and remembers what it was asked.
#[derive(Debug, Clone)]
struct Script {
    asked: Arc<Mutex<Vec<(usize, Sample)>>>,
    answers: Arc<Mutex<Vec<usize>>>,
    window: Window,
}

impl Script {
    /// The last answer first; when there are none left, the limit stays.
    fn of(window: Window, answers: &[usize]) -> Self {
        Self { asked: Arc::default(), answers: Arc::new(Mutex::new(answers.to_vec())), window }
    }

    fn asked(&self) -> Vec<(usize, Sample)> {
        self.asked.lock().expect("no panic under the lock").clone()
    }

    fn last(&self) -> Sample {
        self.asked().last().expect("it was asked").1
    }
}

impl Law for Script {
    fn next(&mut self, limit: usize, sample: &Sample) -> usize {
        self.asked.lock().expect("no panic under the lock").push((limit, *sample));
        self.answers.lock().expect("no panic under the lock").pop().unwrap_or(limit)
    }

    fn window(&self) -> Window {
        self.window
    }
}

fn is_pending<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn owned(limiter: &Arc<Limiter>) -> OwnedTicket {
    Arc::clone(limiter).try_acquire_owned().expect("the limit is not reached")
}

#[test]
fn success_and_overload_reach_the_law_and_the_rest_does_not() {
    let law = Script::of(Window::EACH, &[]);
    let limiter = Limiter::new(4, law.clone());
    let ticket = || limiter.try_acquire().expect("four are free");
    ticket().ignore();
    drop(ticket());
    assert_eq!(law.asked(), []);
    ticket().success();
    assert_eq!((law.last().overloads, law.last().latency.map(|l| l.count)), (0, Some(1)));
    ticket().overload();
    assert_eq!((law.last().overloads, law.last().latency), (1, None));
    assert_eq!((law.asked().len(), limiter.in_flight()), (2, 0));
}

#[test]
fn owned_tickets_end_in_the_same_four_ways() {
    let law = Script::of(Window::EACH, &[]);
    let limiter = Arc::new(Limiter::new(4, law.clone()));
    owned(&limiter).ignore();
    drop(owned(&limiter));
    assert_eq!(law.asked(), []);
    owned(&limiter).success();
    owned(&limiter).overload();
    owned(&limiter).success_after_wait(Duration::from_millis(7));
    let overloads: Vec<usize> = law.asked().iter().map(|(_, sample)| sample.overloads).collect();
    assert_eq!(overloads, [0, 1, 0]);
    assert_eq!(law.last().backend_wait, Some(Duration::from_millis(7)));
    assert_eq!(limiter.in_flight(), 0);
}

#[test]
fn a_task_that_panics_with_its_ticket_gives_it_back_and_tells_nothing() {
    let law = Script::of(Window::EACH, &[]);
    let limiter = Limiter::new(1, law.clone());
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
        let _ticket = limiter.try_acquire();
        panic::resume_unwind(Box::new("a bug in the work"));
    }));
    assert!(panicked.is_err());
    assert_eq!((limiter.in_flight(), law.asked().len()), (0, 0));
}

#[test]
fn the_use_that_a_law_sees_is_the_highest_at_any_begin_itself_included() {
    let law = Script::of(Window::every(Duration::ZERO, 3), &[]);
    let limiter = Arc::new(Limiter::new(5, law.clone()));
    let tickets: Vec<OwnedTicket> = (0..3).map(|_| owned(&limiter)).collect();
    tickets.into_iter().for_each(OwnedTicket::success);
    assert_eq!(law.last().max_in_flight, 3);
}

#[test]
fn the_law_is_asked_once_its_window_is_full_and_not_before() {
    let law = Script::of(Window::every(Duration::ZERO, 10), &[]);
    let limiter = Limiter::new(1, law.clone());
    for number in 1..=25 {
        limiter.try_acquire().expect("it is free").success();
        assert_eq!(law.asked().len(), number / 10);
    }
    assert_eq!(law.last().latency.map(|l| l.count), Some(10));
}

#[test]
fn latency_is_the_time_from_admission_to_the_end() {
    let law = Script::of(Window::EACH, &[]);
    let limiter = Limiter::new(1, law.clone());
    let before = Instant::now();
    let ticket = limiter.try_acquire().expect("it is free");
    let admitted = Instant::now();
    while admitted.elapsed() < Duration::from_millis(2) {}
    ticket.success();
    let latency = law.last().latency.expect("one was measured").mean;
    assert!(Duration::from_millis(2) <= latency && latency <= before.elapsed(), "{latency:?}");
}

#[test]
fn the_wait_that_a_backend_tells_reaches_the_law_in_both_forms() {
    let law = Script::of(Window::every(Duration::ZERO, 2), &[]);
    let limiter = Limiter::new(1, law.clone());
    for wait in [10, 30] {
        let ticket = limiter.try_acquire().expect("it is free");
        ticket.success_after_wait(Duration::from_millis(wait));
    }
    assert_eq!(law.last().backend_wait, Some(Duration::from_millis(20)));
    assert_eq!(law.last().gpu_wait, Some(0.020));
}

#[test]
fn those_who_wait_are_the_queue_depth() {
    let law = Script::of(Window::EACH, &[]);
    let limiter = Limiter::new(2, law.clone());
    let first = limiter.try_acquire().expect("two are free");
    let _second = limiter.try_acquire().expect("one is free");
    let mut waiting = [pin!(limiter.acquire()), pin!(limiter.acquire()), pin!(limiter.acquire())];
    assert!(waiting.iter_mut().all(|future| is_pending(future.as_mut())));
    first.success();
    // The permit went to the first of the three before the law was asked.
    assert_eq!(law.last().queue_depth, Some(2.0));
}

#[test]
fn a_larger_limit_admits_those_who_wait_in_order() {
    let limiter = Limiter::new(1, Script::of(Window::EACH, &[3]));
    let ticket = limiter.try_acquire().expect("it is free");
    let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(limiter.acquire())).collect();
    assert!(waiting.iter_mut().all(|future| is_pending(future.as_mut())));
    ticket.success();
    assert_eq!((limiter.limit(), limiter.in_flight()), (3, 3));
    let mut context = Context::from_waker(Waker::noop());
    let polled: Vec<_> = waiting.iter_mut().map(|f| f.as_mut().poll(&mut context)).collect();
    let is_in: Vec<bool> = polled.iter().map(Poll::is_ready).collect();
    assert_eq!(is_in, [true, true, true, false]);
}

#[test]
fn a_smaller_limit_admits_nobody_until_the_use_is_below_it() {
    let limiter = Arc::new(Limiter::new(4, Script::of(Window::EACH, &[2])));
    let mut tickets: Vec<OwnedTicket> = (0..4).map(|_| owned(&limiter)).collect();
    tickets.pop().expect("four were taken").success();
    assert_eq!((limiter.limit(), limiter.in_flight()), (2, 3));
    for use_after in [2, 1] {
        assert_eq!(limiter.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
        tickets.pop().expect("three are left").success();
        assert_eq!(limiter.in_flight(), use_after);
    }
    limiter.try_acquire().expect("one of two is in use").ignore();
}

#[test]
fn a_law_that_says_none_is_taken_to_mean_one_since_it_would_never_be_asked_again() {
    let law = Script::of(Window::EACH, &[5, 0]);
    let limiter = Limiter::new(4, law.clone());
    limiter.try_acquire().expect("it is free").success();
    assert_eq!(limiter.limit(), 1);
    limiter.try_acquire().expect("it is free").success();
    assert_eq!(limiter.limit(), 5);
}

#[test]
fn a_law_that_says_more_than_there_can_be_gets_what_there_can_be() {
    let limiter = Limiter::new(4, Script::of(Window::EACH, &[usize::MAX]));
    limiter.try_acquire().expect("it is free").success();
    assert_eq!(limiter.limit(), Semaphore::MAX_PERMITS);
}

#[test]
fn a_limit_set_by_hand_is_where_the_law_goes_on() {
    let law = Script::of(Window::EACH, &[]);
    let limiter = Limiter::new(4, law.clone());
    limiter.semaphore().resize(9);
    limiter.try_acquire().expect("it is free").success();
    assert_eq!((law.asked()[0].0, limiter.limit()), (9, 9));
}

#[test]
fn a_limit_of_zero_is_a_pause_that_no_law_ends() {
    let law = Script::of(Window::EACH, &[6]);
    let limiter = Limiter::new(4, law.clone());
    let [first, second] = [(); 2].map(|()| limiter.try_acquire().expect("four are free"));
    limiter.semaphore().resize(0);
    first.success();
    second.overload();
    assert_eq!((limiter.limit(), law.asked().len()), (0, 0));
    limiter.semaphore().resize(4);
    limiter.try_acquire().expect("it is free").success();
    assert_eq!(limiter.limit(), 6);
}

/// While it decides, someone pauses what it steers.
#[derive(Debug, Default, Clone)]
struct Overtaken(Arc<OnceLock<Weak<Semaphore>>>);

impl Law for Overtaken {
    fn next(&mut self, limit: usize, _: &Sample) -> usize {
        self.0.get().and_then(Weak::upgrade).expect("it is steered").resize(0);
        limit + 1
    }
}

#[test]
fn a_limit_set_by_hand_while_the_law_decides_stays() {
    let law = Overtaken::default();
    let limiter = Limiter::new(4, law.clone());
    law.0.set(Arc::downgrade(limiter.semaphore())).expect("it is empty");
    limiter.try_acquire().expect("it is free").success();
    assert_eq!(limiter.limit(), 0);
}

/// Panics when asked for the first time.
#[derive(Debug, Default)]
struct Fragile {
    asked: usize,
}

impl Law for Fragile {
    fn next(&mut self, limit: usize, _: &Sample) -> usize {
        self.asked += 1;
        assert!(1 < self.asked, "a bug in the law");
        limit + 1
    }
}

#[test]
fn a_law_that_panics_does_so_where_the_ticket_ends_and_the_limiter_goes_on() {
    let limiter = Limiter::new(2, Fragile::default());
    let ticket = limiter.try_acquire().expect("it is free");
    let mut waiting = pin!(limiter.acquire());
    let second = limiter.try_acquire().expect("one is free");
    assert!(is_pending(waiting.as_mut()));
    assert!(panic::catch_unwind(AssertUnwindSafe(|| ticket.success())).is_err());
    assert_eq!(limiter.in_flight(), 2, "the permit went on before the law was asked");
    assert!(!is_pending(waiting.as_mut()));
    second.success();
    assert_eq!(limiter.limit(), 3);
}

#[test]
fn a_dropped_acquire_loses_its_place_and_nothing_else() {
    let limiter = Limiter::new(1, Fixed(1));
    let ticket = limiter.try_acquire().expect("it is free");
    let mut leaves = Box::pin(limiter.acquire());
    let mut stays = pin!(limiter.acquire());
    assert!(is_pending(leaves.as_mut()) && is_pending(stays.as_mut()));
    ticket.success(); // granted to the one that leaves without looking
    drop(leaves);
    assert!(!is_pending(stays.as_mut()));
    assert_eq!((limiter.in_flight(), limiter.semaphore().waiting()), (0, 0));
}

#[test]
fn a_closed_limiter_admits_nobody_and_still_learns_from_what_is_in_flight() {
    let law = Script::of(Window::EACH, &[]);
    let limiter = Limiter::new(1, law.clone());
    let ticket = limiter.try_acquire().expect("it is free");
    let mut waiting = pin!(limiter.acquire());
    assert!(is_pending(waiting.as_mut()));
    limiter.semaphore().close();
    let mut context = Context::from_waker(Waker::noop());
    let refused = waiting.as_mut().poll(&mut context);
    assert!(matches!(refused, Poll::Ready(Err(AcquireError::Closed))), "{refused:?}");
    assert_eq!(limiter.try_acquire().unwrap_err(), TryAcquireError::Closed);
    ticket.success();
    assert_eq!((law.asked().len(), limiter.in_flight()), (1, 0));
}

#[test]
fn a_bound_on_the_queue_of_the_semaphore_below_holds() {
    let limiter = Limiter::over(Semaphore::new(1).with_queue_bound(1), Fixed(1));
    let _ticket = limiter.try_acquire().expect("it is free");
    let mut first = pin!(limiter.acquire());
    assert!(is_pending(first.as_mut()));
    let refused = pin!(limiter.acquire()).poll(&mut Context::from_waker(Waker::noop()));
    assert!(
        matches!(refused, Poll::Ready(Err(AcquireError::QueueFull { bound: 1 }))),
        "{refused:?}"
    );
}

#[test]
fn a_ticket_outlives_the_last_handle_of_its_limiter() {
    let law = Script::of(Window::EACH, &[]);
    let limiter = Arc::new(Limiter::new(1, law.clone()));
    let ticket = owned(&limiter);
    let is_gone = Arc::downgrade(&limiter);
    drop(limiter);
    assert!(is_gone.upgrade().is_some(), "the ticket keeps it");
    ticket.success();
    assert!(is_gone.upgrade().is_none());
    assert_eq!(law.asked().len(), 1);
}

#[test]
fn a_permit_asked_for_with_a_deadline_or_a_weight_becomes_a_ticket() {
    let law = Script::of(Window::EACH, &[]);
    let limiter = Arc::new(Limiter::new(3, law.clone()));
    let deadline = || std::future::pending();
    let mut asks = pin!(limiter.semaphore().acquire_many(2).before(deadline()).into_future());
    let permit = match asks.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(permit)) => permit,
        other => panic!("two of three are free: {other:?}"),
    };
    let two = limiter.ticket(permit);
    let one = Arc::clone(limiter.semaphore()).try_acquire_owned().expect("one is free");
    let one = Arc::clone(&limiter).ticket_owned(one);
    assert_eq!(limiter.in_flight(), 3);
    two.success();
    assert_eq!((law.asked().len(), limiter.in_flight()), (1, 1));
    one.overload();
    assert_eq!((law.last().overloads, limiter.in_flight()), (1, 0));
}

#[test]
fn a_permit_of_another_semaphore_is_no_ticket() {
    let [limiter, other] = [(); 2].map(|()| Arc::new(Limiter::new(1, Fixed(1))));
    let borrowed = other.semaphore().try_acquire().expect("it is free");
    assert!(panic::catch_unwind(AssertUnwindSafe(|| drop(limiter.ticket(borrowed)))).is_err());
    let owned = Arc::clone(other.semaphore()).try_acquire_owned().expect("it is free again");
    let ticket = || drop(Arc::clone(&limiter).ticket_owned(owned));
    assert!(panic::catch_unwind(AssertUnwindSafe(ticket)).is_err());
}

#[test]
fn threads_leave_nothing_in_flight_and_the_limit_within_its_bounds() {
    let limiter = Limiter::new(2, Aimd { min: 2, max: 6, ..Aimd::default() });
    thread::scope(|scope| {
        for worker in 0..4 {
            let limiter = &limiter;
            scope.spawn(move || {
                for item in 0..500 {
                    let ticket = limiter.blocking_acquire().expect("nobody closes it");
                    assert!((2..=6).contains(&limiter.limit()), "{}", limiter.limit());
                    match (worker + item) % 7 {
                        0 => ticket.overload(),
                        1 => ticket.ignore(),
                        2 => drop(ticket),
                        _ => ticket.success(),
                    }
                }
            });
        }
    });
    assert_eq!((limiter.in_flight(), limiter.semaphore().waiting()), (0, 0));
}

#[test]
fn where_very_many_end_the_law_sees_a_share_of_them() {
    let law = Script::of(Window::every(Duration::from_millis(5), 50), &[]);
    let limiter = Limiter::new(1, law.clone());
    let began = Instant::now();
    let mut ended = 0_usize;
    while began.elapsed() < Duration::from_millis(200) {
        limiter.try_acquire().expect("it is free").success();
        ended += 1;
    }
    let seen: usize = law.asked().iter().filter_map(|(_, s)| s.latency.map(|l| l.count)).sum();
    // Some 50,000 a second are enough: 10,000 here, and twice that for powers of two and the first window.
    let is_many = 200_000 < ended;
    assert!(!is_many || seen < ended / 4, "{seen} of {ended}");
    assert!(0 < seen);
}

#[test]
fn limiters_and_owned_tickets_may_go_to_other_threads() {
    fn may_go<T: Send + Sync + 'static>(_: &T) {}
    let limiter = Arc::new(Limiter::new(1, Knee::default()));
    may_go(&limiter);
    may_go(&owned(&limiter));
}
