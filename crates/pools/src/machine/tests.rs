use super::*;

/// A tree of control group files under a folder that goes with it.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root =
            std::env::temp_dir().join(format!("tidegate-cgroup-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a file lies in a folder")).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(root)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // A folder left in the temporary directory fails no test.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_smallest_quota_between_the_group_and_the_root_counts_in_v2() {
    let tree = Tree::new(
        "v2",
        &[
            ("a/cpu.max", "150000 100000\n"),
            ("a/b/cpu.max", "400000 100000\n"),
            ("a/b/c/cpu.max", "max 100000\n"),
        ],
    );
    assert_eq!(quota(&tree.0, "0::/a/b/c\n"), Some(1.5));
}

#[test]
fn no_quota_is_no_limit_in_v2() {
    let tree = Tree::new("v2-max", &[("a/cpu.max", "max 100000\n")]);
    assert_eq!(quota(&tree.0, "0::/a\n"), None);
    assert_eq!(quota(&tree.0, "0::/elsewhere\n"), None);
}

#[test]
fn a_container_that_sees_its_group_as_the_root_is_limited_by_it() {
    let tree = Tree::new("v2-root", &[("cpu.max", "300000 100000\n")]);
    assert_eq!(quota(&tree.0, "0::/docker/0123\n"), Some(3.0));
}

#[test]
fn v1_is_read_from_the_mount_of_the_cpu_controller() {
    let shared = Tree::new(
        "v1-shared",
        &[
            ("cpu,cpuacct/a/cpu.cfs_quota_us", "250000\n"),
            ("cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
        ],
    );
    let groups = "5:memory:/a\n4:cpu,cpuacct:/a\n3:cpuset:/a\n";
    assert_eq!(quota(&shared.0, groups), Some(2.5));
    let own = Tree::new(
        "v1-own",
        &[("cpu/a/cpu.cfs_quota_us", "-1\n"), ("cpu/a/cpu.cfs_period_us", "100000\n")],
    );
    assert_eq!(quota(&own.0, "4:cpu:/a\n"), None);
}

#[test]
fn files_that_make_no_sense_limit_nothing() {
    let tree = Tree::new(
        "odd",
        &[("cpu.max", "much\n"), ("a/cpu.max", "100000 0\n"), ("a/b/cpu.max", "")],
    );
    assert_eq!(quota(&tree.0, "0::/a/b\nno colons\n:\n"), None);
}

#[test]
fn a_part_of_a_processor_is_one_thread_and_never_more_than_are_seen() {
    assert_eq!(fit(8, Some(0.2)), 1);
    assert_eq!(fit(8, Some(2.9)), 2);
    assert_eq!(fit(8, Some(64.0)), 8);
    assert_eq!(fit(8, None), 8);
    assert_eq!(fit(0, None), 1);
}

#[test]
fn where_both_versions_are_mounted_the_smaller_quota_counts() {
    let quota_of = |name, v1, v2| {
        let files = [
            ("cpu/a/cpu.cfs_quota_us", v1),
            ("cpu/a/cpu.cfs_period_us", "100000\n"),
            ("b/cpu.max", v2),
        ];
        let tree = Tree::new(name, &files);
        quota(&tree.0, "3:cpu:/a\n0::/b\n")
    };
    assert_eq!(quota_of("hybrid-1", "150000\n", "300000 100000\n"), Some(1.5));
    assert_eq!(quota_of("hybrid-2", "300000\n", "150000 100000\n"), Some(1.5));
}
