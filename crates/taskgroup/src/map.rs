//! One task for each item.

use crate::{GroupError, TaskGroup};

/// Runs `task` for each item, at most `limit` at a time, and gives the results in the order of the items.
///
/// The iterator is only advanced when there is room, so it may be endless or make its items at a cost. The first failure
/// cancels the rest and ends the reading.
///
/// # Cancel safety
/// Dropping the future cancels and aborts the tasks; what they did is lost.
///
/// # Errors
/// As [`TaskGroup::wait`].
///
/// # Panics
/// When `limit` is 0, which would run nothing for ever, and outside a tokio runtime.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let squares = tidegate_taskgroup::map(0..5_u64, 2, |n| async move { Ok::<_, String>(n * n) }).await;
/// assert_eq!(squares.expect("none failed"), [0, 1, 4, 9, 16]);
/// # }
/// ```
pub async fn map<I, F, T, E>(
    items: I,
    limit: usize,
    mut task: impl FnMut(I::Item) -> F,
) -> Result<Vec<T>, GroupError<E>>
where
    I: IntoIterator,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    assert_ne!(limit, 0, "a limit of 0 runs no task");
    let group = TaskGroup::builder().limit(limit).build();
    let mut items = items.into_iter();
    while let Ok(place) = group.place().await
        && let Some(item) = items.next()
    {
        // Refused means cancelled. Then there is no next place either, and the wait tells why.
        let _ = place.spawn(task(item));
    }
    drop(items);
    group.wait().await
}
