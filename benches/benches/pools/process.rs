//! Process pool groups: beside procspawn, which re-executes the program as well, and beside pebble, which is Python and
//! stands in where it is installed.

#[path = "process/ends.rs"]
mod ends;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_bytes::ByteBuf;
use tidegate_benches::{Python, Suite};
use tidegate_pools::process::{Context, Function, Functions, Host, ProcessPool, init};

const NOTHING: Function<u32, u32, ()> = Function::new("nothing", |n, _: &Context<'_>| Ok(n));
const ECHO: Function<ByteBuf, ByteBuf, ()> =
    Function::new("echo", |bytes, _: &Context<'_>| Ok(bytes));

const WORKERS: usize = 2;

/// First in `main`: makes this executable the worker of both.
pub(crate) fn become_worker() -> Host {
    let host = init(Functions::new().with(NOTHING).with(ECHO).with(ends::HANG));
    procspawn::init();
    host
}

pub(crate) fn groups(suite: &mut Suite, host: &Host) {
    jobs(suite, host);
    echo(suite, host);
    ends::hung_jobs(suite, host);
    ends::spawn_calls(suite, host);
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

fn pool(host: &Host, workers: usize) -> ProcessPool {
    let pool = ProcessPool::builder(host).workers(workers).queue(1 << 20).build().expect("a pool");
    block_on(pool.ready()).expect("workers start");
    pool
}

fn jobs(suite: &mut Suite, host: &Host) {
    let id = "pools/process/empty_jobs";
    if !suite.wants(id) {
        return;
    }
    let (ours, peer, mut pebble) = (
        pool(host, WORKERS),
        procspawn::Pool::new(WORKERS).expect("a pool"),
        Python::if_installed(
            "pebble",
            "benches/pools/process/with_pebble.py",
            &[&WORKERS.to_string()],
        ),
    );
    let mut group = suite
        .group(id)
        .ours(|n| ours_nothing(&ours, n, NOTHING))
        .peer("procspawn", |n| {
            let start = Instant::now();
            let jobs: Vec<_> =
                (0..n).map(|_| procspawn::spawn!(in peer, (1_u32 => n) || n)).collect();
            for job in jobs {
                assert_eq!(job.join().expect("an answer"), 1);
            }
            start.elapsed()
        })
        .at_most_of("procspawn", 0.5);
    if let Some(pebble) = &mut pebble {
        group = group.peer("pebble", |n| pebble.ask(&n.to_string())).at_most_of("pebble", 0.25);
    }
    group.operations(2_000).run();
    if pebble.is_none() {
        suite.remark(&format!("{id}: without pebble; `cargo xtask peers pools --python` has it"));
    }
    suite
        .group("pools/process/empty_jobs/idempotent")
        .ours(|n| ours_nothing(&ours, n, NOTHING.idempotent()))
        .peer("one in flight", |n| ours_nothing(&ours, n, NOTHING))
        .operations(2_000)
        .run();
}

fn ours_nothing(pool: &ProcessPool, n: u64, function: Function<u32, u32, ()>) -> Duration {
    let start = Instant::now();
    block_on(async {
        let mut jobs = Vec::with_capacity(n as usize);
        for _ in 0..n {
            jobs.push(pool.submit(function, &1).await.expect("there is room"));
        }
        for job in jobs {
            assert_eq!(job.await, Ok(1));
        }
    });
    start.elapsed()
}

fn echo(suite: &mut Suite, host: &Host) {
    let id = "pools/process/echo_1mib";
    if !suite.wants(id) {
        return;
    }
    let (ours, peer) = (pool(host, WORKERS), procspawn::Pool::new(WORKERS).expect("a pool"));
    let payload = ByteBuf::from(vec![7; 1 << 20]);
    suite
        .group(id)
        .ours(|n| {
            let start = Instant::now();
            block_on(async {
                let mut jobs = VecDeque::new();
                let (mut sent, mut done) = (0, 0);
                while done < n {
                    // One for each worker to do, and one for each to go on with.
                    if sent < n && jobs.len() < 2 * WORKERS {
                        jobs.push_back(ours.submit(ECHO, &payload).await.expect("there is room"));
                        sent += 1;
                    } else if let Some(job) = jobs.pop_front() {
                        assert_eq!(job.await.expect("an echo").len(), payload.len());
                        done += 1;
                    }
                }
            });
            start.elapsed()
        })
        .peer("procspawn", |n| {
            let start = Instant::now();
            let mut done = 0;
            // More at once than it has workers would lock it up: it writes a call before it reads an answer.
            while done < n {
                let jobs: Vec<_> = (0..WORKERS as u64)
                    .map(|_| procspawn::spawn!(in peer, (payload.clone() => bytes) || bytes))
                    .collect();
                for job in jobs {
                    assert_eq!(job.join().expect("an echo").len(), payload.len());
                    done += 1;
                }
            }
            start.elapsed()
        })
        .at_most_of("procspawn", 1.0 / 1.3)
        .operations(20)
        .run();
}
