//! Typed tasks that belong to no graph yet.

use std::future::Future;
use std::sync::Arc;

use super::Handle;
use super::inputs::{Inputs, Needs};
use crate::context::Context;
use crate::task::{Task, TaskError};

impl Task {
    /// A task with typed inputs that belongs to no graph yet: for [`Run::submit`](crate::Run::submit). `after` and `work` are
    /// those of [`TaskBuilder`](crate::TaskBuilder); the handle stands for the task in the run that it is given to.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::{Graph, Orchestrator, Task};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut graph = Graph::new();
    /// let text = graph.task("text").run(async |()| Ok("to be or not to be".to_owned()))?;
    /// // It finds out what there is to do, and adds that to the run before the task that sums up.
    /// let after = text.clone();
    /// let plan = graph.task("plan").after(&text).run_with(move |cx, text| {
    ///     let letters: Vec<char> = text.chars().filter(|letter| "aeiou".contains(*letter)).collect();
    ///     let text = after.clone();
    ///     async move {
    ///         for vowel in letters {
    ///             let (task, _count) = Task::typed(format!("count {vowel}"), &text, move |text| async move {
    ///                 Ok(text.matches(vowel).count())
    ///             });
    ///             // A vowel that comes twice is refused the second time.
    ///             let _ = cx.run().submit(task, &["sum"]).await;
    ///         }
    ///         Ok(())
    ///     }
    /// })?;
    /// graph.task("sum").after(&plan).run(async |_| Ok(()))?;
    ///
    /// let finished = Orchestrator::builder().build()?.run(graph).await?;
    /// assert_eq!((*finished.output::<usize>("count o")?, finished.report().tasks.len()), (4, 5));
    /// # Ok(()) }
    /// ```
    pub fn typed<I, F, Fut, T>(id: impl Into<Arc<str>>, after: I, work: F) -> (Self, Handle<T>)
    where
        I: Inputs,
        F: Fn(I::Values) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, TaskError>> + Send + 'static,
        T: Send + Sync + 'static,
    {
        let id = id.into();
        let (needs, read) = Needs::of(after);
        let task = Self::new(Arc::clone(&id), move |cx: Context| {
            let attempt = read(&cx).map(&work);
            async move { attempt?.await }
        });
        (task.needs(needs.required).wants(needs.optional), Handle::named(id))
    }
}
