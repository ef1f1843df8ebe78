//! Random trees of groups; see [`tree`] for what each has to hold. A hundred thousand on one thread and as many on two:
//!
//! `TIDEGATE_NIGHTLY=1 cargo test --release -p tidegate-taskgroup --test it random_trees`

use crate::trees::tree;

/// From seed 0 on.
fn trees() -> u64 {
    if crate::nightly() { 100_000 } else { 10_000 }
}

#[test]
fn on_one_thread_nothing_escapes_a_tree() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.unwrap();
    (0..trees()).for_each(|seed| runtime.block_on(tree(seed, true)));
}

#[test]
fn on_two_threads_nothing_escapes_a_tree() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for seed in 0..trees() {
        runtime.block_on(async { tokio::spawn(tree(seed, false)).await.unwrap() });
    }
}
