//! The work of a task: so many turns of a generator, which no processor can shorten and no compiler can leave out.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// How long a turn takes when every worker turns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernel {
    ns_a_turn: f64,
}

impl Kernel {
    /// Measures once, on as many threads as there will be workers: the best of many short rounds, since whatever disturbs
    /// can only lengthen them.
    pub(crate) fn calibrated(workers: usize) -> Self {
        const TURNS: u64 = 200_000;
        let round = || {
            let start = Instant::now();
            turn(TURNS, 1);
            start.elapsed().as_secs_f64() * 1e9 / TURNS as f64
        };
        let best = || (0..300).map(|_| round()).fold(f64::INFINITY, f64::min);
        let ns_a_turn = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(best)).collect();
            let times = threads.into_iter().map(|thread| thread.join().expect("it only counts"));
            times.fold(0.0, f64::max)
        });
        Self { ns_a_turn }
    }

    /// What bare threads need for the kernels of `tasks` tasks, each an equal share: the ideal, measured beside the
    /// contenders, so that whatever else the machine does slows all of them alike.
    pub(crate) fn alone(workers: usize, tasks: usize, turns: u64) -> Duration {
        let barrier = Barrier::new(workers);
        let each = tasks.div_ceil(workers);
        let share = || {
            barrier.wait();
            let start = Instant::now();
            (0..each as u64).for_each(|seed| {
                turn(turns, seed);
            });
            start.elapsed()
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(share)).collect();
            let times = threads.into_iter().map(|thread| thread.join().expect("it only counts"));
            times.max().unwrap_or_default()
        })
    }

    /// The turns that take `length`.
    pub(crate) fn turns(self, length: Duration) -> u64 {
        (length.as_secs_f64() * 1e9 / self.ns_a_turn) as u64
    }
}

/// `turns` steps of xorshift64 (Marsaglia, 2003) from `seed`.
pub(crate) fn turn(turns: u64, seed: u64) -> u64 {
    let mut state = black_box(seed | 1);
    for _ in 0..turns {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state)
}
