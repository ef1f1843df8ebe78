//! A hundred thousand random trees of groups; see [`tree`] for what each has to hold.

use crate::trees::tree;

fn trees() -> u64 {
    if crate::nightly() { 2_000_000 } else { 100_000 }
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
    for seed in 0..trees() / 10 {
        runtime.block_on(async { tokio::spawn(tree(seed, false)).await.unwrap() });
    }
}
