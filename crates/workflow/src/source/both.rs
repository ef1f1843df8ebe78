//! Two sources as one.

use super::{Reading, Source};

/// Two sources as one; see [`Source::and`].
///
/// # Examples
/// ```
/// use tidegate_workflow::{Reading, Source};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let queue = || Reading { queue_depth: Some(7.0), gpu_wait: Some(0.2), ..Reading::default() };
/// let machine = || Reading { gpu_wait: Some(0.9), ..Reading::default() };
/// let reading = queue.and(machine).read().await;
/// assert_eq!((reading.queue_depth, reading.gpu_wait), (Some(7.0), Some(0.9)));
/// # }
/// ```
#[derive(Debug)]
pub struct Both<A, B> {
    first: A,
    second: B,
}

impl<A: Source, B: Source> Both<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<A: Source, B: Source> Source for Both<A, B> {
    async fn read(&mut self) -> Reading {
        let (first, second) = futures::future::join(self.first.read(), self.second.read()).await;
        let sound = [self.first.trouble().is_none(), self.second.trouble().is_none()];
        let both =
            |value: fn(&Reading) -> Option<f64>| greater(value(&first), value(&second), sound);
        Reading {
            queue_depth: both(|reading| reading.queue_depth),
            gpu_wait: both(|reading| reading.gpu_wait),
            error_rate: both(|reading| reading.error_rate),
        }
    }

    fn trouble(&self) -> Option<String> {
        match (self.first.trouble(), self.second.trouble()) {
            (Some(first), Some(second)) => Some(format!("{first}; {second}")),
            (first, second) => first.or(second),
        }
    }
}

/// A value that is missing from a source in trouble could have been the greater one.
fn greater(first: Option<f64>, second: Option<f64>, sound: [bool; 2]) -> Option<f64> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.max(second)),
        (only, None) => only.filter(|_| sound[1]),
        (None, only) => only.filter(|_| sound[0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_source_in_trouble_has_not_read_is_not_read_at_all() {
        assert_eq!(greater(Some(1.0), Some(2.0), [true, false]), Some(2.0));
        assert_eq!(greater(Some(1.0), None, [true, true]), Some(1.0));
        assert_eq!(greater(Some(1.0), None, [true, false]), None);
        assert_eq!(greater(Some(1.0), None, [false, true]), Some(1.0));
        assert_eq!(greater(None, Some(2.0), [false, true]), None);
    }
}
