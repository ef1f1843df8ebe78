//! The scripts of `examples/dependency-audit.yaml`, on a registry made for the test.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::Place;

const RUST: &str = r##"//! unsafe { in a comment }
/* unsafe { /* nested */ unsafe { */
fn one() { unsafe { two() } }
unsafe fn two() {}
const TEXT: &str = "unsafe { in a string }";
const RAW: &str = r#"unsafe { " in a raw one }"#;
const QUOTE: char = '"'; fn three<'a>(x: &'a u8) { unsafe
    { drop(x) } }
unsafe impl Send for X {}
const LONG: &str = "over
  unsafe { two lines";
fn not_unsafe_at_all() { unsafe_name() }
"##;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/dependency-audit").join(name)
}

/// A cargo home whose index folder has an unusual name, with one package.
fn registry(place: &Place) {
    let package = place.path.join("home/registry/src/mirror.example-0123/demo-1.2.3");
    std::fs::create_dir_all(package.join("src")).expect("a folder");
    std::fs::write(package.join("src/lib.rs"), RUST).expect("a file");
    let manifest = "[package]\nname = \"demo\"\nedition = \"2021\"\nlicense = \"MIT OR <b>\"\n\n[dependencies.x]\nlicense = \"no\"\n";
    std::fs::write(package.join("Cargo.toml"), manifest).expect("a file");
    let cache = place.path.join("home/registry/cache/mirror.example-0123");
    std::fs::create_dir_all(&cache).expect("a folder");
    std::fs::write(cache.join("demo-1.2.3.crate"), "archive").expect("a file");
}

fn lock(place: &Place, checksum: &str) {
    let lock = format!(
        "version = 4\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"demo\"\nversion = \"1.2.3\"\n\
         source = \"sparse+https://mirror.example/\"\nchecksum = \"{checksum}\"\n"
    );
    std::fs::write(place.path.join("Cargo.lock"), lock).expect("a file");
}

fn sh(place: &Place, name: &str, args: &[&str]) -> (bool, String, String) {
    let mut command = Command::new("sh");
    command.arg(script(name)).args(args).current_dir(&place.path);
    let output = command.env("CARGO_HOME", place.path.join("home")).output().expect("sh runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_package_of_an_unusual_registry_is_measured_exactly() {
    let place = Place::with("audit", "");
    registry(&place);
    lock(&place, &"0".repeat(64));
    let (_, packages, _) = sh(&place, "packages.sh", &["Cargo.lock"]);
    assert_eq!(packages, "demo 1.2.3\n", "ours comes from no registry");
    let (ok, _, stderr) = sh(&place, "measure.sh", &["Cargo.lock", "demo", "1.2.3"]);
    assert!(!ok && stderr.contains("not the one"), "a wrong archive is told: {stderr}");
    let archive = "home/registry/cache/mirror.example-0123/demo-1.2.3.crate";
    let sum = Command::new("sha256sum").arg(place.path.join(archive)).output().expect("it runs");
    let sum = String::from_utf8_lossy(&sum.stdout)[..64].to_owned();
    lock(&place, &sum);
    let (ok, line, stderr) = sh(&place, "measure.sh", &["Cargo.lock", "demo", "1.2.3"]);
    assert!(ok, "{stderr}");
    let fields: Vec<&str> = line.trim_end().split('\t').collect();
    let lines = RUST.lines().count().to_string();
    assert_eq!(
        fields[..8],
        ["demo", "1.2.3", "MIT OR <b>", "2021", "1", &lines, "2", "2"],
        "{line}"
    );
    assert_eq!(fields[9], "yes");
}

#[test]
fn a_package_that_is_not_there_is_told() {
    let place = Place::with("absent", "");
    lock(&place, "00");
    let (ok, _, stderr) = sh(&place, "measure.sh", &["Cargo.lock", "demo", "1.2.3"]);
    assert!(!ok && stderr.contains("cargo fetch"), "{stderr}");
}

#[test]
fn the_report_ranks_and_escapes() {
    let place = Place::with("report", "");
    let row = |name: &str, lines: u32, blocks: u32| {
        format!("{name}\t1.0.0\tMIT <x>\t2021\t3\t{lines}\t{blocks}\t0\tabcdef\tyes\n")
    };
    let rows = row("small", 10, 0) + &row("large", 1000, 9) + &row("middle", 100, 3);
    let mut child = Command::new("sh")
        .arg(script("report.sh"))
        .arg("out")
        .current_dir(&place.path)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("sh runs");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), rows.as_bytes())
        .expect("it reads");
    assert!(child.wait_with_output().expect("it ends").status.success());
    let report = place.read("out/report.md");
    assert!(
        report.contains("3 packages, 9 files, 1110 lines of Rust; 12 unsafe blocks"),
        "{report}"
    );
    let order: Vec<&str> =
        ["large", "middle", "small"].into_iter().filter(|n| report.contains(n)).collect();
    let places: Vec<_> = order.iter().map(|name| report.find(name)).collect();
    assert!(places.is_sorted() && places.len() == 3, "{report}");
    let page = place.read("out/report.html");
    assert!(page.contains("MIT &lt;x&gt;") && !page.contains("MIT <x>"), "{page}");
    assert!(
        page.contains("prefers-color-scheme:dark") && !page.contains("http"),
        "one page, nothing from outside"
    );
}
