use crate::{Graph, Orchestrator, Task, TaskError};

#[tokio::test]
async fn a_report_is_put_together_once_when_it_is_first_asked_for() {
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    for fails in [false, true] {
        let mut graph = Graph::new();
        let ended = move || if fails { Err(TaskError::fatal("no")) } else { Ok(7_u32) };
        let work = move |_| std::future::ready(ended());
        graph.add(Task::new("task", work)).expect("it is new");
        let finished = orchestrator.run(graph).await.expect("every need is there");
        assert_eq!(finished.is_success(), !fails);
        assert_eq!(finished.output::<u32>("task").is_ok(), !fails);
        assert_eq!(finished.first_failure().is_some(), fails);
        assert!(finished.report.get().is_none(), "nobody has asked");
        let tasks = finished.report().tasks.as_ptr();
        assert_eq!(finished.report().tasks.as_ptr(), tasks);
        let report = finished.into_report();
        assert_eq!(report.tasks.as_ptr(), tasks, "it is the same one");
        assert_eq!(report.tasks[0].outcome.is_success(), !fails);
    }
}
