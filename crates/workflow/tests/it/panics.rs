//! Whatever of the user's panics, and wherever: it is told where it belongs, and the engine goes on.

use std::fmt;
use std::panic::panic_any;
use std::time::Duration;

use tidegate_workflow::executor::{Call, Executing, Executor, Named, Payload};
use tidegate_workflow::{
    Agent, Builder, Context, Graph, Law, Orchestrator, Outcome, Report, Sample, Task, TaskError,
};

use crate::{echo, until_stopped};

/// Panics when it is dropped.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("in drop");
        }
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
    struct Rash;
    impl Law for Rash {
        fn next(&mut self, _: usize, _: &Sample) -> usize {
            panic!("no idea")
        }
    }
    let second = Duration::from_secs(1);
    let builder = Orchestrator::builder()
        .limit(3)
        .law(Rash, second, tidegate_workflow::Reading::default)
        .agent("model", Agent::new(2).adaptive(Rash, second));
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

#[tokio::test]
async fn outputs_that_nobody_takes_may_panic_when_an_orchestrator_is_dropped() {
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    let mut graph = Graph::new();
    graph.add(Task::new("bomb", async |_| Ok::<_, TaskError>(Bomb))).expect("no cycle");
    graph.add(until_stopped("hold").needs(["bomb"])).expect("no cycle");
    let running = orchestrator.start(graph).expect("every need is there");
    while running.why("hold").await != Some(tidegate_workflow::Waiting::Running) {}
    drop(orchestrator);
    assert!(running.wait().await.is_err());
}
