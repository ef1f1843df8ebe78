//! What can go wrong, by operation: starting a worker, handing a job in, the job itself.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::death::Death;

/// Why no worker could be started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The operating system refused.
    System(String),
    /// What was started did not say hello in time, or said something else: as a rule its `main` does not begin with
    /// [`init`](super::init).
    NoHello,
    /// What was started ended without a hello: as a rule its `main` does not begin with [`init`](super::init).
    EndedEarly {
        /// How it ended.
        death: Death,
        /// The end of what it wrote to stderr (and stdout, unless that goes elsewhere).
        stderr: String,
    },
    /// The worker speaks another version of the protocol.
    OtherProtocol {
        /// The version of this process.
        ours: u32,
        /// The version of the worker.
        theirs: u32,
    },
    /// The worker is another build of the program.
    OtherBuild {
        /// The build of this process.
        ours: String,
        /// The build of the worker.
        theirs: String,
    },
    /// The worker does not know functions that this process knows.
    MissingFunctions(Vec<String>),
    /// The worker could not set itself up, a limit for instance.
    Unfit(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HINT: &str = "does its `main` begin with `tidegate_pools::process::init`?";
        match self {
            Self::System(why) => write!(f, "a worker could not be started: {why}"),
            Self::NoHello => write!(f, "what was started as a worker said no hello; {HINT}"),
            Self::EndedEarly { death, stderr } => {
                write!(f, "what was started as a worker {death} and said no hello; {HINT}")?;
                told(f, stderr)
            }
            Self::OtherProtocol { ours, theirs } => write!(
                f,
                "the worker speaks version {theirs} of the protocol, this process version {ours}"
            ),
            Self::OtherBuild { ours, theirs } => {
                write!(f, "the worker is build {theirs}, this process is build {ours}")
            }
            Self::MissingFunctions(names) => {
                write!(f, "the worker does not know the functions {}", names.join(", "))
            }
            Self::Unfit(why) => write!(f, "the worker could not set itself up: {why}"),
        }
    }
}

impl Error for StartError {}

/// Why a job was not taken in. It was not run and never will be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubmitError {
    /// The pool was shut down or dropped.
    Closed,
    /// The queue is full (of `try_submit` only).
    Full,
    /// No function of that name was registered with [`init`](super::init).
    Unknown(String),
    /// The encoded input is larger than this many bytes.
    TooLarge(usize),
    /// serde could not encode the input.
    Encode(String),
    /// This very input killed this many workers of late and is kept out for a while.
    Poisoned(u32),
    /// No worker lives and starting one keeps failing; it is tried again from time to time.
    NoWorker(StartError),
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "the process pool is closed"),
            Self::Full => write!(f, "the queue of the process pool is full"),
            Self::Unknown(name) => write!(f, "no function named `{name}` is registered"),
            Self::TooLarge(max) => {
                write!(f, "the input is larger than the {max} bytes that a frame may hold")
            }
            Self::Encode(why) => write!(f, "the input cannot be encoded: {why}"),
            Self::Poisoned(deaths) => {
                write!(f, "this input killed {deaths} workers and is kept out for a while")
            }
            Self::NoWorker(error) => write!(f, "no worker lives: {error}"),
        }
    }
}

impl Error for SubmitError {}

/// Why a job has no output.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobError<E> {
    /// The function returned this error.
    Failed(E),
    /// The function panicked with this message; its worker lives on.
    Panicked(String),
    /// The job ran longer than it may; it was ended.
    TimedOut {
        /// The timeout.
        after: Duration,
        /// The end of what its worker wrote.
        stderr: String,
    },
    /// The job's worker died under it.
    Died {
        /// How.
        death: Death,
        /// The end of what its worker wrote.
        stderr: String,
    },
    /// The job was not taken in.
    Rejected(SubmitError),
    /// The function's output or error is larger than this many bytes, encoded.
    OutputTooLarge(usize),
    /// Input or output do not survive encoding: what one side wrote the other could not read.
    Codec(String),
    /// The pool was dropped, or shut down hard, before the job was answered.
    Closed,
}

impl<E: fmt::Display> fmt::Display for JobError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "{error}"),
            Self::Panicked(message) => write!(f, "the job panicked: {message}"),
            Self::TimedOut { after, stderr } => {
                write!(f, "the job ran longer than {after:?} and was ended")?;
                told(f, stderr)
            }
            Self::Died { death, stderr } => {
                write!(f, "the job's worker {death}")?;
                told(f, stderr)
            }
            Self::Rejected(error) => write!(f, "{error}"),
            Self::OutputTooLarge(max) => {
                write!(f, "the output is larger than the {max} bytes that a frame may hold")
            }
            Self::Codec(why) => write!(f, "the job does not survive encoding: {why}"),
            Self::Closed => write!(f, "the process pool was closed before the job was answered"),
        }
    }
}

/// For every error that can be shown, `String` included; the message of a failed job is the function's own.
impl<E: fmt::Debug + fmt::Display> Error for JobError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Rejected(error) => Some(error),
            _ => None,
        }
    }
}

fn told(f: &mut fmt::Formatter<'_>, stderr: &str) -> fmt::Result {
    match stderr.trim_end() {
        "" => Ok(()),
        words => write!(f, "; its last words: {words}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Death, JobError};

    #[test]
    fn last_words_are_shown_where_there_are_some() {
        let died = |stderr: &str| {
            let error: JobError<String> =
                JobError::Died { death: Death::Exited(7), stderr: stderr.to_owned() };
            error.to_string()
        };
        assert_eq!(died(" \n"), "the job's worker exited with code 7");
        assert_eq!(
            died("no disk\n"),
            "the job's worker exited with code 7; its last words: no disk"
        );
    }
}
