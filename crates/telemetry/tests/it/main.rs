//! Public behaviour of the crate.

mod reading;
mod refusal;
mod text;
mod threads;
mod vectors;
