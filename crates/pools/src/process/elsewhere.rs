//! Systems without worker processes: the same names, so that a program compiles everywhere, and an error from
//! [`build`](super::ProcessPoolBuilder::build), so that nothing else here ever runs.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::Poll;

use super::{
    Function, Functions, JobError, ProcessPoolBuilder, ProcessStats, StartError, SubmitError,
};

/// Proof that this program called [`init`].
#[derive(Debug, Clone)]
pub struct Host {
    _private: (),
}

/// Returns at once: no process is a worker here.
pub fn init(_: Functions) -> Host {
    Host { _private: () }
}

/// What a running function is given beside its input.
#[derive(Debug)]
pub struct Context<'w>(Infallible, PhantomData<&'w ()>);

impl Context<'_> {
    /// The number of this job within its pool.
    pub fn job(&self) -> u64 {
        match self.0 {}
    }

    /// Whether nobody waits for the job any more.
    pub fn is_cancelled(&self) -> bool {
        match self.0 {}
    }
}

/// A job that was handed in.
pub struct Job<O, E>(Infallible, PhantomData<fn() -> (O, E)>);

impl<O, E> fmt::Debug for Job<O, E> {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl<O, E> Job<O, E> {
    /// Its number within the pool.
    pub fn id(&self) -> u64 {
        match self.0 {}
    }
}

impl<O, E> Future for Job<O, E> {
    type Output = Result<O, JobError<E>>;

    fn poll(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        match self.0 {}
    }
}

/// Runs registered functions in worker processes. There are none on this system: it cannot be made.
#[derive(Debug)]
pub struct ProcessPool(Infallible);

impl ProcessPool {
    /// Refuses.
    ///
    /// # Errors
    /// Always: worker processes need Linux.
    pub fn new(host: &Host) -> io::Result<Self> {
        Self::builder(host).build()
    }

    /// Settings to start from.
    pub fn builder(host: &Host) -> ProcessPoolBuilder {
        ProcessPoolBuilder::new(host)
    }

    pub(super) fn start(_: ProcessPoolBuilder) -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "worker processes need Linux 5.3 or newer: this system lacks process descriptors, parent-death signals \
             and /proc/self/exe; use a `CpuPool` where nothing has to be killed",
        ))
    }

    /// Runs a function: [`submit`](Self::submit), then wait.
    ///
    /// # Errors
    /// Nothing gets as far as this.
    ///
    /// # Cancel safety
    /// Nothing gets as far as this.
    pub async fn run<I, O, E>(&self, _: Function<I, O, E>, _: &I) -> Result<O, JobError<E>> {
        match self.0 {}
    }

    /// Hands a job in.
    ///
    /// # Errors
    /// Nothing gets as far as this.
    ///
    /// # Cancel safety
    /// Nothing gets as far as this.
    pub async fn submit<I, O, E>(
        &self,
        _: Function<I, O, E>,
        _: &I,
    ) -> Result<Job<O, E>, SubmitError> {
        match self.0 {}
    }

    /// Hands a job in if the queue has room.
    ///
    /// # Errors
    /// Nothing gets as far as this.
    pub fn try_submit<I, O, E>(
        &self,
        _: Function<I, O, E>,
        _: &I,
    ) -> Result<Job<O, E>, SubmitError> {
        match self.0 {}
    }

    /// Runs a function over many inputs.
    ///
    /// # Cancel safety
    /// Nothing gets as far as this.
    pub async fn batch<I, O, E>(
        &self,
        _: Function<I, O, E>,
        _: impl IntoIterator<Item = I>,
    ) -> Vec<Result<O, JobError<E>>> {
        match self.0 {}
    }

    /// Waits until every worker said hello.
    ///
    /// # Errors
    /// Nothing gets as far as this.
    ///
    /// # Cancel safety
    /// Nothing gets as far as this.
    pub async fn ready(&self) -> Result<(), StartError> {
        match self.0 {}
    }

    /// Finishes what was taken in.
    ///
    /// # Cancel safety
    /// Nothing gets as far as this.
    pub async fn shutdown(&self) {
        match self.0 {}
    }

    /// Ends at once.
    ///
    /// # Cancel safety
    /// Nothing gets as far as this.
    pub async fn kill(&self) {
        match self.0 {}
    }

    /// The pool in numbers, now.
    pub fn stats(&self) -> ProcessStats {
        match self.0 {}
    }
}
