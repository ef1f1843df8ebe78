//! The limit somebody chose.

use std::time::Duration;

use super::{Law, Sample, Window};

/// Always the same limit: to compare with, and to switch adaptation off without another type.
///
/// # Examples
///
/// ```
/// use tidegate_limiter::{Fixed, Law, Sample};
///
/// assert_eq!(Fixed(8).next(3, &Sample { overloads: 1, ..Sample::default() }), 8);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed(
    /// The limit.
    pub usize,
);

impl Law for Fixed {
    fn next(&mut self, _limit: usize, _sample: &Sample) -> usize {
        self.0
    }

    fn window(&self) -> Window {
        Window::every(Duration::from_secs(1), 1)
    }
}
