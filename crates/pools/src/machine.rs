//! How many processors this process may use: affinity, and the CPU quotas of its control groups.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

/// How many threads can compute at once in this process, at least 1: the processors it may run on, cut to the smallest
/// CPU quota on the way from its control group to the root (v1 and v2). A quota of 2.5 processors counts as 2, since a third
/// thread would be throttled most of the time.
///
/// # Examples
/// ```
/// assert!(tidegate_pools::processors() >= 1);
/// ```
pub fn processors() -> usize {
    let seen = thread::available_parallelism().map_or(1, usize::from);
    // Absent anywhere but on Linux: then there is no quota either.
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    fit(seen, quota(Path::new("/sys/fs/cgroup"), &groups))
}

fn fit(seen: usize, quota: Option<f64>) -> usize {
    // A float cast saturates, so that an absurd quota is no limit.
    quota.map_or(seen, |processors| seen.min(processors as usize)).max(1)
}

/// The smallest quota of the groups in `groups` (the text of `/proc/self/cgroup`) and their ancestors, in processors.
fn quota(root: &Path, groups: &str) -> Option<f64> {
    let quotas = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
        let (mount, read): (PathBuf, fn(&Path) -> Option<f64>) = match controllers {
            "" => (root.to_owned(), v2),
            names if names.split(',').any(|name| name == "cpu") => (v1_mount(root, names), v1),
            _ => return None,
        };
        smallest(&mount, group, read)
    });
    quotas.min_by(f64::total_cmp)
}

/// The `cpu` controller of v1 is mounted by its own name or with those it shares a hierarchy with.
fn v1_mount(root: &Path, names: &str) -> PathBuf {
    let shared = root.join(names);
    if shared.is_dir() { shared } else { root.join("cpu") }
}

fn smallest(mount: &Path, group: &str, read: fn(&Path) -> Option<f64>) -> Option<f64> {
    // A container may see its own group as the root while `group` names a path outside: what is missing limits nothing.
    let relative = Path::new(group.trim_start_matches('/'));
    relative.ancestors().filter_map(|at| read(&mount.join(at))).min_by(f64::total_cmp)
}

/// `cpu.max`: "QUOTA PERIOD" in microseconds, or "max PERIOD".
fn v2(group: &Path) -> Option<f64> {
    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    share(quota, period)
}

fn v1(group: &Path) -> Option<f64> {
    let quota = fs::read_to_string(group.join("cpu.cfs_quota_us")).ok()?;
    let period = fs::read_to_string(group.join("cpu.cfs_period_us")).ok()?;
    share(quota.trim(), period.trim())
}

/// "max" and -1 are no quota.
fn share(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (i64, i64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

#[cfg(test)]
mod tests;
