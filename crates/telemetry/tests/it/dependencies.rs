//! What the crate pulls in.

use std::process::Command;

#[test]
fn without_features_there_is_no_dependency() {
    let tree =
        ["tree", "--offline", "--locked", "--edges", "normal", "--package", "tidegate-telemetry"];
    let output = Command::new(env!("CARGO"))
        .args(tree)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs this test");
    let tree = String::from_utf8_lossy(&output.stdout);
    assert_eq!(tree.lines().count(), 1, "{tree}{}", String::from_utf8_lossy(&output.stderr));
}
