//! The pool: jobs in, answers out.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, oneshot};

use super::builder::ProcessPoolBuilder;
use super::codec::EncodeError;
use super::error::{JobError, StartError, SubmitError};
use super::frame::HEADER;
use super::function::{self, Function};
use super::job::Job;
use super::quarantine::Quarantine;
use super::shared::{Settings, Shared};
use super::slot::Slot;
use super::spec::Spec;
use super::state::Phase;
use super::stats::ProcessStats;
use super::ticket::Ticket;
use super::worker::Host;

/// Runs registered functions in worker processes, where nothing they do can harm this one.
///
/// Jobs are taken in the order in which they came, one at a time a worker. The pool belongs to no async runtime: its
/// futures run under any.
///
/// Dropping the pool kills the workers with all that they started and answers what is open with
/// [`JobError::Closed`]; [`shutdown`](Self::shutdown) finishes the work first. Dropping does not wait.
///
/// See the [module](super) for an example.
#[derive(Debug)]
pub struct ProcessPool {
    shared: Arc<Shared>,
    workers: usize,
}

impl ProcessPool {
    /// A pool with as many workers as there are processors, and no limits.
    ///
    /// # Errors
    /// When the operating system refuses a thread or a descriptor.
    pub fn new(host: &Host) -> io::Result<Self> {
        Self::builder(host).build()
    }

    /// Settings to start from.
    pub fn builder(host: &Host) -> ProcessPoolBuilder {
        ProcessPoolBuilder::new(host)
    }

