//! The semaphore beside a plain model of it, under random operations.
//!
//! The model is a list and two numbers, written for reading: after every operation each request's state, the limit, the use
//! and the number of waiters must agree.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use proptest::prelude::{Strategy, any};
use proptest::test_runner::{Config, TestRunner};
use tidegate_limiter::{AcquireError, AcquireOwned, OwnedSemaphorePermit, Semaphore};

#[derive(Debug, Clone)]
enum Op {
    Acquire {
        n: u32,
        patient: bool,
    },
    Poll(usize),
    Cancel(usize),
    Release(usize),
    Forget(usize),
    Split(usize, usize),
    Merge(usize, usize),
    Try(u32),
    Resize(usize),
    Add(usize),
    ForgetPermits(usize),
    /// All but one in fifty give up.
    Thin,
    Close,
}

fn op() -> impl Strategy<Value = Op> {
    let at = || any::<usize>();
    proptest::prop_oneof![
        8 => (0_u32..6, any::<bool>()).prop_map(|(n, patient)| Op::Acquire { n, patient }),
        8 => at().prop_map(Op::Poll),
        4 => at().prop_map(Op::Cancel),
        8 => at().prop_map(Op::Release),
        1 => at().prop_map(Op::Forget),
        2 => (at(), 0_usize..4).prop_map(|(at, n)| Op::Split(at, n)),
        2 => (at(), at()).prop_map(|(a, b)| Op::Merge(a, b)),
        3 => (0_u32..4).prop_map(Op::Try),
        4 => (0_usize..7).prop_map(Op::Resize),
        1 => (0_usize..3).prop_map(Op::Add),
        1 => (0_usize..3).prop_map(Op::ForgetPermits),
        1 => (0_usize..4).prop_map(|at| [Op::Close, Op::Try(1), Op::Try(1), Op::Thin][at].clone()),
    ]
}

/// What the model knows of a request that has been polled and not yet collected.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Waiting,
    Granted,
    Refused { limit: usize },
    Closed,
}

#[derive(Debug)]
struct Request {
    id: usize,
    weight: usize,
    patient: bool,
    /// `None` before the first poll.
    fate: Option<Fate>,
    future: Pin<Box<AcquireOwned>>,
}

struct World {
    semaphore: Arc<Semaphore>,
    limit: usize,
    in_use: usize,
    closed: bool,
    queue: VecDeque<usize>,
    requests: Vec<Request>,
    permits: Vec<OwnedSemaphorePermit>,
    next_id: usize,
}

impl World {
    fn new(limit: usize) -> Self {
        Self {
            semaphore: Arc::new(Semaphore::new(limit)),
            limit,
            in_use: 0,
            closed: false,
            queue: VecDeque::new(),
            requests: Vec::new(),
            permits: Vec::new(),
            next_id: 0,
        }
    }

    fn exceeds(&self, weight: usize, patient: bool) -> bool {
        !patient && self.limit != 0 && self.limit < weight
    }

    fn request(&mut self, id: usize) -> &mut Request {
        self.requests.iter_mut().find(|request| request.id == id).expect("it is known")
    }

    /// The rules, applied to the model: refuse who is too heavy, then admit from the head while it fits.
    fn settle(&mut self) {
        for id in self.queue.clone() {
            let (weight, patient) = (self.request(id).weight, self.request(id).patient);
            if self.exceeds(weight, patient) {
                let limit = self.limit;
                self.request(id).fate = Some(Fate::Refused { limit });
                self.queue.retain(|other| *other != id);
            }
        }
        while let Some(&id) = self.queue.front() {
            let weight = self.request(id).weight;
            if self.limit < self.in_use + weight {
                break;
            }
            self.in_use += weight;
            self.request(id).fate = Some(Fate::Granted);
            self.queue.pop_front();
        }
    }

    fn first_poll(&mut self, at: usize) -> Fate {
        let Request { id, weight, patient, .. } = self.requests[at];
        let fits = self.queue.is_empty() && self.in_use + weight <= self.limit;
        if self.closed {
            Fate::Closed
        } else if weight == 0 || fits {
            self.in_use += weight;
            Fate::Granted
        } else if self.exceeds(weight, patient) {
            Fate::Refused { limit: self.limit }
        } else {
            self.queue.push_back(id);
            Fate::Waiting
        }
    }

    fn poll(&mut self, at: usize) {
        let fate = match self.requests[at].fate {
            Some(fate) => fate,
            None => self.first_poll(at),
        };
        let weight = self.requests[at].weight;
        let polled =
            self.requests[at].future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        match (fate, polled) {
            (Fate::Waiting, Poll::Pending) => {
                self.requests[at].fate = Some(Fate::Waiting);
                return;
            }
            (Fate::Granted, Poll::Ready(Ok(permit))) => {
                assert_eq!(permit.num_permits(), weight);
                self.permits.push(permit);
            }
            (Fate::Refused { limit }, Poll::Ready(Err(error))) => {
                assert_eq!(error, AcquireError::ExceedsLimit { requested: weight, limit });
            }
            (Fate::Closed, Poll::Ready(Err(AcquireError::Closed))) => {}
            (fate, polled) => panic!("the model says {fate:?}, the semaphore {polled:?}"),
        }
        drop(self.requests.swap_remove(at));
    }

