//! The process pool under a debugger, beside it and inside a worker.
//!
//! `cargo test -p tidegate-pools --test debugger` (left out of plain `cargo test`: it needs gdb).

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::Write as _;
    use std::process::Command;

    use tidegate_pools::process::{Context, Function, Functions, Host, ProcessPool, init};

    const TWICE: Function<u64, u64, ()> = Function::new("twice", twice);

    /// The line of its body.
    const INSIDE: u32 = line!() + 3;

    fn twice(n: u64, _: &Context<'_>) -> Result<u64, ()> {
        Ok(2 * n)
    }

    pub(crate) fn main() {
        let host = init(Functions::new().with(TWICE));
        if std::env::var_os("TEST_DEBUGGED").is_some() {
            return answer(&host);
        }
        let beside = debug(&["run"]);
        assert!(beside.contains("the answer is 42"), "{beside}");
        assert!(beside.contains("exited normally"), "{beside}");
        let inside = debug(&[
            "set follow-fork-mode child",
            &format!("break debugger.rs:{INSIDE}"),
            "run",
            "backtrace",
            "continue",
        ]);
        assert!(inside.contains("hit Breakpoint 1"), "{inside}");
        assert!(inside.contains("process/worker.rs"), "{inside}");
        assert!(inside.contains("the answer is 42"), "{inside}");
        say("ok: a program and its worker under gdb");
    }

    /// What is debugged.
    fn answer(host: &Host) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let answer = runtime.block_on(async {
            let pool = ProcessPool::builder(host).workers(1).build().expect("a pool");
            let answer = pool.run(TWICE, &21).await.expect("an answer");
            pool.shutdown().await;
            answer
        });
        say(&format!("the answer is {answer}"));
    }

    /// What gdb and the program print.
    fn debug(commands: &[&str]) -> String {
        let mut gdb = Command::new("gdb");
        gdb.args(["-nx", "-q", "-batch", "-ex", "set debuginfod enabled off"]);
        gdb.args(commands.iter().flat_map(|command| ["-ex", command]));
        let me = std::env::current_exe().expect("procfs");
        let output = gdb.arg(me).env("TEST_DEBUGGED", "1").output();
        let output = output.expect("this test needs gdb: apt-get install gdb");
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        out + &err
    }

    fn say(line: &str) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}
