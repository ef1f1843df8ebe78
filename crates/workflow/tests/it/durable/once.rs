//! Tasks that must not run twice: their start is kept before it happens.

use std::sync::Arc;

use tidegate_workflow::journal::{Durability, Ledger, MemoryStore, scan};
use tidegate_workflow::{Outcome, Task, TaskError, Waiting};

use super::{Effects, LEVELS, endless, graph, history, orchestrator, outcomes, run, settled};

#[tokio::test]
async fn what_commits_before_it_starts_is_not_repeated_without_being_asked() {
    for level in LEVELS {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let tasks = |hangs: bool| {
            let pay = if hangs { endless("pay") } else { effects.task("pay") };
            [pay.commit_before_start(), effects.task("ship").needs(["pay"]), effects.task("else")]
        };
        let dying = orchestrator();
        let running = dying.start(graph(tasks(true)).journal(history(&store), level));
        let running = running.expect("it starts");
        while running.why("pay").await != Some(Waiting::Running) {
            tokio::task::yield_now().await;
        }
        settled(&store, "else").await;
        drop((dying, running));
        effects.take();
        let doubtful = run(graph(tasks(false)), &store, level).await;
        let pay = Arc::from("pay");
        assert_eq!(
            outcomes(&doubtful),
            [
                ("pay", &Outcome::Unknown),
                ("ship", &Outcome::Skipped { because: pay }),
                ("else", &Outcome::Succeeded)
            ],
            "{level:?}"
        );
        assert!(effects.take().is_empty());
        let mut decided = history(&store);
        assert!(decided.task("pay").expect("known").is_doubtful());
        decided.done("pay", &3_usize).expect("it is there");
        let finished = orchestrator().run(graph(tasks(false)).journal(decided, level)).await;
        assert!(finished.expect("it runs").is_success());
        assert_eq!(effects.take(), ["r/ship/1"]);
    }
}

#[tokio::test]
async fn the_start_of_what_commits_first_is_in_the_journal_when_it_runs() {
    for level in LEVELS {
        let store = MemoryStore::default();
        let seen = store.clone();
        let task = Task::durable("once", move |_| {
            let bytes = if level == Durability::PowerLoss { seen.synced() } else { seen.bytes() };
            let ledger = Ledger::of(scan(&bytes).expect("a journal").records);
            let begun = ledger.tasks.first().is_some_and(|task| task.is_doubtful());
            std::future::ready(Ok::<_, TaskError>(begun))
        });
        let finished = run(graph([task.commit_before_start()]), &store, level).await;
        assert!(*finished.output::<bool>("once").expect("it ran"), "{level:?}");
    }
}