    fn apply(&mut self, op: &Op) {
        let pick = |at: usize, of: usize| (of != 0).then(|| at % of);
        match *op {
            Op::Acquire { n, patient } => {
                let future = Arc::clone(&self.semaphore).acquire_many_owned(n);
                let future = if patient { future.or_wait_for_growth() } else { future };
                let (id, weight) = (self.next_id, n as usize);
                self.next_id += 1;
                let future = Box::pin(future);
                self.requests.push(Request { id, weight, patient, fate: None, future });
                self.poll(self.requests.len() - 1);
            }
            Op::Poll(at) => {
                let Some(at) = pick(at, self.requests.len()) else { return };
                self.poll(at);
            }
            Op::Cancel(at) => {
                let Some(at) = pick(at, self.requests.len()) else { return };
                let gone = self.requests.swap_remove(at);
                self.queue.retain(|id| *id != gone.id);
                if gone.fate == Some(Fate::Granted) {
                    self.in_use -= gone.weight;
                }
                drop(gone);
                self.settle();
            }
            Op::Release(at) => {
                let Some(at) = pick(at, self.permits.len()) else { return };
                let permit = self.permits.swap_remove(at);
                self.in_use -= permit.num_permits();
                drop(permit);
                self.settle();
            }
            Op::Forget(at) => {
                let Some(at) = pick(at, self.permits.len()) else { return };
                let permit = self.permits.swap_remove(at);
                self.in_use -= permit.num_permits();
                self.limit = self.limit.saturating_sub(permit.num_permits());
                permit.forget();
                self.settle();
            }
            Op::Split(at, n) => {
                let Some(at) = pick(at, self.permits.len()) else { return };
                let whole = self.permits[at].num_permits();
                let split = self.permits[at].split(n);
                assert_eq!(split.is_some(), n <= whole);
                self.permits.extend(split);
            }
            Op::Merge(a, b) => {
                let Some(a) = pick(a, self.permits.len()) else { return };
                let one = self.permits.swap_remove(a);
                match pick(b, self.permits.len()) {
                    Some(b) => self.permits[b].merge(one),
                    None => self.permits.push(one),
                }
            }
            Op::Try(n) => {
                let weight = n as usize;
                let fits = self.queue.is_empty() && self.in_use + weight <= self.limit;
                let expected = !self.closed && (weight == 0 || fits);
                let taken = Arc::clone(&self.semaphore).try_acquire_many_owned(n);
                assert_eq!(taken.is_ok(), expected);
                self.in_use += if expected { weight } else { 0 };
                self.permits.extend(taken);
            }
            Op::Resize(limit) => {
                self.semaphore.resize(limit);
                self.limit = limit;
                self.settle();
            }
            Op::Add(n) => {
                self.semaphore.add_permits(n);
                self.limit += n;
                self.settle();
            }
            Op::ForgetPermits(n) => {
                let fell = self.semaphore.forget_permits(n);
                assert_eq!(fell, n.min(self.limit));
                self.limit -= fell;
                self.settle();
            }
            Op::Thin => {
                let leave = (0..self.requests.len()).rev().filter(|at| at % 50 != 7);
                leave.for_each(|at| self.apply(&Op::Cancel(at)));
            }
            Op::Close => {
                self.semaphore.close();
                self.closed = true;
                for id in std::mem::take(&mut self.queue) {
                    self.request(id).fate = Some(Fate::Closed);
                }
            }
        }
    }

    fn check(&self) {
        let view = self.semaphore.view();
        assert_eq!((view.limit, view.in_use), (self.limit, self.in_use));
        assert_eq!((view.has_waiters, view.is_closed), (!self.queue.is_empty(), self.closed));
        let queue = self.semaphore.queue();
        assert_eq!(queue.waiting, self.queue.len());
        let granted = |request: &&Request| request.fate == Some(Fate::Granted);
        assert_eq!(queue.granted_unpolled, self.requests.iter().filter(granted).count());
    }
}

#[test]
fn every_operation_does_what_the_plain_model_does() {
    let cases = if crate::is_nightly() { 200_000 } else { 400 };
    check_histories(cases, 0);
}

/// A crowd stands in many blocks of memory, which come and go with it: nobody may be able to tell.
#[test]
fn a_crowd_is_no_different() {
    let cases = if crate::is_nightly() { 5000 } else { 10 };
    check_histories(cases, 530);
}

/// Random histories, after `crowd` requests that wait for the one permit there is at first.
fn check_histories(cases: u32, crowd: usize) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let histories = (0_usize..7, proptest::collection::vec(op(), 1..120));
    TestRunner::new(config)
        .run(&histories, |(limit, ops)| {
            let mut world = World::new(if crowd == 0 { limit } else { 0 });
            for _ in 0..crowd {
                world.apply(&Op::Acquire { n: 1, patient: false });
            }
            for op in &ops {
                world.apply(op);
                world.check();
            }
            let semaphore = Arc::clone(&world.semaphore);
            drop(world);
            assert_eq!((semaphore.in_use(), semaphore.waiting()), (0, 0));
            Ok(())
        })
        .expect("the model agrees with the semaphore");
}
