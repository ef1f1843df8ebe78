//! The texts of `/proc`, as numbers.

use std::fs;
use std::path::Path;

/// A file's text; nothing if there is none.
pub(super) fn read(root: &Path, file: &str) -> String {
    fs::read_to_string(root.join(file)).unwrap_or_default()
}

/// What the processors have done since the machine started, in ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Processors {
    busy: u64,
    total: u64,
    pub(super) count: u32,
}

impl Processors {
    /// The share of the time since then in which they worked; `None` if no time has passed.
    pub(super) fn share_since(&self, before: &Self) -> Option<f64> {
        let total = self.total.checked_sub(before.total).filter(|ticks| *ticks > 0)?;
        // The kernel's idle time may go back a little, and the busy time with it.
        let busy = self.busy.saturating_sub(before.busy).min(total);
        Some(busy as f64 / total as f64)
    }
}

/// `/proc/stat`: of the first line's `user nice system idle iowait irq softirq steal`, idle and iowait are no work. What
/// guests took is in `user` already.
pub(super) fn processors(stat: &str) -> Option<Processors> {
    let mut lines = stat.lines();
    let all = lines.next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> =
        all.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    let idle = ticks.get(3)? + ticks.get(4).unwrap_or(&0);
    let total: u64 = ticks.iter().sum();
    let count = lines.take_while(|line| line.starts_with("cpu")).count();
    Some(Processors { busy: total - idle, total, count: u32::try_from(count).ok()? })
}

/// `/proc/meminfo`: the share that cannot be had.
pub(super) fn memory(meminfo: &str) -> Option<f64> {
    let of = |name: &str| -> Option<f64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let total = of("MemTotal:").filter(|total| *total > 0.0)?;
    Some((1.0 - of("MemAvailable:")? / total).clamp(0.0, 1.0))
}

/// `/proc/pressure/*`: the share of the last ten seconds in which some waited.
pub(super) fn stalled(pressure: &str) -> Option<f64> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    let percent = some.split(' ').find_map(|word| word.strip_prefix("avg10="))?;
    percent.parse::<f64>().ok().map(|percent| percent / 100.0)
}
