//! Discrete events in virtual time: Poisson arrivals, or clients that ask again; limiters that refuse what is above their
//! limit, or let clients wait; one backend.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use tidegate_limiter::{Ended, Outcome};

use crate::chance::Chance;
use crate::contender::Contender;
use crate::scenario::{Backend, Scenario, Service};
use limiter::Limiter;

mod limiter;

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// When an item ended, and how long it took; in order.
    pub(crate) ended: Vec<(f64, f64)>,
    /// When the sum of the limits changed, and to what; in order, first at 0.
    pub(crate) limits: Vec<(f64, usize)>,
}

/// Simulates `scenario` with limits from `contender`.
pub(crate) fn run(scenario: &Scenario, contender: &Contender, start: u64) -> Trace {
    Simulation::new(scenario, contender, start).run()
}

#[derive(Debug, Clone, Copy)]
struct Item {
    limiter: usize,
    began: f64,
    in_flight: usize,
    service: f64,
    served_from: f64,
}

/// Seconds, ordered.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Time(f64);

impl Eq for Time {}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

struct Simulation<'s> {
    scenario: &'s Scenario,
    chance: Chance,
    limiters: Vec<Limiter>,
    items: Vec<Item>,
    /// Slots of `items` that are free.
    free: Vec<usize>,
    line: VecDeque<usize>,
    /// When the service ends: in seconds (fcfs), or in work done for each (usl).
    busy: BinaryHeap<Reverse<(Time, usize)>>,
    /// How much work each item in service has had since the beginning (usl).
    done: f64,
    now: f64,
    trace: Trace,
}

/// How often the backend looks whether it has more servers.
const TICK: f64 = 0.05;

impl<'s> Simulation<'s> {
    fn new(scenario: &'s Scenario, contender: &Contender, start: u64) -> Self {
        let clients = scenario.clients.unwrap_or(0);
        let limiters = (0..scenario.limiters).map(|at| {
            let waiting =
                clients / scenario.limiters + usize::from(at < clients % scenario.limiters);
            Limiter::new(scenario, contender, waiting)
        });
        Self {
            scenario,
            chance: Chance::new(start),
            limiters: limiters.collect(),
            items: Vec::new(),
            free: Vec::new(),
            line: VecDeque::new(),
            busy: BinaryHeap::new(),
            done: 0.0,
            now: 0.0,
            trace: Trace::default(),
        }
    }

    fn run(mut self) -> Trace {
        self.note_limit();
        let mut arrival = if self.scenario.clients.is_some() { f64::INFINITY } else { 0.0 };
        self.admit_all();
        let mut tick = TICK;
        while self.now < self.scenario.duration {
            let departure = self.next_departure();
            let next = arrival.min(departure).min(tick);
            self.advance(next);
            if next == tick {
                tick += TICK;
                self.oracle();
                self.admit_all();
                self.serve();
            } else if next == arrival {
                self.arrive();
                if self.ends_burst() {
                    let rate = self.scenario.arrivals(self.now) / self.scenario.burst;
                    arrival += self.chance.exponential() / rate;
                }
            } else {
                self.depart();
            }
        }
        self.trace
    }

    fn slowdown(&self) -> f64 {
        self.scenario.slowdown(self.now, self.busy.len() as f64)
    }

    fn next_departure(&self) -> f64 {
        let Some(Reverse((Time(at), _))) = self.busy.peek() else { return f64::INFINITY };
        match self.scenario.backend {
            Backend::Fcfs => *at,
            Backend::Usl { .. } => self.now + (at - self.done).max(0.0) * self.slowdown(),
        }
    }

    fn advance(&mut self, to: f64) {
        if !self.busy.is_empty() {
            self.done += (to - self.now) / self.slowdown();
        }
        self.now = to;
    }

    /// Whether the next arrival comes later rather than at the same moment.
    fn ends_burst(&mut self) -> bool {
        self.scenario.burst <= 1.0 || self.chance.unit() < 1.0 / self.scenario.burst
    }

    fn arrive(&mut self) {
        let at = if self.limiters.len() == 1 {
            0
        } else {
            (self.chance.unit() * self.limiters.len() as f64) as usize
        };
        // Drawn also for whoever is refused: all contenders meet the same work.
        let service = self.service();
        let limiter = &mut self.limiters[at];
        if limiter.limit <= limiter.in_flight {
            limiter.refused += 1;
            return;
        }
        let in_hand = self.line.len() + self.busy.len();
        if self.scenario.is_refused(self.now, in_hand) {
            let in_flight = self.limiters[at].in_flight + 1;
            self.ended(at, 0.0, in_flight, Outcome::Overload, None);
        } else {
            self.begin(at, service);
        }
    }

