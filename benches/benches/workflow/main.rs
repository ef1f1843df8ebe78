//! Groups of `tidegate-workflow`, beside a hand-written `JoinSet` loop, dagrs, dagx and `async_dag`.
//!
//! Tasks do nothing, so that what is timed is the scheduler: building the graph and running it. Ours runs with
//! everything on: priorities, sixteen agents with limits, time-outs, retries, cancellation, outputs handed on, string ids
//! and a reader of the event stream. The `JoinSet` loop has none of that, or all of it written by hand; the peers run with what they have. Python's stand in where they are installed.

mod by_hand;
mod contenders;
mod durable;
mod memory;
mod shapes;
mod stores;

use std::time::Duration;

use by_hand::by_hand_run;
use contenders::{async_dag_run, dagrs_run, dagx_run, join_set_run, ours_run};
use shapes::Shape;
use tidegate_benches::{Python, Suite};
use tokio::runtime::{Builder, Runtime};

fn main() {
    let mut suite = Suite::from_args("workflow");
    let runtime = workers();
    let mut python = Python::if_installed("dask", "benches/workflow/in_python.py", &[]);
    for shape in [Shape::wide(10_000), Shape::chain(10_000), Shape::layered(10_000)] {
        compare(&mut suite, &runtime, &shape);
        if let Some(python) = &mut python {
            compare_with_python(&mut suite, &runtime, &shape, python);
        }
    }
    if python.is_none() {
        suite.remark(
            "workflow/python: left out; `cargo xtask peers workflow --python` has asyncio and Dask",
        );
    }
    if !suite.is_quick() {
        compare(&mut suite, &runtime, &Shape::wide(100_000));
    }
    growth(&mut suite, &runtime);
    memory::report(&mut suite, &runtime);
    durable::report(&mut suite, &runtime);
    suite.finish();
}

fn workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime")
}

/// Runs a measurement in a task of the runtime, where its workers are.
fn within<T: Send + 'static>(
    runtime: &Runtime,
    measure: impl Future<Output = T> + Send + 'static,
) -> T {
    runtime.block_on(async { tokio::spawn(measure).await.expect("the measurement ended") })
}

fn compare(suite: &mut Suite, runtime: &Runtime, shape: &Shape) {
    let tasks = shape.needs.len() as u64;
    let name = shape.name;
    suite
        .group(&format!("workflow/{name}/{}k", tasks / 1000))
        .operations(tasks)
        .ours(|_| within(runtime, ours_run(shape.clone())))
        .peer("JoinSet", |_| within(runtime, join_set_run(shape.clone())))
        .peer("JoinSet with all by hand", |_| within(runtime, by_hand_run(shape.clone())))
        .peer("dagrs", |_| within(runtime, dagrs_run(shape.clone())))
        .peer("dagx", |_| within(runtime, dagx_run(shape.clone())))
        .peer("async_dag", |_| runtime.block_on(async_dag_run(shape.clone())))
        .at_most_of("JoinSet", 1.5)
        .at_most_of("JoinSet with all by hand", 1.0)
        .at_most_of("dagrs", 1.0)
        .at_most_of("dagx", 1.0)
        .run();
}

/// Beside asyncio, all tasks at once, and Dask's threads: in rounds of their own, since these take seconds.
fn compare_with_python(suite: &mut Suite, runtime: &Runtime, shape: &Shape, python: &mut Python) {
    let tasks = shape.needs.len() as u64;
    let needs = serde_json::to_string(&shape.needs).expect("they are numbers");
    let python = std::cell::RefCell::new(python);
    let ask = |name: &str| python.borrow_mut().ask(&format!("{name} {needs}"));
    suite
        .group(&format!("workflow/python/{}/{}k", shape.name, tasks / 1000))
        .operations(tasks)
        .ours(|_| within(runtime, ours_run(shape.clone())))
        .peer("asyncio", |_| ask("asyncio"))
        .peer("Dask threads", |_| ask("dask"))
        .at_most(1.0)
        .run();
}

/// What a task costs in a large graph, beside what it costs in a small one.
fn growth(suite: &mut Suite, runtime: &Runtime) {
    let id = "workflow/growth/1M-over-10k";
    if !suite.wants(id) {
        return;
    }
    let each = |n: usize| {
        let took = within(runtime, ours_run(Shape::wide(n)));
        took.as_secs_f64() * 1e9 / n as f64
    };
    let small = (0..9).map(|_| each(10_000)).fold(f64::INFINITY, f64::min);
    let rounds: Vec<f64> = (0..3).map(|_| each(1_000_000) / small).collect();
    suite.figure(id, "ratio").ours(&rounds).at_most_value(1.5).report();
}

/// The time that a future takes, with what it needs to be built.
async fn timed(work: impl Future<Output = ()>) -> Duration {
    let start = std::time::Instant::now();
    work.await;
    start.elapsed()
}
