//! What the crate promises to its users. `TIDEGATE_NIGHTLY=1` runs the long versions.
#![cfg(not(loom))]

mod alive;
mod basics;
mod blocking;
mod ending;
mod first_polls;
mod inside;
mod limit;
mod panics;
mod random_trees;
#[cfg(feature = "tracing")]
mod spans;
mod stream;
mod tree;
mod trees;

/// Whether the long versions run.
fn nightly() -> bool {
    std::env::var_os("TIDEGATE_NIGHTLY").is_some()
}

/// Every test that RULES.md names exists.
#[test]
fn the_table_of_rules_names_tests_that_exist() {
    let sources = [
        ("basics", include_str!("basics.rs")),
        ("blocking", include_str!("blocking.rs")),
        ("ending", include_str!("ending.rs")),
        ("inside", include_str!("inside.rs")),
        ("limit", include_str!("limit.rs")),
        ("panics", include_str!("panics.rs")),
        ("stream", include_str!("stream.rs")),
        ("tree", include_str!("tree.rs")),
    ];
    let rules = include_str!("../../RULES.md");
    let named: Vec<&str> =
        rules.split('`').filter(|code| code.contains("::") && !code.contains("Cause")).collect();
    let named: Vec<&str> =
        named.into_iter().filter(|code| code.starts_with(char::is_lowercase)).collect();
    assert!(named.len() > 40, "only {} were found", named.len());
    for name in named {
        let Some((module, test)) = name.split_once("::") else { continue };
        if module == "module" {
            continue;
        }
        let source = sources.iter().find(|(known, _)| *known == module);
        let (_, source) = source.unwrap_or_else(|| panic!("no module of tests: {name}"));
        assert!(source.contains(&format!("fn {test}(")), "no such test: {name}");
    }
}
