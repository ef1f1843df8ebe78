//! What the crate promises, seen from outside.

mod as_tokio;
mod fairness;
mod limiter;
mod model;
mod runtimes;
mod semaphore;
mod soak;

/// Whether the long versions are wanted.
fn is_nightly() -> bool {
    std::env::var_os("TIDEGATE_NIGHTLY").is_some()
}
