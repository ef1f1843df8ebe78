//! Measures ours and its peers in interleaved rounds of one process, so that every figure is a ratio of one run.
//!
//! A noisy machine changes speed within seconds. Measuring one contender to the end and then the next (as criterion
//! does) puts that change into the ratio; here each round runs every contender once, in rotated order, and a ratio is
//! the median over rounds of ours divided by the peer *of the same round*.
//!
//! ```
//! use tidegate_benches::{Suite, timed};
//!
//! let mut suite = Suite::quick("demo");
//! suite
//!     .group("demo/sum")
//!     .ours(timed(|| (0..10_u64).map(std::hint::black_box).sum::<u64>()))
//!     .peer("fold", timed(|| (0..10_u64).fold(0, |a, b| std::hint::black_box(a + b))))
//!     .at_most(100.0)
//!     .run();
//! assert_eq!(suite.rows()[0].id, "demo/sum");
//! ```

mod group;
mod python;
mod row;
mod suite;

pub use group::{Figure, Group, timed};
pub use python::Python;
pub use row::Row;
pub use suite::Suite;
