//! A group that lives long: alone in its process, whose memory it looks at. `TIDEGATE_NIGHTLY=1` makes it longer.
#![cfg(not(loom))]

use tidegate_taskgroup::{Policy, TaskGroup};

/// A million tasks and more through one group; what it keeps does not grow with them.
#[tokio::test]
async fn a_group_of_units_keeps_nothing_of_tasks_that_ended() {
    let tasks = if std::env::var_os("TIDEGATE_NIGHTLY").is_some() { 10_000_000 } else { 1_000_000 };
    let group = TaskGroup::<(), String>::builder().policy(Policy::Supervise).limit(8).build();
    let mut resident = Vec::new();
    for n in 0..tasks {
        let place = group.place().await.unwrap();
        place
            .spawn(async move { if n % 1000 == 0 { Err(n.to_string()) } else { Ok(()) } })
            .unwrap();
        if n % (tasks / 4) == tasks / 8 {
            resident.push(resident_kib());
        }
    }
    let spawner = group.spawner();
    assert_eq!(group.wait().await.unwrap().len(), tasks - tasks / 1000);
    assert_eq!(spawner.take_failures().0.len(), 16);
    let grown = resident[3].saturating_sub(resident[1]);
    assert!(grown <= 512, "{grown} KiB more after twice as many tasks: {resident:?}");
}

/// Resident memory in KiB as Linux tells it; 0 where it does not.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
