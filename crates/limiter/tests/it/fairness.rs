//! Everybody gets the same, and few pass while one waits: many tasks on two threads, eight permits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_limiter::Semaphore;

const LIMIT: u64 = 8;

/// What one task saw.
struct Share {
    permits: u64,
    overtakes: Vec<u64>,
}

/// Runs until `total` permits have been handed out, in whatever shares.
fn shares(tasks: u64, total: u64) -> (Arc<Semaphore>, Vec<Share>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let semaphore = Arc::new(Semaphore::new(LIMIT as usize));
    let granted = Arc::new(AtomicU64::new(0));
    // Of long runs, a sample of the waits is kept: a gigabyte of them would tell no more.
    let every = total.div_ceil(2_000_000);
    let shares = runtime.block_on(async {
        let tasks = (0..tasks).map(|_| {
            let (semaphore, granted) = (Arc::clone(&semaphore), Arc::clone(&granted));
            tokio::spawn(async move {
                let mut share = Share { permits: 0, overtakes: Vec::new() };
                loop {
                    let asked = granted.load(Ordering::Relaxed);
                    if total <= asked {
                        return share;
                    }
                    let permit = semaphore.acquire().await.expect("nobody closes it");
                    let overtakes = granted.fetch_add(1, Ordering::Relaxed) - asked;
                    if share.permits.is_multiple_of(every) {
                        share.overtakes.push(overtakes);
                    }
                    share.permits += 1;
                    tokio::task::yield_now().await;
                    drop(permit);
                }
            })
        });
        let mut shares = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            shares.push(task.await.expect("no panic"));
        }
        shares
    });
    (semaphore, shares)
}

/// 1 when all have the same, 1/n when one has all (Jain, Chiu, Hawe: DEC-TR-301, 1984).
fn jain(shares: &[Share]) -> f64 {
    let (mut sum, mut squares) = (0.0, 0.0);
    for share in shares {
        sum += share.permits as f64;
        squares += (share.permits as f64).powi(2);
    }
    sum * sum / (shares.len() as f64 * squares)
}

fn assert_fair(tasks: u64, total: u64) {
    let (semaphore, shares) = shares(tasks, total);
    assert_eq!((semaphore.in_use(), semaphore.waiting()), (0, 0));
    let handed_out: u64 = shares.iter().map(|share| share.permits).sum();
    assert!(total <= handed_out && handed_out <= total + tasks, "{handed_out} of {total}");
    let index = jain(&shares);
    let mut overtakes: Vec<u64> = shares.into_iter().flat_map(|share| share.overtakes).collect();
    overtakes.sort_unstable();
    let p999 = overtakes[overtakes.len() * 999 / 1000];
    assert!(0.995 <= index, "Jain's index over {tasks} tasks is {index}");
    assert!(p999 <= tasks + LIMIT, "p99.9 of overtakes over {tasks} tasks is {p999}");
}

#[test]
fn shares_are_equal_and_overtakes_few_among_64_tasks() {
    assert_fair(64, if crate::is_nightly() { 20_000_000 } else { 200_000 });
}

#[test]
fn shares_are_equal_and_overtakes_few_among_1024_tasks() {
    assert_fair(1024, if crate::is_nightly() { 20_000_000 } else { 400_000 });
}
