//! What a stage needs beyond the Rust toolchain: how to find it, and how to install it.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;

use crate::shell;

/// Something that a stage needs beyond the Rust toolchain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// `gdb`.
    Debugger,
    /// `prometheus` and `promtool`.
    Prometheus,
    /// A Python with the pinned packages of `xtask/python-requirements.txt`, in `target/python`.
    Python,
    /// `valgrind`, which counts instructions.
    Valgrind,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debugger => "gdb",
            Self::Prometheus => "prometheus",
            Self::Python => "python",
            Self::Valgrind => "valgrind",
        })
    }
}

impl Need {
    /// Every need there is, for `--without`.
    pub(crate) const ALL: [Self; 4] =
        [Self::Debugger, Self::Prometheus, Self::Python, Self::Valgrind];

    /// Finds it or installs it (as root on Debian by apt); else says what to install.
    pub(crate) fn provide(self) -> Result<(), String> {
        match self {
            Self::Debugger => by_apt("gdb", &["gdb"]),
            Self::Prometheus => by_apt("prometheus", &["prometheus", "promtool"]),
            Self::Valgrind => by_apt("valgrind", &["valgrind"]),
            Self::Python => python(),
        }
    }
}

/// A `PATH` on which `python3` is the one that [`Need::Python`] provides.
pub(crate) fn path_with_python() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(python_folder()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap_or(path)
}

fn python_folder() -> PathBuf {
    shell::root().join("target/python/bin")
}

fn python() -> Result<(), String> {
    python_with("python-requirements.txt")
}

/// The peers of our benches that are Python, for the interpreter that the benches find.
pub(crate) fn python_peers() -> Result<(), String> {
    python_with("python-peers.txt")
}

fn python_with(requirements: &str) -> Result<(), String> {
    let stamp = shell::root().join("target/python").join(requirements);
    let requirements = shell::root().join("xtask").join(requirements);
    let wanted = std::fs::read_to_string(&requirements)
        .map_err(|why| format!("{}: {why}", requirements.display()))?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    by_apt("python3", &["python3"])?;
    let folder = shell::root().join("target/python");
    let folder = folder.to_string_lossy();
    let made =
        shell::run(shell::command("python3", &["-m", "venv", &folder]).stdout(Stdio::null()));
    if made.is_err() {
        apt_install("python3-venv")?;
        shell::run(&mut shell::command("python3", &["-m", "venv", "--clear", &folder]))?;
    }
    let requirements = requirements.to_string_lossy();
    let pip =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", &requirements];
    shell::run(&mut shell::command(&python_folder().join("python3").to_string_lossy(), &pip))?;
    std::fs::write(&stamp, wanted).map_err(|why| format!("{}: {why}", stamp.display()))
}

fn by_apt(package: &str, programs: &[&str]) -> Result<(), String> {
    let found = || programs.iter().all(|program| on_path(program));
    if found() {
        return Ok(());
    }
    apt_install(package)?;
    if found() {
        Ok(())
    } else {
        Err(format!(
            "package {package} is installed, but {} is not on the PATH",
            programs.join(" or ")
        ))
    }
}

fn apt_install(package: &str) -> Result<(), String> {
    let is_root = shell::read(&mut shell::command("id", &["-u"])).is_ok_and(|id| id.trim() == "0");
    if !(is_root && on_path("apt-get")) {
        return Err(format!(
            "install `{package}` (Debian: `apt-get install {package}`) and run this again, or leave its tests out with --without"
        ));
    }
    shell::say(&format!("installing {package}"));
    // A server's package would start its service at once; a test starts its own, on a port of its own.
    let quiet = |args: &[&str]| {
        let mut apt = shell::command("apt-get", args);
        apt.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").stdout(Stdio::null());
        shell::run(&mut apt)
    };
    let install = ["install", "--yes", "--no-install-recommends", package];
    quiet(&install).or_else(|_| quiet(&["update"]).and_then(|()| quiet(&install)))
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
