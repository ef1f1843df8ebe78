use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_workflow::journal::FileStore;
use tokio::sync::mpsc;

use super::*;
use crate::run_dir::RunDir;
use crate::{file, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_a_run_has_begun_is_told_before_the_items_of_its_tasks() {
    let place = std::env::temp_dir().join(format!("tidegate-engine-{}", std::process::id()));
    let flow = "tasks: {each: {foreach: [1, 2], run: 'true'}, touch: {run: touch touched}}";
    let workflow = file::parse(flow).expect("it is sound");
    let settings = settings::of(None, Some(2)).expect("they are sound");
    let dir = RunDir::create(&place).expect("a folder");
    let store = FileStore::open(dir.path.join("journal")).expect("it opens");
    let mut history = History::open(store).expect("it is new");
    history.begin(&dir.id, "");
    let past = Past::of(&mut history, &workflow).expect("there is none");
    let file = Path::new("flow.yaml");
    let job = Job::new(workflow, settings, file, &[], dir, place.clone()).expect("no environment");
    let (events, mut told) = mpsc::unbounded_channel();
    let (first, touched) = (events.clone(), place.join("touched"));
    let began = move || {
        // The items are computed before this task starts. They wait to be told, however long this takes.
        let late = Instant::now() + Duration::from_secs(60);
        while !touched.exists() {
            assert!(Instant::now() < late, "it does not start");
            std::thread::yield_now();
        }
        let (run, file, dir) = Default::default();
        let _ = first.send(Event::RunStarted { run, file, name: None, tasks: 2, dir });
    };
    let done = execute(Arc::new(job), past, history, events, began).await;
    let (summary, _) = done.expect("it runs");
    assert_eq!(summary.counts.ok, 3);
    let mut order = Vec::new();
    while let Some(event) = told.recv().await {
        match event {
            Event::RunStarted { .. } => order.push("started"),
            Event::TaskExpanded { .. } => order.push("expanded"),
            _ => {}
        }
    }
    assert_eq!(order, ["started", "expanded"]);
    let _ = std::fs::remove_dir_all(place);
}
