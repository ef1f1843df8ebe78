//! Tasks that share data, and the data back at the end.

use std::fmt;
use std::sync::Arc;

use crate::{GroupError, Refused, Spawner, TaskGroup};

/// Lends `data` to tasks, waits for all of them, and gives it back.
///
/// The tasks get an [`Arc`] and not a reference, on purpose. A task that runs on another thread may only borrow from the
/// caller's stack if the caller cannot go on before the task ended; but a future can be dropped or forgotten between any two
/// of its polls, and `async` code has no destructor that could wait. (Scoped threads can: they block.) Every crate that
/// offers such a borrow is either unsound when its future is forgotten, blocks the thread, or runs everything on one. So the
/// data moves in, is shared by count, and moves out when the last task is gone: the same, without a lifetime.
///
/// # Cancel safety
/// Dropping the future cancels and aborts the tasks; the data is dropped with the last of them.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use tidegate_taskgroup::scope;
///
/// let words = vec!["two", "words"];
/// let done = scope(words, |scope| {
///     for i in 0..scope.data().len() {
///         scope.spawn(move |words| async move { Ok::<_, String>(words[i].len()) }).ok();
///     }
/// }).await;
/// assert_eq!(done.result.expect("none failed"), [3, 5]);
/// assert_eq!(done.data.expect("no task kept it"), ["two", "words"]);
/// # }
/// ```
pub async fn scope<D, T, E>(data: D, body: impl FnOnce(&Scope<D, T, E>)) -> Scoped<D, T, E>
where
    D: Send + Sync + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let group = TaskGroup::new();
    let data = Arc::new(data);
    {
        let scope = Scope { data: Arc::clone(&data), spawner: group.spawner() };
        body(&scope);
    }
    let result = group.wait().await;
    Scoped { data: Arc::try_unwrap(data), result }
}

/// What a scope gives back.
#[derive(Debug)]
#[must_use]
pub struct Scoped<D, T, E> {
    /// The data; still shared only if a task put its `Arc` somewhere that outlives the scope.
    pub data: Result<D, Arc<D>>,
    /// As of [`TaskGroup::wait`].
    pub result: Result<Vec<T>, GroupError<E>>,
}

/// Spawns tasks that share the data of a [`scope`]. Its clones may go into the tasks, to spawn more.
pub struct Scope<D, T, E> {
    data: Arc<D>,
    spawner: Spawner<T, E>,
}

impl<D, T, E> Clone for Scope<D, T, E> {
    fn clone(&self) -> Self {
        Self { data: Arc::clone(&self.data), spawner: self.spawner.clone() }
    }
}

impl<D, T, E> fmt::Debug for Scope<D, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.spawner).finish()
    }
}

impl<D, T, E> Scope<D, T, E>
where
    D: Send + Sync + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    /// Starts a task that has the data.
    ///
    /// # Errors
    /// As [`Spawner::spawn`].
    pub fn spawn<F>(&self, task: impl FnOnce(Arc<D>) -> F) -> Result<u32, Refused>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.spawner.spawn(task(Arc::clone(&self.data)))
    }

    /// The data.
    pub fn data(&self) -> &D {
        &self.data
    }

    /// The group's spawner, for all else.
    pub fn spawner(&self) -> &Spawner<T, E> {
        &self.spawner
    }
}
