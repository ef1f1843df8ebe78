//! One graph, served by every executor. This binary has a `main` of its own, because it is its own worker process.
//!
//! `cargo test -p tidegate-workflow --test executors [NAME]`

mod broker;
mod cases;
mod functions;

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use tidegate_workflow::executor::Processes;
use tidegate_workflow::pools::process::{Host, init};

/// A test: its name states a rule.
type Test = (&'static str, fn(&Host));

fn main() -> ExitCode {
    let host = init(Processes::functions(functions::registry()));
    let tests = [cases::TESTS, broker::TESTS].concat();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        tests.iter().for_each(|(name, _)| say(&format!("{name}: test")));
        return ExitCode::SUCCESS;
    }
    let filter = args.iter().find(|arg| !arg.starts_with('-')).cloned().unwrap_or_default();
    let mut failed = 0;
    for (name, test) in tests.iter().filter(|(name, _)| name.contains(&filter)) {
        let passed = catch_unwind(AssertUnwindSafe(|| test(&host))).is_ok();
        failed += usize::from(!passed);
        say(&format!("test {name} ... {}", if passed { "ok" } else { "FAILED" }));
    }
    say(&format!("test result: {failed} failed"));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(future)
}
