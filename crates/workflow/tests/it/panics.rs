//! Whatever of the user's panics, and wherever: it is told where it belongs, and the engine goes on.

use std::fmt;
use std::panic::panic_any;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_workflow::executor::{Call, Executing, Executor, Named, Payload};
use tidegate_workflow::{
    Agent, Builder, Context, Graph, Law, Orchestrator, Outcome, Report, Running, Sample, Stopped,
    SubmitError, Task, TaskError, Waiting,
};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::{echo, until_stopped};

/// Panics when it is dropped.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

/// Runs these tasks, and another graph under the same orchestrator afterwards.
async fn survives(builder: Builder, tasks: impl IntoIterator<Item = Task>) -> Report {
    let orchestrator = builder.build().expect("the settings are sound");
    let mut graph = Graph::new();
    tasks.into_iter().for_each(|task| graph.add(task).expect("no cycle"));
    let report = orchestrator.run(graph).await.expect("it runs").into_report();
    let mut next = Graph::new();
    next.add(echo("next")).expect("no cycle");
    assert!(orchestrator.run(next).await.expect("it goes on").is_success());
    orchestrator.shutdown().await;
    report
}

fn failed(error: &str) -> Outcome {
    Outcome::Failed { error: error.to_owned() }
}

#[tokio::test]
async fn an_error_whose_text_panics_fails_its_task_alone() {
    #[derive(Debug)]
    struct Mute;
    impl fmt::Display for Mute {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no words")
        }
    }
    impl std::error::Error for Mute {}
    let report =
        survives(Orchestrator::builder(), [Task::new("a", async |_| Err::<(), _>(Mute))]).await;
    assert_eq!(report.tasks[0].outcome, failed("failed with an error whose text panicked"));
}

#[tokio::test]
async fn an_error_whose_drop_panics_is_told_all_the_same() {
    #[derive(Debug)]
    struct Heavy(Bomb);
    impl fmt::Display for Heavy {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("heavy")
        }
    }
    impl std::error::Error for Heavy {}
    let work = async |_| Err::<(), _>(Heavy(Bomb));
    let report = survives(Orchestrator::builder(), [Task::new("a", work)]).await;
    assert_eq!(report.tasks[0].outcome, failed("heavy"));
}

#[tokio::test]
async fn a_panic_whose_payload_panics_when_dropped_fails_its_task_alone() {
    let work = |_| async { panic_any(Bomb) };
    let task = Task::new("a", move |cx| {
        let work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work(cx));
        async move {
            work.await;
            Ok::<(), TaskError>(())
        }
    });
    let report = survives(Orchestrator::builder(), [task]).await;
    assert_eq!(report.tasks[0].outcome, failed("panicked: a value that is no text"));
}

#[tokio::test(start_paused = true)]
async fn work_whose_drop_panics_ends_with_its_grace_period() {
    let work = async |_| {
        let _bomb = Bomb;
        std::future::pending::<()>().await;
        Ok::<(), TaskError>(())
    };
    let second = Duration::from_secs(1);
    let task = Task::new("a", work).timeout(second).grace(second);
    let report = survives(Orchestrator::builder(), [task]).await;
    assert_eq!((&report.tasks[0].outcome, report.makespan), (&Outcome::TimedOut, 2 * second));
}

