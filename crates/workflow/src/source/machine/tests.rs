use std::fs;
use std::time::Duration;

use super::*;

/// A machine of files, in a folder that goes with it.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = format!("tidegate-machine-{}-{name}", std::process::id());
        let tree = Self(std::env::temp_dir().join(folder));
        files.iter().for_each(|(path, text)| tree.write(path, text));
        tree
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // A folder left in the temporary directory fails no test.
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MACHINE: &[(&str, &str)] = &[
    ("proc/stat", "cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 1\ncpu1 1 1\nintr 5\n"),
    ("proc/meminfo", "MemTotal:        1000 kB\nMemFree: 10 kB\nMemAvailable:     400 kB\n"),
    ("proc/loadavg", "3.00 0.65 0.89 14/195 17986\n"),
    ("proc/pressure/cpu", "some avg10=25.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=0.00\n"),
    ("proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"),
    ("proc/pressure/io", "some avg10=3.00 avg60=0.00 avg300=0.00 total=1\n"),
];

fn later(source: &mut MachineSource, seconds: u64) -> MachineUse {
    source.read_at(Instant::now() + Duration::from_secs(seconds))
}

#[test]
fn a_machine_without_limits_is_read_from_proc() {
    let tree = Tree::new("plain", MACHINE);
    let mut source = MachineSource::at(&tree.0);
    tree.write("proc/stat", "cpu  130 0 130 720 120 0 0 0 90 0\ncpu0 1 1\ncpu1 1 1\n");
    let expected = MachineUse {
        cpu: Some(0.6),
        memory: Some(0.6),
        load: Some(1.5),
        cpu_pressure: Some(0.255),
        memory_pressure: Some(0.0),
        io_pressure: Some(0.03),
    };
    assert_eq!(later(&mut source, 1), expected);
    assert_eq!(later(&mut source, 1).cpu, Some(0.6), "no time has passed in the file");
    tree.write("proc/stat", "cpu  140 0 130 720 210 0 0 0 90 0\ncpu0 1 1\ncpu1 1 1\n");
    assert_eq!(later(&mut source, 1).cpu, Some(0.1), "since the last read");
    tree.write("proc/stat", "cpu  240 0 130 719 210 0 0 0 90 0\ncpu0 1 1\ncpu1 1 1\n");
    assert_eq!(later(&mut source, 1).cpu, Some(1.0), "the idle time went back");
    tree.write("proc/stat", "nothing");
    assert_eq!(later(&mut source, 1).cpu, None);
}

