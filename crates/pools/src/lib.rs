//! Placeholder.
#![forbid(unsafe_code)]

#[cfg(all(feature = "process", target_os = "linux"))]
pub mod process;
