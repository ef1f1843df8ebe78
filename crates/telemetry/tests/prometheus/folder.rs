//! Folders with what others are to read.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tidegate_telemetry::Format;

use crate::random;

/// A folder that is gone afterwards.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("tidegate-telemetry-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder can be written");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes the texts of random registries, in both formats.
pub(crate) fn write_samples(folder: &Path, count: usize) {
    let mut runner = TestRunner::deterministic();
    for i in 0..count {
        let spec = random::spec().new_tree(&mut runner).expect("a registry").current();
        let (registry, _) = spec.build();
        fs::write(folder.join(format!("{i}.txt")), registry.render(Format::Text))
            .expect("it can be written");
        fs::write(folder.join(format!("{i}.om")), registry.render(Format::OpenMetrics))
            .expect("it can be written");
    }
}
