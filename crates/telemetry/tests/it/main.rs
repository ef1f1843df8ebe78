//! Public behaviour of the crate.

#[cfg(feature = "http")]
mod http;
mod reading;
mod refusal;
mod text;
mod threads;
mod vectors;
