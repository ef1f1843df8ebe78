//! Counts from many threads.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tidegate_telemetry::{Counter, Histogram, Registry};

#[test]
fn short_lived_threads_lose_nothing() {
    let registry = Registry::new();
    let counter = registry.counter("c_total", "x").unwrap();
    let wait = registry.histogram("wait", "x", [1.0]).unwrap();
    let vec = registry.counter_vec("v_total", "x", ["a"]).unwrap();
    for _ in 0..100 {
        thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    counter.inc();
                    wait.observe(1.0);
                    vec.inc(["1"]);
                });
            }
        });
    }
    assert_eq!(counter.value(), 10_000);
    assert_eq!((wait.snapshot().count(), wait.snapshot().sum()), (10_000, 10_000.0));
    assert_eq!(registry.sum("v_total"), Some(10_000.0));
}

#[test]
fn more_threads_than_slots_lose_nothing() {
    let registry = Registry::new();
    let counter = registry.counter("c_total", "x").unwrap();
    let wait = registry.histogram("wait", "x", [1.0]).unwrap();
    let all_there = std::sync::Barrier::new(100);
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                counter.inc();
                all_there.wait();
                for _ in 0..100 {
                    counter.inc();
                    wait.observe(2.0);
                }
            });
        }
    });
    assert_eq!(counter.value(), 10_100);
    assert_eq!((wait.snapshot().count(), wait.snapshot().sum()), (10_000, 20_000.0));
}

/// Counts while the locals of its thread are being destroyed.
struct Last(Counter, Histogram);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.inc();
        self.1.observe(1.0);
    }
}

#[test]
fn destructors_of_thread_locals_can_count() {
    thread_local!(static LAST: OnceCell<Last> = const { OnceCell::new() });
    let registry = Registry::new();
    let counter = registry.counter("c_total", "x").unwrap();
    let wait = registry.histogram("wait", "x", [1.0]).unwrap();
    for first in [true, false] {
        let (counter, wait) = (counter.clone(), wait.clone());
        let count = move || {
            if first {
                counter.inc();
            }
            LAST.with(|last| last.get_or_init(|| Last(counter.clone(), wait.clone())).0.inc());
        };
        thread::spawn(count).join().unwrap();
    }
    assert_eq!((counter.value(), wait.snapshot().count()), (5, 2));
}

#[test]
fn no_snapshot_has_half_an_observation() {
    let snapshots = match std::env::var_os("TIDEGATE_NIGHTLY") {
        Some(_) => 10_000_000_u64,
        None if cfg!(debug_assertions) => 100_000,
        None => 1_000_000,
    };
    let registry = Registry::new();
    let wait = registry.histogram("wait", "x", [1.0, 2.0]).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for value in [0.5, 1.5] {
            let (wait, stop) = (&wait, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    wait.observe(value);
                }
            });
        }
        let mut last = 0;
        for _ in 0..snapshots {
            let seen = wait.snapshot();
            let counts = seen.counts();
            let sum = counts[0] as f64 * 0.5 + counts[1] as f64 * 1.5;
            if seen.sum() != sum || seen.count() < last {
                stop.store(true, Ordering::Relaxed);
                panic!("{seen:?} after {last}");
            }
            last = seen.count();
        }
        stop.store(true, Ordering::Relaxed);
    });
}
