//! The pool and its settings.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, oneshot};

use super::child::{Spec, Stdout};
use super::codec::EncodeError;
use super::error::{JobError, StartError, SubmitError};
use super::frame::HEADER;
use super::function::{self, Function};
use super::job::Job;
use super::limits::Limits;
use super::quarantine::Quarantine;
use super::shared::{Phase, Settings, Shared, Ticket};
use super::slot::Slot;
use super::stats::ProcessStats;
use super::worker::Host;

/// How a [`ProcessPool`] is to be; made by [`ProcessPool::builder`].
#[derive(Debug, Clone)]
#[must_use = "nothing starts until `build`"]
pub struct ProcessPoolBuilder {
    host: Host,
    workers: usize,
    queue: usize,
    in_flight: usize,
    max_frame: usize,
    start_timeout: Duration,
    limits: Limits,
    max_jobs: Option<u64>,
    max_age: Option<Duration>,
    max_resident: Option<u64>,
    quarantine: (u32, Duration),
    executable: Option<PathBuf>,
    env: Vec<(String, String)>,
    clear_env: bool,
    stdout: Stdout,
}

impl ProcessPoolBuilder {
    /// The number of worker processes, at least 1; as many as there are processors by default.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// How many jobs may wait for a worker (1,024 by default, at least 1) before
    /// [`submit`](ProcessPool::submit) waits itself.
    pub fn queue(mut self, jobs: usize) -> Self {
        self.queue = jobs.max(1);
        self
    }

    /// How many jobs of an idempotent function a worker may hold at once (16 by default). Of any other function it is
    /// always one.
    pub fn in_flight(mut self, jobs: usize) -> Self {
        self.in_flight = jobs.max(1);
        self
    }

    /// The largest encoded input or output in bytes; 256 MiB by default, 4 GiB − 1 at most.
    pub fn max_frame_bytes(mut self, bytes: usize) -> Self {
        self.max_frame = bytes.clamp(1024, u32::MAX as usize - HEADER);
        self
    }

    /// How long a worker may take to say hello; 10 s by default.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.start_timeout = timeout;
        self
    }

    /// The private writable memory (heap, stacks of threads) that a worker may have, in bytes: an allocation beyond it
    /// fails, which as a rule ends the worker with [`Death::OutOfMemory`](super::Death::OutOfMemory). Shared mappings
    /// and files do not count. None by default.
    pub fn memory_limit_bytes(mut self, bytes: u64) -> Self {
        self.limits.memory_bytes = Some(bytes);
        self
    }

    /// The processor time that one job may use. The kernel counts whole seconds: it is rounded up, and a job may
    /// overrun it by one second. None by default.
    pub fn cpu_time_limit(mut self, time: Duration) -> Self {
        self.limits.cpu_time = Some(time);
        self
    }

    /// Lets dying workers write core files; they do not by default.
    pub fn core_dumps(mut self, wanted: bool) -> Self {
        self.limits.core_dumps = wanted;
        self
    }

    /// Replaces a worker after so many jobs. The replacement is started first; until it is ready the old one goes on,
    /// so that it may do a few more.
    pub fn max_jobs(mut self, jobs: u64) -> Self {
        self.max_jobs = Some(jobs.max(1));
        self
    }

    /// Replaces a worker of that age, between two jobs.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Replaces a worker that after a job has more than this resident in memory, in bytes.
    pub fn max_resident_bytes(mut self, bytes: u64) -> Self {
        self.max_resident = Some(bytes);
        self
    }

    /// Turns an input away for `keep` once it killed `after` workers; 2 and 10 minutes by default, 0 is never. Inputs
    /// are told apart by function and a hash of their bytes. Timeouts and cancellations do not count.
    pub fn quarantine(mut self, after: u32, keep: Duration) -> Self {
        self.quarantine = (after, keep);
        self
    }

    /// Another executable for the workers. Its `main` must call [`init`](super::init) with the same functions and the
    /// same [`build_id`](super::Functions::build_id). By default it is the running executable, as it was when it was
    /// started: a file that took its name since does not matter, not even its deletion does.
    pub fn executable(mut self, path: impl Into<PathBuf>) -> Self {
        self.executable = Some(path.into());
        self
    }

    /// Sets a variable in the workers' environment.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts workers with no more of an environment than [`env`](Self::env) gives.
    pub fn clear_env(mut self) -> Self {
        self.clear_env = true;
        self
    }

    /// Where the workers' stdout goes.
    pub fn stdout(mut self, stdout: Stdout) -> Self {
        self.stdout = stdout;
        self
    }

    /// Starts the pool: one thread a worker, which starts its worker at once. It does not wait for them; whether they
    /// start is told by [`ready`](ProcessPool::ready) and by every job.
    ///
    /// # Errors
    /// When the operating system refuses a thread or a descriptor.
    pub fn build(self) -> io::Result<ProcessPool> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wakes = (0..self.workers).map(|_| eventfd(0, flags)).collect::<Result<Vec<_>, _>>()?;
        let spec = Spec {
            executable: self.executable,
            env: self.env,
            clear_env: self.clear_env,
            stdout: self.stdout,
            limits: self.limits,
            max_frame: self.max_frame,
            hello: self.host.hello().clone(),
        };
        let settings = Settings {
            in_flight: self.in_flight,
            start_timeout: self.start_timeout,
            max_jobs: self.max_jobs,
            max_age: self.max_age,
            max_resident: self.max_resident,
        };
        let quarantine = Quarantine::new(self.quarantine.0, self.quarantine.1);
        let shared = Arc::new(Shared::new(spec, settings, self.queue, quarantine, wakes));
        // From here on an early return drops the pool, and that ends the threads there are.
        let pool = ProcessPool { shared, workers: self.workers };
        for index in 0..self.workers {
            let slot = Slot::new(Arc::clone(&pool.shared), index);
            std::thread::Builder::new()
                .name(format!("tidegate-slot-{index}"))
                .spawn(move || slot.run())?;
        }
        Ok(pool)
    }
}

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
        ProcessPoolBuilder {
            host: host.clone(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            queue: 1024,
            in_flight: 16,
            max_frame: 256 * 1024 * 1024,
            start_timeout: Duration::from_secs(10),
            limits: Limits::default(),
            max_jobs: None,
            max_age: None,
            max_resident: None,
            quarantine: (2, Duration::from_secs(600)),
            executable: None,
            env: Vec::new(),
            clear_env: false,
            stdout: Stdout::default(),
        }
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
