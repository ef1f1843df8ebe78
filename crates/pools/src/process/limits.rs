//! What a worker may use; the worker sets the limits on itself.

use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
#[cfg(target_os = "linux")]
use rustix::time::{ClockId, clock_gettime};

/// What one worker process may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// Private writable memory (`RLIMIT_DATA`): heap, stacks of threads, private mappings. Not the address space, of
    /// which allocators reserve far more than they use.
    pub(super) memory_bytes: Option<u64>,
    /// Processor time of one job, in whole seconds (`RLIMIT_CPU`).
    pub(super) cpu_time: Option<Duration>,
    pub(super) core_dumps: bool,
}

#[cfg(target_os = "linux")]
impl Limits {
    /// Sets on this process all that does not change from job to job.
    pub(super) fn set(&self) -> Result<(), String> {
        if !self.core_dumps {
            lower(Resource::Core, 0).map_err(|why| format!("no core dumps: {why}"))?;
        }
        if let Some(bytes) = self.memory_bytes {
            lower(Resource::Data, bytes)
                .map_err(|why| format!("memory limit of {bytes} bytes: {why}"))?;
        }
        Ok(())
    }

    /// Gives this process its processor time anew, for one job. The soft limit moves; the hard one stays.
    pub(super) fn renew_cpu_time(&self) {
        let Some(limit) = self.cpu_time else { return };
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let used = u64::try_from(used.tv_sec).unwrap_or(0) + u64::from(0 < used.tv_nsec);
        let maximum = getrlimit(Resource::Cpu).maximum;
        let soft = used + limit.as_secs() + u64::from(0 < limit.subsec_nanos());
        let current = Some(maximum.map_or(soft, |hard| soft.min(hard)));
        // It can fail only above the hard limit, which it does not pass.
        let _ = setrlimit(Resource::Cpu, Rlimit { current, maximum });
    }
}

#[cfg(target_os = "linux")]
fn lower(resource: Resource, to: u64) -> rustix::io::Result<()> {
    let maximum = getrlimit(resource).maximum.map_or(to, |hard| to.min(hard));
    setrlimit(resource, Rlimit { current: Some(maximum), maximum: Some(maximum) })
}