#[test]
fn the_group_that_is_used_most_of_its_limit_counts_in_v2() {
    let tree = Tree::new("v2", MACHINE);
    for (path, text) in [
        ("proc/self/cgroup", "0::/a/b\n"),
        ("sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
        ("sys/fs/cgroup/a/cpu.stat", "usage_usec 1000000\nuser_usec 5\n"),
        ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/a/b/cpu.stat", "usage_usec 900000\n"),
        ("sys/fs/cgroup/a/memory.max", "1000\n"),
        ("sys/fs/cgroup/a/memory.current", "950\n"),
        ("sys/fs/cgroup/a/memory.stat", "anon 7\ninactive_file 50\n"),
        ("sys/fs/cgroup/a/b/memory.max", "max\n"),
        ("sys/fs/cgroup/a/b/memory.current", "940\n"),
        ("sys/fs/cgroup/a/b/cpu.pressure", "some avg10=75.00 avg60=0 total=1\n"),
    ] {
        tree.write(path, text);
    }
    let mut source = MachineSource::at(&tree.0);
    source.read_at(Instant::now());
    let begun = source.groups_at();
    tree.write("sys/fs/cgroup/a/cpu.stat", "usage_usec 4000000\n");
    let read = source.read_at(begun + Duration::from_secs(2));
    assert_eq!(read.cpu, Some(1.0), "3 s in 2 s at 1.5 processors");
    assert_eq!(read.memory, Some(0.9));
    assert_eq!((read.cpu_pressure, read.io_pressure), (Some(0.75), Some(0.03)));
}

#[test]
fn v1_is_read_from_the_mounts_of_its_controllers() {
    let tree = Tree::new("v1", MACHINE);
    for (path, text) in [
        ("proc/self/cgroup", "4:memory:/m\n2:cpu,cpuacct:/c\n1:name=systemd:/\n0::/\n"),
        ("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "50000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us", "100000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/c/cpuacct.usage", "1000000000\n"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ("sys/fs/cgroup/memory/memory.usage_in_bytes", "9223372036854771712\n"),
        ("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "2000\n"),
        ("sys/fs/cgroup/memory/m/memory.usage_in_bytes", "1900\n"),
        ("sys/fs/cgroup/memory/m/memory.stat", "inactive_file 9\ntotal_inactive_file 500\n"),
    ] {
        tree.write(path, text);
    }
    let mut source = MachineSource::at(&tree.0);
    source.read_at(Instant::now());
    let begun = source.groups_at();
    tree.write("sys/fs/cgroup/cpu,cpuacct/c/cpuacct.usage", "2000000000\n");
    let read = source.read_at(begun + Duration::from_secs(4));
    assert_eq!(read.cpu, Some(0.5), "1 s in 4 s at half a processor");
    assert_eq!(read.memory, Some(0.7));
    tree.write("sys/fs/cgroup/cpu,cpuacct/c/cpuacct.usage", "2500000000\n");
    let read = source.read_at(begun + Duration::from_secs(5));
    assert_eq!(read.cpu, Some(1.0), "half a second since the last read");
    tree.write("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "-1\n");
    assert_eq!(source.read_at(begun + Duration::from_secs(6)).cpu, None, "without a quota");
}

#[test]
fn beside_v1_the_groups_of_v2_are_in_a_folder_of_their_own() {
    let tree = Tree::new("hybrid", MACHINE);
    for (path, text) in [
        ("proc/self/cgroup", "4:memory:/m\n0::/a\n"),
        ("sys/fs/cgroup/unified/a/memory.max", "1000\n"),
        ("sys/fs/cgroup/unified/a/memory.current", "950\n"),
    ] {
        tree.write(path, text);
    }
    assert_eq!(MachineSource::at(&tree.0).read_at(Instant::now()).memory, Some(0.95));
}

#[tokio::test]
async fn strain_is_the_greatest_share_of_what_is_high_and_is_published() {
    let tree = Tree::new("strain", MACHINE);
    let registry = Registry::new();
    let high = MachineUse {
        memory: Some(0.8),
        load: Some(1.0),
        io_pressure: Some(1.0),
        ..MachineUse::default()
    };
    let mut source =
        MachineSource::at(&tree.0).high(high).publish(&registry).expect("the names are free");
    assert_eq!(source.read().await.gpu_wait, Some(1.5));
    assert_eq!(source.trouble(), None);
    assert_eq!(registry.value("machine_memory_use_ratio"), Some(0.6));
    assert_eq!(registry.value("machine_load_per_processor"), Some(1.5));
}

#[tokio::test]
async fn a_figure_that_counts_and_is_missing_leaves_no_reading_and_is_named_with_its_file() {
    let tree = Tree::new("missing", &MACHINE[..3]);
    let high = MachineUse { memory: Some(0.8), cpu_pressure: Some(0.5), ..MachineUse::default() };
    let mut source = MachineSource::at(&tree.0).high(high);
    assert_eq!(source.read().await, Reading::default());
    let why = source.trouble().expect("there is no pressure");
    assert!(
        why.contains("machine_cpu_pressure_ratio") && why.contains("proc/pressure/cpu"),
        "{why}"
    );
    tree.write("proc/pressure/cpu", "nothing that is known\n");
    source.read().await;
    let why = source.trouble().expect("there is no pressure");
    assert!(why.ends_with("proc/pressure/cpu says nothing of it"), "{why}");
}

#[test]
fn texts_that_make_no_sense_are_no_figures() {
    for text in ["", "cpu", "cpu  ", "cpu  1 2 x 4", "cpu 1 2 3"] {
        assert_eq!(processors(text), None, "{text:?}");
    }
    for text in ["MemTotal: 0 kB\nMemAvailable: 0 kB", "MemTotal: 5 kB", "MemAvailable: 5 kB"] {
        assert_eq!(memory(text), None, "{text:?}");
    }
    assert_eq!(stalled("full avg10=1.00"), None);
}

#[test]
#[cfg(target_os = "linux")]
fn this_machine_has_memory_in_use_and_processors() {
    let read = MachineSource::new().read_use();
    assert!(read.memory.is_some_and(|share| share > 0.0), "{read:?}");
    assert!(read.load.is_some_and(|load| load >= 0.0), "{read:?}");
}
