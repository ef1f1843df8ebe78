//! The section on control laws in `benches/RESULTS.md`.

use std::fs;
use std::io;
use std::path::Path;

const HEADING: &str = "### Control laws in virtual time\n";

/// Puts what was printed for `command` in place of what stood there.
pub(crate) fn write(command: &str, printed: &str) -> io::Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS.md");
    let old = fs::read_to_string(&file)?;
    fs::write(&file, replaced(&old, &section(command, printed)))
}

fn section(command: &str, printed: &str) -> String {
    let mut text = format!("{HEADING}\n`{command}`\n");
    for line in printed.lines().filter(|line| !line.starts_with("limits over time")) {
        match line.strip_prefix("# ") {
            Some(title) => text.push_str(&format!("**{title}**")),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    format!("{}\n", text.trim_end())
}

/// `document` with `section` where the old one is, or at the end, under "Other measurements".
pub(crate) fn replaced(document: &str, section: &str) -> String {
    let Some((before, old)) = document.split_once(HEADING) else {
        return format!("{}\n\n{section}", document.trim_end());
    };
    let after = old.find("\n## ").into_iter().chain(old.find("\n### ")).min();
    let after = after.map_or("", |at| &old[at..]);
    format!("{before}{section}{after}")
}
