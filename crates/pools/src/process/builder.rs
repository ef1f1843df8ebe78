//! The settings of a pool.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::frame::HEADER;
use super::limits::Limits;
use super::stdout::Stdout;
use super::{Host, ProcessPool};

/// How a [`ProcessPool`] is to be; made by [`ProcessPool::builder`].
#[derive(Debug, Clone)]
#[must_use = "nothing starts until `build`"]
pub struct ProcessPoolBuilder {
    pub(super) host: Host,
    pub(super) workers: usize,
    pub(super) queue: usize,
    pub(super) in_flight: usize,
    pub(super) max_frame: usize,
    pub(super) start_timeout: Duration,
    pub(super) limits: Limits,
    pub(super) max_jobs: Option<u64>,
    pub(super) max_age: Option<Duration>,
    pub(super) max_resident: Option<u64>,
    pub(super) quarantine: (u32, Duration),
    pub(super) executable: Option<PathBuf>,
    pub(super) env: Vec<(String, String)>,
    pub(super) clear_env: bool,
    pub(super) stdout: Stdout,
}

impl ProcessPoolBuilder {
    pub(super) fn new(host: &Host) -> Self {
        Self {
            host: host.clone(),
            workers: crate::machine::processors(),
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

    /// The number of worker processes, at least 1; by default as many as there are
    /// [`processors`](crate::processors), CPU quotas considered.
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
    /// When the operating system refuses a thread or a descriptor. Elsewhere than on Linux always:
    /// [`Unsupported`](io::ErrorKind::Unsupported), which the message says.
    pub fn build(self) -> io::Result<ProcessPool> {
        ProcessPool::start(self)
    }
}
