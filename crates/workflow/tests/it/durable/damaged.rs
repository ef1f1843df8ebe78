//! Journals that are cut or damaged.

use tidegate_workflow::Graph;
use tidegate_workflow::journal::{Durability, Ledger, MemoryStore, Outcome as Kept, scan};

use super::{Effects, history, ledger, orchestrator, run};

/// Goes on from damaged journals of one run: what they still tell as done is not run, everything else is.
async fn goes_on_from(damaged: impl Iterator<Item = Vec<u8>>, tasks: usize) {
    let orchestrator = orchestrator();
    let ids: Vec<String> = (0..tasks).map(|at| format!("task-{at}")).collect();
    for bytes in damaged {
        let (store, effects) = (MemoryStore::default(), Effects::default());
        let told = scan(&bytes).map(|scan| Ledger::of(scan.records)).unwrap_or_default();
        store.replace(bytes);
        let mut graph = Graph::durable();
        for (at, id) in ids.iter().enumerate() {
            let needs = at.checked_sub(3).map(|need| ids[need].clone());
            graph.add(effects.task(id).needs(needs)).expect("ids differ");
        }
        let graph = graph.journal(history(&store), Durability::ProcessCrash);
        assert!(orchestrator.run(graph).await.expect("it runs").is_success());
        let done = told.tasks.iter().filter(|task| task.outcome.is_some()).count();
        assert_eq!(effects.take().len(), tasks - done);
        let after = ledger(&store);
        assert!(after.tasks.iter().all(|task| task.outcome == Some(Kept::Done)));
    }
}

async fn whole_journal(tasks: usize) -> Vec<u8> {
    let (store, effects) = (MemoryStore::default(), Effects::default());
    let mut graph = Graph::durable();
    for at in 0..tasks {
        let needs = at.checked_sub(3).map(|need| format!("task-{need}"));
        graph.add(effects.task(&format!("task-{at}")).needs(needs)).expect("ids differ");
    }
    run(graph, &store, Durability::ProcessCrash).await;
    store.bytes()
}

/// Every place of a damage, or every so manieth in a short run of the tests.
fn step(short: usize) -> usize {
    if std::env::var_os("TIDEGATE_NIGHTLY").is_some() { 1 } else { short }
}

#[tokio::test]
async fn a_run_goes_on_from_a_journal_that_is_cut_at_any_byte() {
    let whole = whole_journal(80).await;
    assert!(whole.len() > 4096 + 16, "{} bytes", whole.len());
    let cuts = (whole.len() - 4096..whole.len()).step_by(step(13));
    goes_on_from(cuts.map(|cut| whole[..cut].to_vec()), 80).await;
}

#[tokio::test]
async fn a_run_goes_on_from_a_journal_with_any_bit_flipped() {
    let whole = whole_journal(4).await;
    // Behind the header, which is told as somebody else's file when it is damaged.
    let bits = (16 * 8..whole.len() * 8).step_by(step(3));
    let flipped = bits.map(|bit| {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    goes_on_from(flipped, 4).await;
}
