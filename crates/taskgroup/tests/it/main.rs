//! What the crate promises to its users. `TIDEGATE_NIGHTLY=1` runs the long versions.
#![cfg(not(loom))]

mod alive;
mod basics;
mod ending;
mod inside;
mod limit;
mod panics;
mod random_trees;
mod stream;
mod tree;

/// Whether the long versions run.
fn nightly() -> bool {
    std::env::var_os("TIDEGATE_NIGHTLY").is_some()
}
