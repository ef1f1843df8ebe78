//! What the kernel says about this process, under the names that Prometheus clients agree on.

use std::fs;

use crate::error::RegisterError;
use crate::registry::Registry;

/// Ticks of the kernel's clock in a second, as it shows them to programs: the same on every Linux in use.
const TICKS: f64 = 100.0;

/// A gauge's name, its help text, and how it is read.
type Reading = (&'static str, &'static str, fn() -> Option<f64>);

/// Registers `process_*`: CPU time, memory, threads, file descriptors, start time. Linux only; elsewhere nothing.
///
/// The values are read from `/proc` at each scrape; one that cannot be read is NaN. The prefix of the registry stands
/// before the names, so a registry without one is the place for them.
///
/// ```
/// let registry = tidegate_telemetry::Registry::new();
/// tidegate_telemetry::register_process_metrics(&registry)?;
/// # #[cfg(target_os = "linux")]
/// assert!(registry.value("process_resident_memory_bytes").is_some_and(|bytes| bytes > 0.0));
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
///
/// # Errors
///
/// One of the names is taken; some of the others may be registered then.
pub fn register_process_metrics(registry: &Registry) -> Result<(), RegisterError> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let cpu = || stat(13).zip(stat(14)).map_or(f64::NAN, |(user, system)| (user + system) / TICKS);
    let (name, help) =
        ("process_cpu_seconds_total", "Time that the process was on a CPU, user and system.");
    registry.define(name, help).unit("seconds").counter_fn(cpu)?;
    let gauges: [Reading; 7] = [
        ("process_resident_memory_bytes", "Memory of the process that is in RAM.", || {
            status("VmRSS:").map(kib)
        }),
        ("process_virtual_memory_bytes", "Address space of the process.", || {
            status("VmSize:").map(kib)
        }),
        (
            "process_virtual_memory_max_bytes",
            "Most address space that the process may have.",
            || limit("Max address space"),
        ),
        ("process_threads", "Threads of the process.", || status("Threads:")),
        ("process_open_fds", "Open file descriptors.", || {
            Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
        }),
        ("process_max_fds", "Most file descriptors that the process may have open.", || {
            limit("Max open files")
        }),
        (
            "process_start_time_seconds",
            "When the process started, in seconds since the epoch.",
            start_time,
        ),
    ];
    for (name, help, read) in gauges {
        registry.define(name, help).gauge_fn(move || read().unwrap_or(f64::NAN))?;
    }
    Ok(())
}

fn kib(n: f64) -> f64 {
    n * 1024.0
}

/// A field of `/proc/self/stat`, counted from 0. The second is the program's name, which may have anything in it.
fn stat(field: usize) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after) = text.rsplit_once(") ")?;
    after.split_whitespace().nth(field - 2)?.parse().ok()
}

fn status(name: &str) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn limit(name: &str) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    match text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        number => number.parse().ok(),
    }
}

fn start_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 =
        text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + stat(21)? / TICKS)
}
