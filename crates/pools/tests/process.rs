//! The process pool, from outside. This binary has a `main` of its own, because it is its own worker.
//!
//! `cargo test -p tidegate-pools --test process [NAME]`; the long versions run when `TIDEGATE_NIGHTLY` is set.

/// Elsewhere a pool is an error that says why.
#[cfg(not(target_os = "linux"))]
fn main() {
    use tidegate_pools::process::{Functions, ProcessPool, init};
    let refused = ProcessPool::new(&init(Functions::new())).expect_err("there are no workers here");
    assert_eq!(refused.kind(), std::io::ErrorKind::Unsupported);
    assert!(refused.to_string().contains("Linux"), "{refused}");
}

#[cfg(target_os = "linux")]
#[path = "process/cases.rs"]
mod cases;
#[cfg(target_os = "linux")]
#[path = "process/deaths.rs"]
mod deaths;
#[cfg(target_os = "linux")]
#[path = "process/functions.rs"]
mod functions;
#[cfg(target_os = "linux")]
#[path = "process/kills.rs"]
mod kills;
#[cfg(target_os = "linux")]
#[path = "process/lives.rs"]
mod lives;
#[cfg(target_os = "linux")]
#[path = "process/memory.rs"]
mod memory;
#[cfg(target_os = "linux")]
#[path = "process/starts.rs"]
mod starts;
#[cfg(target_os = "linux")]
#[path = "process/support.rs"]
mod support;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    support::forget_to_init_when_told();
    support::end_soon_when_told();
    support::talk_when_told();
    lives::hold_back_when_told();
    let host = tidegate_pools::process::init(functions::all());
    if let Ok(how) = std::env::var(lives::DELETE) {
        lives::delete_and_run(&host, &how);
    }
    if let Ok(stdout) = std::env::var(lives::LET_GO) {
        lives::let_go_and_tell(&host, &stdout);
    }
    if let Ok(path) = std::env::var(kills::PARENT) {
        kills::be_a_parent(&host, &path);
    }
    let tests = [cases::TESTS, deaths::TESTS, starts::TESTS, lives::TESTS, kills::TESTS].concat();
    support::run(&tests, &host)
}
