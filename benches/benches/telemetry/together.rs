//! Two threads that really run at the same time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The share of a window that a thread must have been on a CPU for the window to count.
const ENOUGH: f64 = 0.97;
/// Windows to try before the best one is taken.
const TRIES: usize = 12;

/// Times `operation` while another thread does the same; the window with the least waiting for a CPU counts.
pub(crate) fn together(operation: impl Fn(u64) + Sync) -> impl FnMut(u64) -> Duration {
    move |n| {
        let mut best = (0.0, Duration::ZERO);
        for _ in 0..TRIES {
            let window = window(n, &operation);
            if window.0 > best.0 {
                best = window;
            }
            if best.0 >= ENOUGH {
                break;
            }
        }
        best.1
    }
}

/// The smaller share of the two threads, and the time of the first.
fn window(n: u64, operation: &(impl Fn(u64) + Sync)) -> (f64, Duration) {
    let (going, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let watch = Watch::start();
            let mut i = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                (i..i + 256).for_each(operation);
                i += 256;
                going.store(i, Ordering::Relaxed);
            }
            watch.share().0
        });
        while going.load(Ordering::Relaxed) < 1024 {
            std::hint::spin_loop();
        }
        let watch = Watch::start();
        (0..n).for_each(operation);
        let (share, took) = watch.share();
        stop.store(true, Ordering::Relaxed);
        (share.min(other.join().expect("it does not panic")), took)
    })
}

struct Watch {
    wall: Instant,
    cpu: Duration,
}

impl Watch {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: thread_time() }
    }

    /// The share of the time since the start that the calling thread was on a CPU, and that time.
    fn share(&self) -> (f64, Duration) {
        let wall = self.wall.elapsed();
        ((thread_time() - self.cpu).as_secs_f64() / wall.as_secs_f64().max(1e-9), wall)
    }
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
