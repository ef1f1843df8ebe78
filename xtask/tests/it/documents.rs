//! What the documents promise about the repository.

use crate::{file, root};

#[test]
fn architecture_is_under_200_lines() {
    assert!(file("ARCHITECTURE.md").lines().count() < 200);
}

#[test]
fn readme_names_its_two_commands() {
    let readme = file("README.md");
    for command in ["cargo run --release -- run examples/dependency-audit.yaml", "cargo xtask test"]
    {
        assert!(
            readme.lines().any(|line| line.trim() == command),
            "README.md must show `{command}` on a line of its own"
        );
    }
}

#[test]
fn every_path_that_a_document_links_to_exists() {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        let text = file(document);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            let elsewhere = path.is_empty() || path.contains("://");
            assert!(
                elsewhere || root().join(path).exists(),
                "{document} links to {path}, which does not exist"
            );
        }
    }
}

#[test]
fn every_crate_inherits_version_edition_and_lints_from_the_workspace() {
    let folders = std::fs::read_dir(root().join("crates")).expect("crates/ is a folder");
    let manifests = folders.map(|folder| {
        format!("crates/{}/Cargo.toml", folder.expect("readable").file_name().display())
    });
    for path in manifests.chain(["benches/Cargo.toml".to_owned(), "xtask/Cargo.toml".to_owned()]) {
        let manifest = file(&path);
        for line in [
            "version.workspace = true",
            "edition.workspace = true",
            "rust-version.workspace = true",
        ] {
            assert!(manifest.contains(line), "{path} must say `{line}`");
        }
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{path} must take the workspace's lints"
        );
    }
}
