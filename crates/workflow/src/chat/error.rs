//! Why a chat completion failed, and what that tells the engine.

use std::fmt;
use std::time::Duration;

use crate::task::TaskError;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatError {
    /// No connection, or it ended before the answer did.
    Connection {
        /// What went wrong.
        why: String,
    },
    /// Something took too long.
    TimedOut {
        /// What.
        phase: Phase,
        /// How long was allowed.
        after: Duration,
    },
    /// The server refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said, shortened.
        message: String,
        /// For how long it wants nothing.
        retry_after: Option<Duration>,
    },
    /// The answer is longer than allowed; no more of it was read.
    TooLong {
        /// The bound in bytes.
        limit: usize,
    },
    /// The answer is no chat completion.
    NotUnderstood {
        /// Where and why.
        why: String,
    },
}

/// Shorter keys hide nothing, and stand in every text.
const SHORTEST_KEY: usize = 4;

/// The text without the key, and without the beginning of one at which it was cut off.
pub(crate) fn taken_out(text: &str, key: &str) -> String {
    if key.len() < SHORTEST_KEY {
        return text.to_owned();
    }
    let text = text.replace(key, "***");
    let Some(end) = text.rfind('…') else { return text };
    let begun = (SHORTEST_KEY..key.len()).rev().filter_map(|length| key.get(..length));
    match begun.into_iter().find_map(|part| text[..end].strip_suffix(part)) {
        Some(before) => format!("{before}***{}", &text[end..]),
        None => text,
    }
}

/// What a chat completion waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The head of the answer.
    Head,
    /// The next piece of the answer.
    Piece,
    /// The whole answer.
    Whole,
}

impl ChatError {
    /// Whether another attempt may help: after lost connections, time-outs, 408, 429, 5xx and what is no chat completion, but
    /// not after another refusal or an answer that is too long.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::TimedOut { .. } | Self::NotUnderstood { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
            Self::TooLong { .. } => false,
        }
    }

    /// The same without a key that the server has put into what it said.
    pub(super) fn without(mut self, key: &str) -> Self {
        if let Self::Refused { message: text, .. }
        | Self::NotUnderstood { why: text }
        | Self::Connection { why: text } = &mut self
        {
            *text = taken_out(text, key);
        }
        self
    }

    /// As the engine wants it: 429 and 503 say that the agent is overloaded, and so does any answer with `Retry-After`.
    pub fn into_task_error(self) -> TaskError {
        match &self {
            Self::Refused { status, retry_after, .. }
                if self.is_retryable()
                    && (matches!(status, 429 | 503) || retry_after.is_some()) =>
            {
                let retry_after = *retry_after;
                TaskError::overloaded(self, retry_after)
            }
            error if error.is_retryable() => self.into(),
            _ => TaskError::fatal(self),
        }
    }
}

impl fmt::Display for ChatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { why } => write!(f, "the connection failed: {why}"),
            Self::TimedOut { phase, after } => {
                let what = match phase {
                    Phase::Head => "no answer began",
                    Phase::Piece => "no further piece of the answer came",
                    Phase::Whole => "the answer was not complete",
                };
                write!(f, "{what} within {after:?}")
            }
            Self::Refused { status, message, retry_after } => {
                write!(f, "the server answered with status {status}")?;
                if let Some(wait) = retry_after {
                    write!(f, " and wants nothing for {wait:?}")?;
                }
                if message.is_empty() { Ok(()) } else { write!(f, ": {message}") }
            }
            Self::TooLong { limit } => write!(f, "the answer is longer than {limit} bytes"),
            Self::NotUnderstood { why } => write!(f, "the answer is no chat completion: {why}"),
        }
    }
}

impl std::error::Error for ChatError {}

/// Why a client cannot be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatConfigError {
    /// An environment variable is not set, or is no text.
    Unset {
        /// Its name.
        variable: String,
    },
    /// The value of an environment variable cannot stand in a header.
    NoKey {
        /// The variable; its value is not told.
        variable: String,
    },
    /// The address is none of HTTP.
    Url {
        /// The address, without user and password.
        url: String,
    },
    /// The registry refused a metric.
    Metric(tidegate_telemetry::RegisterError),
}

impl fmt::Display for ChatConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset { variable } => write!(f, "environment variable `{variable}` is not set"),
            Self::NoKey { variable } => {
                write!(f, "the value of `{variable}` cannot stand in an HTTP header")
            }
            Self::Url { url } => {
                write!(f, "`{url}` is no address such as `https://api.example.com/v1`")
            }
            Self::Metric(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for ChatConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_get_better_is_tried_again_and_what_says_so_is_an_overload() {
        let wait = Some(Duration::from_secs(7));
        for (status, retry_after, is_retryable, is_overload) in [
            (400, None, false, false),
            (400, wait, false, false),
            (408, None, true, false),
            (429, None, true, true),
            (500, None, true, false),
            (502, wait, true, true),
            (503, None, true, true),
        ] {
            let refused = ChatError::Refused { status, message: String::new(), retry_after };
            let error = refused.into_task_error();
            let told = (error.is_retryable(), error.overload().is_some());
            assert_eq!(told, (is_retryable, is_overload), "{status} {retry_after:?}");
        }
    }

    #[test]
    fn a_key_is_taken_out_also_where_it_is_cut_off() {
        let out = |text| taken_out(text, "sk-1234567");
        assert_eq!(out("no: sk-1234567, sk-1234567"), "no: ***, ***");
        assert_eq!(out("no such key as sk-123…"), "no such key as ***…");
        assert_eq!(out("… in `sk-12345…`"), "… in `sk-12345…`".replace("sk-12345", "***"));
        assert_eq!(taken_out("a, b", "a"), "a, b");
    }
}
