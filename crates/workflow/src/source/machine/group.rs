//! The control group of this process and those above it, v1 and v2.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::files::{read, stalled};
use super::greatest;

/// Where limits that are no limits begin in v1: it writes the greatest number of whole pages.
const UNLIMITED: f64 = (1_u64 << 60) as f64;

/// The control groups that limit this process, and what they had used at the last read.
#[derive(Debug)]
pub(super) struct Groups {
    before: Vec<Spent>,
    at: Instant,
}

/// The processor time that a group with a quota has used.
#[derive(Debug, PartialEq)]
struct Spent {
    group: PathBuf,
    seconds: f64,
    /// In processors.
    quota: f64,
}

/// How far the groups are used; `None` where nothing limits them, or nothing is told.
#[derive(Debug, Default)]
pub(super) struct GroupUse {
    pub(super) cpu: Option<f64>,
    pub(super) memory: Option<f64>,
    pub(super) pressure: [Option<f64>; 3],
}

impl Groups {
    pub(super) fn new(root: &Path, now: Instant) -> Self {
        Self { before: Hierarchies::of(root).spent(), at: now }
    }

    #[cfg(test)]
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    pub(super) fn read(&mut self, root: &Path, now: Instant) -> GroupUse {
        let hierarchies = Hierarchies::of(root);
        let spent = hierarchies.spent();
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        let share = |now: &Spent| {
            let before = self.before.iter().find(|before| before.group == now.group)?;
            let used = (now.seconds - before.seconds).max(0.0);
            (elapsed > 0.0).then(|| used / (elapsed * now.quota))
        };
        let cpu = spent.iter().map(share).fold(None, greatest);
        (self.before, self.at) = (spent, now);
        GroupUse { cpu, memory: hierarchies.memory(), pressure: hierarchies.pressure() }
    }
}

/// A mounted hierarchy and the group of this process in it.
#[derive(Debug)]
struct Hierarchy {
    mount: PathBuf,
    group: PathBuf,
}

impl Hierarchy {
    /// The folders of the group and those above it. A container may see its own group as the root while `group` names a path
    /// outside: folders that are not there limit nothing.
    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        self.group.ancestors().map(|group| self.mount.join(group))
    }
}

#[derive(Debug, Default)]
struct Hierarchies {
    v2: Option<Hierarchy>,
    cpu: Option<Hierarchy>,
    cpuacct: Option<Hierarchy>,
    memory: Option<Hierarchy>,
}

impl Hierarchies {
    fn of(root: &Path) -> Self {
        let mounts = root.join("sys/fs/cgroup");
        let mut all = Self::default();
        for line in read(root, "proc/self/cgroup").lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(names), Some(group)) = (fields.next(), fields.next()) else { continue };
            let group = PathBuf::from(group.trim_start_matches('/'));
            // Beside v1, v2 is mounted in a folder of its own.
            let mounted = |name: &str| {
                let shared = mounts.join(if names.is_empty() { "unified" } else { names });
                let mount = if shared.is_dir() { shared } else { mounts.join(name) };
                Some(Hierarchy { mount, group: group.clone() })
            };
            for name in names.split(',') {
                match name {
                    "" => all.v2 = mounted(""),
                    "cpu" => all.cpu = mounted(name),
                    "cpuacct" => all.cpuacct = mounted(name),
                    "memory" => all.memory = mounted(name),
                    _ => {}
                }
            }
        }
        all
    }

    /// Of the groups with a quota.
    fn spent(&self) -> Vec<Spent> {
        let mut all = Vec::new();
        for group in self.v2.iter().flat_map(Hierarchy::folders) {
            let quota = text(&group, "cpu.max").and_then(|max| {
                let (quota, period) = max.trim().split_once(' ')?;
                share(quota, period)
            });
            let micros = field(&group, "cpu.stat", "usage_usec");
            all.extend(spent(group, micros.map(|micros| micros / 1e6), quota));
        }
        let used = self.cpuacct.iter().flat_map(Hierarchy::folders);
        for (group, used) in self.cpu.iter().flat_map(Hierarchy::folders).zip(used) {
            let quota = text(&group, "cpu.cfs_quota_us").zip(text(&group, "cpu.cfs_period_us"));
            let quota = quota.and_then(|(quota, period)| share(quota.trim(), period.trim()));
            let nanos = number(&used, "cpuacct.usage");
            all.extend(spent(group, nanos.map(|nanos| nanos / 1e9), quota));
        }
        all
    }

    /// The memory in use that cannot be had back, of the limit: the greatest share.
    fn memory(&self) -> Option<f64> {
        let v2 = self.v2.iter().flat_map(Hierarchy::folders).map(|group| {
            let limit = number(&group, "memory.max")?;
            let used = number(&group, "memory.current")?;
            part(used, field(&group, "memory.stat", "inactive_file"), limit)
        });
        let v1 = self.memory.iter().flat_map(Hierarchy::folders).map(|group| {
            let limit =
                number(&group, "memory.limit_in_bytes").filter(|limit| *limit < UNLIMITED)?;
            let used = number(&group, "memory.usage_in_bytes")?;
            part(used, field(&group, "memory.stat", "total_inactive_file"), limit)
        });
        v2.chain(v1).fold(None, greatest)
    }

    /// Of processors, memory, input and output.
    fn pressure(&self) -> [Option<f64>; 3] {
        let group = self.v2.as_ref().map(|v2| v2.mount.join(&v2.group));
        ["cpu.pressure", "memory.pressure", "io.pressure"]
            .map(|file| stalled(&text(group.as_ref()?, file)?))
    }
}

fn spent(group: PathBuf, seconds: Option<f64>, quota: Option<f64>) -> Option<Spent> {
    Some(Spent { group, seconds: seconds?, quota: quota? })
}

/// In processors; "max" and -1 are no quota.
fn share(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (i64, i64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

/// Files that were read and may be dropped are no use of memory.
fn part(used: f64, cached: Option<f64>, limit: f64) -> Option<f64> {
    (limit > 0.0).then(|| (used - cached.unwrap_or(0.0)).max(0.0) / limit)
}

fn text(group: &Path, file: &str) -> Option<String> {
    fs::read_to_string(group.join(file)).ok()
}

fn number(group: &Path, file: &str) -> Option<f64> {
    text(group, file)?.trim().parse().ok()
}

/// A line `NAME NUMBER` of a file of many.
fn field(group: &Path, file: &str, name: &str) -> Option<f64> {
    let text = text(group, file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}
