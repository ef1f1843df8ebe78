//! The settings of a group.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::shared::{Settings, Shared};
use crate::{Policy, TaskGroup, TaskStream};

/// Settings of a group to be.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tidegate_taskgroup::{Policy, TaskGroup};
///
/// let group: TaskGroup<String, std::io::Error> = TaskGroup::builder()
///     .policy(Policy::CollectAll)
///     .limit(8)
///     .deadline(Duration::from_secs(30))
///     .grace(Duration::from_secs(2))
///     .build();
/// assert_eq!(group.limit(), Some(8));
/// ```
#[must_use]
pub struct Builder<T, E> {
    policy: Policy,
    limit: Option<usize>,
    deadline: Option<Duration>,
    grace: Duration,
    keep_failures: Option<usize>,
    resume_panics: bool,
    token: Option<CancellationToken>,
    returns: PhantomData<fn() -> (T, E)>,
}

impl<T, E> fmt::Debug for Builder<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("policy", &self.policy)
            .field("limit", &self.limit)
            .field("deadline", &self.deadline)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static, E: Send + 'static> Builder<T, E> {
    pub(crate) fn new() -> Self {
        Self {
            policy: Policy::FailFast,
            limit: None,
            deadline: None,
            grace: Duration::ZERO,
            keep_failures: None,
            resume_panics: false,
            token: None,
            returns: PhantomData,
        }
    }

    /// What a failure does to the others; [`Policy::FailFast`] unless set.
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// At most so many tasks run at a time; 0 runs none until [`set_limit`](crate::Spawner::set_limit). Places go in the
    /// order in which they were asked for. No limit unless set.
    pub fn limit(self, tasks: usize) -> Self {
        Self { limit: Some(tasks), ..self }
    }

    /// Cancels the group so long after its first spawn. Needs a runtime with its timer on.
    pub fn deadline(self, after: Duration) -> Self {
        Self { deadline: Some(after), ..self }
    }

    /// How long a cancelled task may go on before its future is dropped; no time unless set. Needs a runtime with its timer
    /// on. A group that is dropped gives none.
    pub fn grace(self, period: Duration) -> Self {
        Self { grace: period, ..self }
    }

    /// How many failures after the first are kept, and labels of aborted tasks; 16 unless set, all under
    /// [`Policy::CollectAll`].
    pub fn keep_failures(self, count: usize) -> Self {
        Self { keep_failures: Some(count), ..self }
    }

    /// When a panic is the cause, `wait` goes on with it after every task has ended, instead of returning it.
    pub fn resume_panics(self) -> Self {
        Self { resume_panics: true, ..self }
    }

    /// Cancels the group when this token is cancelled; watched from the first spawn on.
    pub fn cancelled_by(self, token: CancellationToken) -> Self {
        Self { token: Some(token), ..self }
    }

    /// The group.
    pub fn build(self) -> TaskGroup<T, E> {
        TaskGroup::of(Shared::new(self.into_settings(false)))
    }

    /// A group that hands out each outcome as it comes.
    pub fn stream(self) -> TaskStream<T, E> {
        TaskStream::of(Shared::new(self.into_settings(true)))
    }

    pub(crate) fn into_settings(self, streaming: bool) -> Settings {
        let all = self.policy == Policy::CollectAll;
        Settings {
            policy: self.policy,
            limit: self.limit,
            deadline: self.deadline,
            grace: self.grace,
            keep_failures: self.keep_failures.unwrap_or(if all { usize::MAX } else { 16 }),
            resume_panics: self.resume_panics,
            token: self.token,
            streaming,
        }
    }
}
