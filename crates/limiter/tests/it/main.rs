//! What the crate promises, seen from outside.

mod model;
mod semaphore;
