//! Public behaviour of the crate.

#[path = "../support/random.rs"]
mod random;
#[path = "../support/strict.rs"]
mod strict;

mod anything;
mod callbacks;
mod dependencies;
mod floats;
#[cfg(feature = "http")]
mod http;
mod reading;
mod refusal;
mod scopes;
mod text;
mod threads;
mod vectors;