#[tokio::test]
async fn what_closures_have_captured_may_panic_when_it_is_dropped() {
    let (work, condition) = (Bomb, Bomb);
    let done = Task::new("done", move |_| {
        let _captured = &work;
        async { Ok::<(), TaskError>(()) }
    });
    let asked = echo("asked").when(move |_| {
        let _captured = &condition;
        true
    });
    let never = Bomb;
    let skipped = Task::new("skipped", move |_| {
        let _captured = &never;
        async { Ok::<(), TaskError>(()) }
    });
    let fails = Task::new("fails", async |_| Err::<(), _>("no"));
    let tasks = [done, asked, fails, skipped.needs(["fails"])];
    let report = survives(Orchestrator::builder(), tasks).await;
    assert_eq!(report.counts()["succeeded"], 2);
    assert_eq!(report.counts()["skipped"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_law_that_panics_leaves_the_limit_as_it_is() {
    #[derive(Debug)]
    struct Clueless;
    impl Law for Clueless {
        fn next(&mut self, _: usize, _: &Sample) -> usize {
            panic!("no idea")
        }
    }
    let second = Duration::from_secs(1);
    let builder = Orchestrator::builder()
        .limit(3)
        .law(Clueless, second, tidegate_workflow::Reading::default)
        .agent("model", Agent::new(2).adaptive(Clueless, second));
    let work = async |_| {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok::<(), TaskError>(())
    };
    let tasks = (0..4).map(|at| Task::new(format!("{at}"), work).agent("model"));
    let report = survives(builder, tasks).await;
    assert_eq!((report.peak, report.counts()["succeeded"]), (2, 4));
}

#[tokio::test]
async fn an_executor_that_panics_fails_its_task_alone() {
    #[derive(Debug)]
    struct Broken;
    impl Executor for Broken {
        fn execute(&self, call: Call, _: Payload) -> Executing {
            if &*call.task == "at once" {
                panic!("no connection");
            }
            Box::pin(async { panic!("connection lost") })
        }
    }
    const ANY: Named<(), ()> = Named::new("any");
    let unmade = |_: &Context| -> Result<(), TaskError> { panic!("no input") };
    let tasks = [
        Task::named("at once", ANY, |_| Ok(())),
        Task::named("later", ANY, |_| Ok(())),
        Task::named("before", ANY, unmade),
    ];
    let report = survives(Orchestrator::builder().executor(Broken), tasks).await;
    let outcomes: Vec<_> = report.tasks.iter().map(|task| task.outcome.clone()).collect();
    let expected = ["panicked: no connection", "panicked: connection lost", "panicked: no input"];
    assert_eq!(outcomes, expected.map(failed));
}

/// A run of three tasks: two have returned what panics, and the third waits for its end.
async fn with_bombs(orchestrator: &Orchestrator) -> Running {
    let mut graph = Graph::new();
    for id in ["a", "b"] {
        graph.add(Task::new(id, async |_| Ok::<_, TaskError>(Bomb))).expect("no cycle");
    }
    graph.add(until_stopped("hold").needs(["a", "b"])).expect("no cycle");
    let running = orchestrator.start(graph).expect("every need is there");
    while running.why("hold").await != Some(Waiting::Running) {}
    running
}

#[tokio::test]
async fn outputs_that_nobody_takes_may_all_panic_when_an_orchestrator_is_dropped() {
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    let running = with_bombs(&orchestrator).await;
    drop(orchestrator);
    assert!(running.wait().await.is_err());
}

#[tokio::test]
async fn outputs_that_nobody_takes_may_all_panic_when_their_owner_goes() {
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    drop(with_bombs(&orchestrator).await);
    orchestrator.wait().await.expect("the run is over");
    let running = with_bombs(&orchestrator).await;
    running.cancel();
    drop(running.wait().await.expect("it is over"));
}

/// When it is dropped, changes the limit and looks whether that has happened at once; then it panics.
struct Meddler(Arc<Orchestrator>, Arc<Mutex<Vec<bool>>>);

impl Drop for Meddler {
    fn drop(&mut self) {
        let limit = self.0.limit() + 1;
        self.0.set_limit(limit);
        self.1.lock().push(self.0.limit() == limit);
        panic!("in drop");
    }
}

#[tokio::test]
async fn what_is_refused_is_dropped_when_the_engine_is_free_and_may_panic() {
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    let (orchestrator, seen) = (Arc::new(orchestrator), Arc::default());
    let task = |id: &str| {
        let meddler = Meddler(Arc::clone(&orchestrator), Arc::clone(&seen));
        Task::new(id, move |_| {
            let _captured = &meddler;
            async { Ok::<(), TaskError>(()) }
        })
    };
    let running = {
        let mut graph = Graph::new();
        graph.add(until_stopped("hold")).expect("no cycle");
        orchestrator.start(graph).expect("every need is there")
    };
    while running.why("hold").await != Some(Waiting::Running) {}
    let duplicate = running.submit_all([task("hold"), task("rest")], &[]).await;
    assert_eq!(duplicate, Err(SubmitError::Duplicate { id: "hold".into() }));
    let late = running.submit(task("late"), &["hold"]).await;
    assert_eq!(late, Err(SubmitError::Late { id: "hold".into() }));
    let too_much = running.submit(task("much").uses("gold", 1), &[]).await;
    assert!(matches!(too_much, Err(SubmitError::TooMuch(_))));
    let run = (*running).clone();
    running.cancel();
    assert_eq!(running.wait().await.expect("it ends").report().counts()["cancelled"], 1);
    assert!(run.submit(task("after"), &[]).await.is_err());
    assert_eq!(*seen.lock(), [true; 5]);
    orchestrator.shutdown().await;
    assert!(run.submit(task("at last"), &[]).await.is_err());
}

/// Panics when somebody wakes it.
struct Rash;

impl Wake for Rash {
    fn wake(self: Arc<Self>) {
        panic!("in wake");
    }
}

#[tokio::test]
async fn an_engine_that_breaks_says_so_to_whoever_waits() {
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    let other = with_bombs(&orchestrator).await;
    let open = Arc::new(Notify::new());
    let gate = Arc::clone(&open);
    let mut graph = Graph::new();
    let task = Task::new("ends", move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            Ok::<(), TaskError>(())
        }
    });
    graph.add(task).expect("no cycle");
    let running = orchestrator.start(graph).expect("every need is there");
    let mut waits = Box::pin(running.wait());
    let rash = Waker::from(Arc::new(Rash));
    assert!(waits.as_mut().poll(&mut std::task::Context::from_waker(&rash)).is_pending());
    open.notify_one();
    let second = Duration::from_secs(9);
    let lost = timeout(second, other.wait()).await.expect("it hears that there is no answer");
    assert_eq!(lost.err(), Some(Stopped::Dropped));
    let broke = timeout(second, orchestrator.wait()).await.expect("nothing is live");
    assert_eq!(broke.expect_err("it broke").to_string(), "task `engine` failed: panicked: in wake");
    assert!(orchestrator.go("more", async |_| Ok::<(), TaskError>(())).is_err());
    timeout(second, orchestrator.shutdown()).await.expect("nothing is live");
}
