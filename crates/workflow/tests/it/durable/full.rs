//! A disk that is full, under a real file.

use std::path::Path;
use std::process::Command;

use tidegate_workflow::journal::{Durability, FileStore, History, Ledger, Outcome as Kept, scan};
use tidegate_workflow::{Durable, EventKind, Graph, Next, StartError, Task, TaskError};

use super::{Effects, LEVELS, graph, orchestrator};

/// Says where the journal is, in a process whose files cannot grow beyond 32 KiB.
const JOURNAL: &str = "TIDEGATE_FULL_DISK_JOURNAL";

const TASKS: usize = 300;

/// Tasks one after another, more than there is room for.
fn tasks(effects: &Effects) -> Graph<Durable> {
    graph((0..TASKS).map(|at| {
        let effects = effects.clone();
        let task = Task::durable(format!("task-{at}"), move |_| {
            effects.0.lock().push(at.to_string());
            std::future::ready(Ok::<_, TaskError>("x".repeat(200)))
        });
        task.needs(at.checked_sub(1).map(|before| format!("task-{before}")))
    }))
}

fn history(journal: &Path) -> History {
    let mut history = History::open(FileStore::open(journal).expect("it opens")).expect("sound");
    history.begin("r", "");
    history
}

/// In the process with the full disk: whatever was told is there.
async fn stops(journal: &Path, level: Durability) {
    let orchestrator = orchestrator();
    let mut events = orchestrator.events();
    let graph = tasks(&Effects::default()).journal(history(journal), level);
    let stopped = orchestrator.run(graph).await;
    let Err(StartError::Journal(why)) = stopped else { panic!("{level:?}: it has no end") };
    assert!(why.to_string().starts_with("the journal's store failed"), "{why}");
    let kept =
        Ledger::of(scan(&std::fs::read(journal).expect("it is there")).expect("one").records);
    let mut told = 0;
    while let Some(Next::Event(event)) = events.try_next() {
        if let EventKind::TaskEnded { task, outcome, .. } = event.kind
            && outcome.is_success()
        {
            let entry = kept.tasks.iter().find(|entry| entry.id == task).expect("it is known");
            assert_eq!(entry.outcome, Some(Kept::Done), "{task}");
            told += 1;
        }
    }
    assert!(told > 9, "only {told} had room");
}

#[tokio::test]
async fn on_a_full_disk_a_run_stops_and_what_was_told_is_not_run_again() {
    if let Some(journal) = std::env::var_os(JOURNAL) {
        let at = usize::from(journal.to_string_lossy().ends_with("PowerLoss"));
        return stops(Path::new(&journal), LEVELS[at]).await;
    }
    for level in LEVELS {
        let name = format!("tidegate-full-{}-{level:?}", std::process::id());
        let journal = std::env::temp_dir().join(name);
        let limited = "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"";
        let test = "durable::full::on_a_full_disk_a_run_stops_and_what_was_told_is_not_run_again";
        let mut again = Command::new("sh");
        again.arg("-c").arg(limited).arg(std::env::current_exe().expect("it runs"));
        again.args(["--exact", test]).env(JOURNAL, &journal);
        let ended = again.output().expect("sh is there");
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && said.contains("1 passed"), "{said}");

        let (effects, past) = (Effects::default(), history(&journal));
        let known = past.ledger().tasks.iter();
        let done = known.filter(|entry| entry.outcome == Some(Kept::Done)).count();
        let finished = orchestrator().run(tasks(&effects).journal(past, level)).await;
        assert!(finished.expect("there is room now").is_success());
        assert_eq!(effects.take().len(), TASKS - done, "{level:?}");
        std::fs::remove_file(journal).expect("it is there");
    }
}
