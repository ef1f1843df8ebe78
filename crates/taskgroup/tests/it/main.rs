//! What the crate promises to its users.
#![cfg(not(loom))]

mod basics;
