//! The dependency arrows of ARCHITECTURE.md.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

const LEAVES: [&str; 4] = ["limiter", "pools", "taskgroup", "telemetry"];

/// What each crate of ours names of ours, in any kind of dependency.
fn ours() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .current_dir(crate::root())
        .output()
        .expect("cargo runs");
    let metadata: Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let short = |package: &Value| {
        let name = package["name"].as_str().expect("a package has a name");
        name.strip_prefix("tidegate-").unwrap_or(name).to_owned()
    };
    let packages = metadata["packages"].as_array().expect("packages are a list");
    let members: Vec<String> = packages.iter().map(short).collect();
    let named = |package: &Value| {
        let dependencies = package["dependencies"].as_array().expect("dependencies are a list");
        dependencies
            .iter()
            .filter(|d| d["path"].is_string())
            .map(short)
            .filter(|name| members.contains(name))
            .collect()
    };
    packages.iter().map(|package| (short(package), named(package))).collect()
}

/// The normal dependencies, default features, as `cargo tree` shows them: a line each.
fn tree(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree", "--locked", "-p", package, "-e", "normal", "--depth", "1", "--prefix", "none",
        ])
        .current_dir(crate::root())
        .output()
        .expect("cargo runs");
    let text = String::from_utf8(output.stdout).expect("cargo tree prints UTF-8");
    text.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn leaves_name_no_crate_of_ours() {
    let ours = ours();
    for leaf in LEAVES {
        assert_eq!(
            ours[leaf],
            Vec::<String>::new(),
            "crates/{leaf} is a leaf: it depends on no crate of this workspace"
        );
    }
}

#[test]
fn only_workflow_composes_the_leaves() {
    let named_by = |name: &str, allowed: &[&str]| {
        for (from, to) in ours() {
            let allowed = allowed.contains(&from.as_str()) || from == "benches";
            assert!(
                allowed || !to.contains(&name.to_owned()),
                "crates/{from} must not depend on {name}"
            );
        }
    };
    for leaf in LEAVES {
        named_by(leaf, &["workflow"]);
    }
    named_by("workflow", &["cli", "cluster"]);
    named_by("cli", &[]);
    named_by("cluster", &[]);
}

#[test]
fn nothing_depends_on_benches_or_xtask_and_xtask_on_nothing_of_ours() {
    for (from, to) in ours() {
        for tool in ["benches", "xtask"] {
            assert!(!to.contains(&tool.to_owned()), "{from} must not depend on {tool}");
        }
        assert!(from != "xtask" || to.is_empty(), "xtask depends on {to:?}");
    }
}

#[test]
fn limiter_depends_on_parking_lot_at_most() {
    for name in &tree("tidegate-limiter")[1..] {
        assert_eq!(name, "parking_lot", "tidegate-limiter must not depend on it");
    }
}

#[test]
fn telemetry_depends_on_nothing_by_default() {
    assert_eq!(tree("tidegate-telemetry"), ["tidegate-telemetry"]);
}

#[test]
fn taskgroup_depends_on_tokio_and_what_tokio_stands_on_at_most() {
    for name in &tree("tidegate-taskgroup")[1..] {
        assert!(
            ["pin-project-lite", "tokio", "tokio-util"].contains(&name.as_str()),
            "tidegate-taskgroup must not depend on {name}"
        );
    }
}
