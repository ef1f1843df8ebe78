//! What the crate promises, seen from outside.

mod as_tokio;
mod model;
mod runtimes;
mod semaphore;