    /// Clients that wait are admitted as far as the limits go.
    fn admit_all(&mut self) {
        (0..self.limiters.len()).for_each(|at| self.admit(at));
    }

    fn admit(&mut self, at: usize) {
        while let limiter = &mut self.limiters[at]
            && limiter.in_flight < limiter.limit
            && 0 < limiter.waiting
        {
            limiter.waiting -= 1;
            let service = self.service();
            self.begin(at, service);
        }
    }

    fn begin(&mut self, at: usize, service: f64) {
        let limiter = &mut self.limiters[at];
        limiter.in_flight += 1;
        let item = Item {
            limiter: at,
            began: self.now,
            in_flight: limiter.in_flight,
            service,
            served_from: 0.0,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.items[slot] = item;
                slot
            }
            None => {
                self.items.push(item);
                self.items.len() - 1
            }
        };
        self.line.push_back(slot);
        self.serve();
    }

    fn service(&mut self) -> f64 {
        let mean = self.scenario.now(self.now).mean;
        mean * match self.scenario.service {
            Service::Fixed => 1.0,
            Service::Exponential => self.chance.exponential(),
            Service::Lognormal { cv } => {
                let variance = (1.0 + cv * cv).ln();
                (variance.sqrt() * self.chance.normal() - variance / 2.0).exp()
            }
            Service::Pareto { tail } => (tail - 1.0) / tail * self.chance.unit().powf(-1.0 / tail),
            Service::Bimodal { fast, slow, share } => {
                if self.chance.unit() < share {
                    slow
                } else {
                    fast
                }
            }
        }
    }

    /// Begins what can begin.
    fn serve(&mut self) {
        let servers = match self.scenario.backend {
            Backend::Fcfs => self.scenario.now(self.now).servers.round() as usize,
            Backend::Usl { .. } => usize::MAX,
        };
        while self.busy.len() < servers {
            let Some(slot) = self.line.pop_front() else { return };
            let from = match self.scenario.backend {
                Backend::Fcfs => self.now,
                Backend::Usl { .. } => self.done,
            };
            self.items[slot].served_from = self.now;
            self.busy.push(Reverse((Time(from + self.items[slot].service), slot)));
        }
    }

    fn depart(&mut self) {
        let Some(Reverse((_, slot))) = self.busy.pop() else { return };
        let item = self.items[slot];
        self.free.push(slot);
        self.serve();
        let latency = self.now - item.began;
        self.trace.ended.push((self.now, latency));
        let wait = match self.scenario.backend {
            Backend::Fcfs => item.served_from - item.began,
            // A backend that slows down has no line; what it could tell is how much longer the work took than alone.
            Backend::Usl { .. } => latency - item.service,
        };
        let limiter = &mut self.limiters[item.limiter];
        limiter.in_flight -= 1;
        // Who has its answer asks again, behind those who wait already.
        limiter.waiting += usize::from(self.scenario.clients.is_some());
        self.ended(item.limiter, latency, item.in_flight, Outcome::Success, Some(wait.max(0.0)));
        self.admit(item.limiter);
    }

    /// Tells the limiter at `at` what became of one of its items.
    fn ended(
        &mut self,
        at: usize,
        latency: f64,
        in_flight: usize,
        outcome: Outcome,
        wait: Option<f64>,
    ) {
        let changed = self.limiters[at].ended(&Ended {
            at: Duration::from_secs_f64(self.now),
            latency: Duration::from_secs_f64(latency),
            in_flight,
            outcome,
            backend_wait: wait.map(Duration::from_secs_f64),
        });
        if changed {
            self.note_limit();
        }
    }

    fn oracle(&mut self) {
        let share = self.scenario.now(self.now).servers / self.limiters.len() as f64;
        for limiter in self.limiters.iter_mut().filter(|limiter| limiter.is_oracle()) {
            limiter.limit = share.round() as usize;
        }
        self.note_limit();
    }

    fn note_limit(&mut self) {
        let sum = self.limiters.iter().map(|limiter| limiter.limit).sum();
        if self.trace.limits.last().is_none_or(|(_, before)| *before != sum) {
            self.trace.limits.push((self.now, sum));
        }
    }
}
