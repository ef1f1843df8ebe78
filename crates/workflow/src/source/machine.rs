//! The machine and the control group: processors, memory, load, pressure.

mod files;
mod group;

use std::path::{Path, PathBuf};
use std::time::Instant;

use tidegate_telemetry::{Gauge, RegisterError, Registry};

use self::files::{Processors, memory, processors, read, stalled};
use self::group::Groups;
use super::{Reading, Source};

/// How far the machine is used, or where use is high. `None` is what cannot be read, or does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MachineUse {
    /// The share of the processors' time that was used since the last read, 0 to 1: of the whole machine, or of the quota of
    /// the control group or one above it, whichever is the most.
    pub cpu: Option<f64>,
    /// The share of the memory in use that cannot be had back, 0 to 1: of the machine, or of the limit of the control group or
    /// one above it, whichever is the most.
    pub memory: Option<f64>,
    /// Threads that run or want to, a processor, over the last minute.
    pub load: Option<f64>,
    /// The share of the last ten seconds, 0 to 1, in which some thread waited for a processor.
    pub cpu_pressure: Option<f64>,
    /// The share of the last ten seconds in which some thread waited for memory.
    pub memory_pressure: Option<f64>,
    /// The share of the last ten seconds in which some thread waited for a disk or the network.
    pub io_pressure: Option<f64>,
}

impl MachineUse {
    /// Names of the metrics, and what they mean.
    const METRICS: [(&str, &str); 6] = [
        (
            "machine_cpu_use_ratio",
            "Share of the processors' time in use, of the machine or the quota.",
        ),
        ("machine_memory_use_ratio", "Share of the memory in use, of the machine or the limit."),
        ("machine_load_per_processor", "Threads that run or want to, a processor, over a minute."),
        (
            "machine_cpu_pressure_ratio",
            "Share of the time in which threads waited for a processor.",
        ),
        ("machine_memory_pressure_ratio", "Share of the time in which threads waited for memory."),
        (
            "machine_io_pressure_ratio",
            "Share of the time in which threads waited for input or output.",
        ),
    ];

    /// Where each is read.
    const FILES: [&str; 6] = [
        "proc/stat",
        "proc/meminfo",
        "proc/loadavg",
        "proc/pressure/cpu",
        "proc/pressure/memory",
        "proc/pressure/io",
    ];

    fn figures(&self) -> [Option<f64>; 6] {
        let Self { cpu, memory, load, cpu_pressure, memory_pressure, io_pressure } = *self;
        [cpu, memory, load, cpu_pressure, memory_pressure, io_pressure]
    }
}

/// Reads how far the machine is used, on Linux. What it reads goes to the law as
/// [`gpu_wait`](Reading::gpu_wait), the reading of what is scarce: the greatest share that one of the figures has reached of
/// what [counts as high](Self::high) for it. At 1 one of them is high, so that is what
/// [`gpu_wait_high`](crate::Config::gpu_wait_high) should be.
///
/// In a container the limits of its control group count (v1 and v2), as does the whole machine. Elsewhere than on Linux
/// nothing can be read, which it tells as [trouble](Source::trouble).
///
/// # Examples
/// ```
/// use tidegate_workflow::{Config, MachineSource, MachineUse, Orchestrator, RegistrySource, Source, telemetry::Registry};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let high = MachineUse { cpu: Some(0.95), memory: Some(0.9), ..MachineUse::default() };
/// let machine = MachineSource::new().high(high).publish(&registry)?;
/// let queue = RegistrySource::new(registry.clone()).queue_depth("orchestrator_ready_tasks");
/// let config = Config { gpu_wait_high: 1.0, error_rate_high: 0.0, ..Config::default() };
/// let orchestrator =
///     Orchestrator::builder().registry(registry).adaptive(config, queue.and(machine)).build()?;
/// # drop(orchestrator); Ok(()) }
/// ```
#[derive(Debug)]
pub struct MachineSource {
    root: PathBuf,
    high: MachineUse,
    processors: Option<Processors>,
    /// The machine's own share at the last read, whatever the groups' was.
    own: Option<f64>,
    groups: Groups,
    last: MachineUse,
    gauges: Option<[Gauge; 6]>,
}

impl Default for MachineSource {
    fn default() -> Self {
        Self::new()
    }
}

impl MachineSource {
    /// Of this machine. 95 % of the processors' time and 90 % of the memory are high.
    pub fn new() -> Self {
        Self::at("/")
    }