    /// Starts the threads, each of which starts its worker.
    pub(super) fn start(builder: ProcessPoolBuilder) -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wakes =
            (0..builder.workers).map(|_| eventfd(0, flags)).collect::<Result<Vec<_>, _>>()?;
        let spec = Spec {
            executable: builder.executable,
            env: builder.env,
            clear_env: builder.clear_env,
            stdout: builder.stdout,
            limits: builder.limits,
            max_frame: builder.max_frame,
            hello: builder.host.hello().clone(),
        };
        let settings = Settings {
            in_flight: builder.in_flight,
            start_timeout: builder.start_timeout,
            max_jobs: builder.max_jobs,
            max_age: builder.max_age,
            max_resident: builder.max_resident,
        };
        let quarantine = Quarantine::new(builder.quarantine.0, builder.quarantine.1);
        let shared = Arc::new(Shared::new(spec, settings, builder.queue, quarantine, wakes));
        // From here on an early return drops the pool, and that ends the threads there are.
        let pool = Self { shared, workers: builder.workers };
        for index in 0..pool.workers {
            let slot = Slot::new(Arc::clone(&pool.shared), index);
            std::thread::Builder::new()
                .name(format!("tidegate-slot-{index}"))
                .spawn(move || slot.run())?;
        }
        Ok(pool)
    }

    /// Runs a function: [`submit`](Self::submit), then wait.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the job, as dropping its [`Job`] does.
    ///
    /// # Errors
    /// The function's own error, or what befell the job.
    pub async fn run<I, O, E>(
        &self,
        function: Function<I, O, E>,
        input: &I,
    ) -> Result<O, JobError<E>>
    where
        I: Serialize,
        O: DeserializeOwned,
        E: DeserializeOwned,
    {
        let call = self.encode(function, input).map_err(JobError::Rejected)?;
        let place = self.place().await.map_err(JobError::Rejected)?;
        self.enqueue(function, call, place).map_err(JobError::Rejected)?.await
    }

    /// Hands a job in, and waits while the queue is full; whoever waits first is served first.
    ///
    /// # Cancel safety
    /// Dropping the future before it gave a [`Job`] leaves nothing behind.
    ///
    /// # Errors
    /// When the job is not taken in: the input cannot be encoded or is too large, it is poison, no worker can be
    /// started, or the pool is closed.
    pub async fn submit<I: Serialize, O, E>(
        &self,
        function: Function<I, O, E>,
        input: &I,
    ) -> Result<Job<O, E>, SubmitError> {
        let call = self.encode(function, input)?;
        let place = self.place().await?;
        self.enqueue(function, call, place)
    }

    /// Hands a job in if the queue has room.
    ///
    /// # Errors
    /// [`SubmitError::Full`] when it has none, and whatever [`submit`](Self::submit) refuses.
    pub fn try_submit<I: Serialize, O, E>(
        &self,
        function: Function<I, O, E>,
        input: &I,
    ) -> Result<Job<O, E>, SubmitError> {
        let call = self.encode(function, input)?;
        let place = Arc::clone(&self.shared.places).try_acquire_owned();
        let place = place.map_err(|error| match error {
            TryAcquireError::Closed => SubmitError::Closed,
            TryAcquireError::NoPermits => SubmitError::Full,
        })?;
        self.enqueue(function, call, place)
    }

    /// Runs a function over many inputs; the answers come in the order of the inputs, each for itself.
    ///
    /// Of a function declared [idempotent](Function::idempotent) a worker holds several at once, which is several times
    /// faster for short jobs. When such a worker dies or a job of its takes too long, what it held is run again, each
    /// job alone, so that only the guilty one is told so.
    ///
    /// # Cancel safety
    /// Dropping the future cancels what is not answered.
    pub async fn batch<I, O, E>(
        &self,
        function: Function<I, O, E>,
        inputs: impl IntoIterator<Item = I>,
    ) -> Vec<Result<O, JobError<E>>>
    where
        I: Serialize,
        O: DeserializeOwned,
        E: DeserializeOwned,
    {
        let mut jobs = Vec::new();
        for input in inputs {
            jobs.push(self.submit(function, &input).await);
        }
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push(match job {
                Ok(job) => job.await,
                Err(error) => Err(JobError::Rejected(error)),
            });
        }
        answers
    }

    /// Waits until every worker said hello.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    ///
    /// # Errors
    /// Why workers do not start, once that failed several times in a row; it is tried again all the same.
    ///
    /// # Panics
    /// Never: the sender it waits for lives in this pool.
    pub async fn ready(&self) -> Result<(), StartError> {
        let mut pulse = self.shared.pulse.subscribe();
        let seen = pulse.wait_for(|pulse| pulse.alive == self.workers || pulse.broken.is_some());
        match seen.await.expect("the pool holds the sender").broken.clone() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Takes no more jobs in, does those there are, lets the workers go, and returns when every process and thread of
    /// the pool is gone. A second call waits for the same.
    ///
    /// # Cancel safety
    /// Dropping the future does not take the shutdown back.
    pub async fn shutdown(&self) {
        self.shared.close(Phase::Draining);
        self.gone().await;
    }

    /// As [`shutdown`](Self::shutdown), but what is open is answered with [`JobError::Closed`] and the workers are
    /// killed.
    ///
    /// # Cancel safety
    /// Dropping the future does not take the shutdown back.
    pub async fn kill(&self) {
        self.shared.close(Phase::Killing);
        self.gone().await;
    }

    /// The pool in numbers, now.
    pub fn stats(&self) -> ProcessStats {
        self.shared.stats()
    }

    async fn gone(&self) {
        let mut pulse = self.shared.pulse.subscribe();
        // The sender lives in this pool, so the wait ends only with the slots.
        let _ = pulse.wait_for(|pulse| pulse.slots == 0).await;
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, SubmitError> {
        Arc::clone(&self.shared.places).acquire_owned().await.map_err(|_| SubmitError::Closed)
    }

    fn encode<I: Serialize, O, E>(
        &self,
        function: Function<I, O, E>,
        input: &I,
    ) -> Result<Vec<u8>, SubmitError> {
        let spec = &self.shared.spec;
        if !spec.hello.functions.iter().any(|name| name == function.name()) {
            return Err(SubmitError::Unknown(function.name().to_owned()));
        }
        let mut call = self.shared.buffers.take();
        let encoded = function::call(&mut call, function.name(), spec.max_frame, input);
        encoded.map_err(|error| match error {
            EncodeError::TooLarge => SubmitError::TooLarge(spec.max_frame),
            EncodeError::Unfit(why) => SubmitError::Encode(why),
        })?;
        self.shared.check(&call[HEADER..])?;
        Ok(call)
    }

    fn enqueue<I, O, E>(
        &self,
        function: Function<I, O, E>,
        call: Vec<u8>,
        place: OwnedSemaphorePermit,
    ) -> Result<Job<O, E>, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let now = Instant::now();
        let ticket = Ticket {
            id: 0,
            call: Arc::default(),
            reply: Some(reply),
            timeout: function.timeout,
            grace: function.grace,
            idempotent: function.idempotent,
            alone: false,
            queued: now,
            taken: now,
            place: Some(place),
        };
        let id = self.shared.submit(call, ticket)?;
        Ok(Job::new(id, answer, Arc::clone(&self.shared)))
    }
}

impl Drop for ProcessPool {
    fn drop(&mut self) {
        self.shared.close(Phase::Killing);
    }
}
