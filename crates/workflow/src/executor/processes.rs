//! Functions by name, run in worker processes.

use std::sync::{Arc, OnceLock};

use tidegate_pools::process::{self, Function, Functions, ProcessPool};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::call::{Call, read_outcome};
use super::payload::Payload;
use super::registry::Registry;
use super::{Executing, Executor};
use crate::task::TaskError;

/// What workers serve. A function of a process pool captures nothing, and is found by its name in another process.
static SERVED: OnceLock<Registry> = OnceLock::new();

const SERVE: Function<String, String, String> = Function::new("tidegate-workflow", serve);

/// Runs named functions in the workers of a [`ProcessPool`].
///
/// An attempt that is asked to stop, or given up, ends with its worker, at once: no loop and no system call keeps it. One that
/// crashes, exits or eats all memory fails alone, and says how. Signs of life do not cross: an
/// [`idle_timeout`](crate::Task::idle_timeout) would end every attempt. The time in the pool's queue counts as the attempt's;
/// as many workers as the agent may have tasks at once keep it short.
///
/// # Examples
/// ```standalone_crate
/// use tidegate_workflow::executor::{Named, Processes, Registry};
/// use tidegate_workflow::pools::process::{ProcessPool, init};
/// use tidegate_workflow::{Graph, Orchestrator};
///
/// const SUM: Named<Vec<u64>, u64> = Named::new("sum");
/// const CRASH: Named<(), ()> = Named::new("crash");
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let registry = Registry::new()
///         .with(SUM, async |numbers: Vec<u64>| Ok(numbers.iter().sum()))
///         .with(CRASH, async |()| std::process::abort());
///     // First: in a worker this call serves and never returns.
///     let host = init(Processes::functions(registry));
///
///     let runtime = tokio::runtime::Runtime::new()?;
///     runtime.block_on(async {
///         let pool = ProcessPool::builder(&host).workers(1).build()?;
///         let orchestrator = Orchestrator::builder().executor(Processes::new(pool)).build()?;
///         let mut graph = Graph::new();
///         graph.task("crash").call_with(CRASH, ())?;
///         let sum = graph.task("sum").call_with(SUM, vec![1, 2, 3])?;
///         let finished = orchestrator.run(graph).await?;
///         assert_eq!(*finished.get(&sum)?, 6);
///         assert_eq!(finished.report().counts()["failed"], 1);
///         Ok(())
///     })
/// }
/// ```
#[derive(Debug)]
pub struct Processes(Arc<ProcessPool>);

impl Processes {
    /// What the workers of this program serve, for [`init`](process::init).
    ///
    /// # Panics
    /// When it is called a second time.
    pub fn functions(registry: Registry) -> Functions {
        let first = SERVED.set(registry);
        assert!(first.is_ok(), "a program has one registry for its workers");
        Functions::new().with(SERVE)
    }

    /// Runs what is named in this pool, whose host was made of [`functions`](Self::functions).
    pub fn new(pool: ProcessPool) -> Self {
        Self(Arc::new(pool))
    }
}

impl Executor for Processes {
    fn execute(&self, call: Call, input: Payload) -> Executing {
        let pool = Arc::clone(&self.0);
        Box::pin(async move {
            let text = call.encode(&input)?;
            drop(input);
            // Dropping the job ends its worker.
            let outcome = tokio::select! {
                outcome = pool.run(SERVE, &text) => outcome,
                () = call.token.cancelled() => return Err(TaskError::from("stopped, its worker ended")),
            };
            match outcome {
                Ok(outcome) => read_outcome(&outcome),
                Err(error) => Err(error.into()),
            }
        })
    }
}

/// Runs one call in a worker, which has a runtime of its own for the functions that are async.
fn serve(call: String, _: &process::Context<'_>) -> Result<String, String> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let registry = SERVED.get().ok_or("this program serves no functions")?;
    let runtime = match RUNTIME.get() {
        Some(runtime) => runtime,
        None => {
            let new = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let new = new.map_err(|why| format!("no runtime in a worker: {why}"))?;
            RUNTIME.get_or_init(|| new)
        }
    };
    // Nobody cancels it: an attempt that is asked to stop ends with the worker.
    Ok(runtime.block_on(registry.serve(&call, CancellationToken::new())))
}
