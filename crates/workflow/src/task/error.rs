//! Why an attempt failed.

use std::any::Any;
use std::fmt;
use std::time::Duration;

/// Why an attempt failed. Anything that is an error, or a text, becomes one by `?` or `into`.
///
/// # Examples
/// ```
/// use tidegate_workflow::TaskError;
///
/// fn work() -> Result<u16, TaskError> {
///     Ok("80".parse()?)
/// }
/// assert_eq!(work().expect("it is a number"), 80);
/// assert!(!TaskError::fatal("no such model").is_retryable());
/// ```
#[derive(Debug)]
pub struct TaskError {
    cause: Box<dyn std::error::Error + Send + Sync>,
    retryable: bool,
    /// The agent cannot bear more; for so long it wants nothing.
    overload: Option<Duration>,
}

impl TaskError {
    /// An error after which another attempt would be in vain, whatever the retry policy says.
    pub fn fatal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), retryable: false, overload: None }
    }

    /// An error by which the agent says that it is overloaded, such as HTTP 429 or 503. Another attempt may help; nothing of
    /// the agent starts before `retry_after`, if it said so, is over, or an hour, or until
    /// [`resume_agent`](crate::Orchestrator::resume_agent); and the [law](crate::Agent::adaptive) of its limit
    /// counts an overload. A task that names no agent waits for what its [`Retry`](crate::Retry) says and no longer.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use tidegate_workflow::TaskError;
    ///
    /// let error = TaskError::overloaded("too many requests", Some(Duration::from_secs(7)));
    /// assert!(error.is_retryable());
    /// ```
    pub fn overloaded(
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
        retry_after: Option<Duration>,
    ) -> Self {
        let overload = Some(retry_after.unwrap_or_default());
        Self { cause: cause.into(), retryable: true, overload }
    }

    /// For how long the agent wants nothing, if the error says that it is overloaded.
    pub(crate) fn overload(&self) -> Option<Duration> {
        self.overload
    }

    /// The same error, for another who waits for the same work.
    #[cfg(feature = "cache")]
    pub(crate) fn shared(error: &Self) -> Self {
        Self { cause: error.message().into(), retryable: error.retryable, overload: error.overload }
    }

    /// Whether another attempt may help.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The cause and what caused it, in one line.
    pub(crate) fn message(&self) -> String {
        let mut text = self.cause.to_string();
        let mut source = self.cause.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

// `TaskError` is no `Error` itself: that is what lets every error turn into one by `?`.
impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for TaskError {
    fn from(cause: E) -> Self {
        Self { cause: cause.into(), retryable: true, overload: None }
    }
}

/// For `?` in what is no task and returns a `Box<dyn Error>`: its cause.
impl From<TaskError> for Box<dyn std::error::Error> {
    fn from(error: TaskError) -> Self {
        error.cause
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

/// What a panic means for its task. The payload is dropped, which may panic again.
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> TaskError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let error = TaskError::from(format!("panicked: {}", text.unwrap_or("a value that is no text")));
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(panic)));
    error
}