    /// Of the machine whose `proc` and `sys` are found under `root`: a container that watches its host mounts them
    /// somewhere.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let high = MachineUse { cpu: Some(0.95), memory: Some(0.9), ..MachineUse::default() };
        let processors = processors(&read(&root, "proc/stat"));
        let groups = Groups::new(&root, Instant::now());
        let last = MachineUse::default();
        Self { root, high, processors, own: None, groups, last, gauges: None }
    }

    /// What counts as high. Figures that are `None` do not count.
    pub fn high(mut self, high: MachineUse) -> Self {
        self.high = high;
        self
    }

    /// Also writes what it reads into the registry, at every read: `machine_cpu_use_ratio`, `machine_memory_use_ratio`,
    /// `machine_load_per_processor`, `machine_cpu_pressure_ratio`, `machine_memory_pressure_ratio` and
    /// `machine_io_pressure_ratio`. What cannot be read is NaN there.
    ///
    /// # Errors
    /// When one of the names is taken.
    pub fn publish(mut self, registry: &Registry) -> Result<Self, RegisterError> {
        let [a, b, c, d, e, f] = MachineUse::METRICS.map(|(name, help)| registry.gauge(name, help));
        let gauges = [a?, b?, c?, d?, e?, f?];
        gauges.iter().for_each(|gauge| gauge.set(f64::NAN));
        self.gauges = Some(gauges);
        Ok(self)
    }

    /// How far the machine is used now, and since the last time.
    pub fn read_use(&mut self) -> MachineUse {
        self.read_at(Instant::now())
    }

    fn read_at(&mut self, now: Instant) -> MachineUse {
        let root: &Path = &self.root;
        let stat = processors(&read(root, "proc/stat"));
        let machine = match (stat, self.processors) {
            (Some(now), Some(before)) => now.share_since(&before),
            _ => None,
        };
        let count = stat.map(|stat| stat.count);
        self.processors = stat.or(self.processors);
        let group = self.groups.read(root, now);
        // Two reads within a tick of the clock tell nothing new.
        self.own = machine.or(self.own.filter(|_| stat.is_some()));
        let load =
            read(root, "proc/loadavg").split(' ').next().and_then(|load| load.parse::<f64>().ok());
        let load = load.zip(count).map(|(load, count)| load / f64::from(count.max(1)));
        let pressure = |of: &str, group: Option<f64>| {
            greatest(stalled(&read(root, &format!("proc/pressure/{of}"))), group)
        };
        self.last = MachineUse {
            cpu: greatest(self.own, group.cpu),
            memory: greatest(memory(&read(root, "proc/meminfo")), group.memory),
            load,
            cpu_pressure: pressure("cpu", group.pressure[0]),
            memory_pressure: pressure("memory", group.pressure[1]),
            io_pressure: pressure("io", group.pressure[2]),
        };
        if let Some(gauges) = &self.gauges {
            let figures = gauges.iter().zip(self.last.figures());
            figures.for_each(|(gauge, figure)| gauge.set(figure.unwrap_or(f64::NAN)));
        }
        self.last
    }

    /// When the groups were read last.
    #[cfg(test)]
    fn groups_at(&self) -> Instant {
        self.groups.at()
    }

    /// The greatest share of what is high; `None` if a figure that counts is missing.
    fn strain(&self) -> Option<f64> {
        let pairs = self.high.figures().into_iter().zip(self.last.figures());
        let mut strain = None;
        for (high, figure) in pairs {
            let Some(high) = high else { continue };
            strain = greatest(strain, Some(figure? / high));
        }
        strain
    }
}

impl Source for MachineSource {
    /// A few small files of the kernel, which are read at once: tens of microseconds.
    async fn read(&mut self) -> Reading {
        self.read_use();
        Reading { gpu_wait: self.strain(), ..Reading::default() }
    }

    fn trouble(&self) -> Option<String> {
        let pairs = self.high.figures().into_iter().zip(self.last.figures());
        let at = pairs.into_iter().position(|(high, figure)| high.is_some() && figure.is_none())?;
        let file = self.root.join(MachineUse::FILES[at]);
        Some(format!("no `{}` can be read: {}", MachineUse::METRICS[at].0, why(&file)))
    }
}

/// Why nothing comes out of the file.
fn why(file: &Path) -> String {
    match std::fs::read_to_string(file) {
        Ok(_) => format!("{} says nothing of it", file.display()),
        Err(error) => format!("{}: {error}", file.display()),
    }
}

fn greatest(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
