use std::time::SystemTime;

use super::*;
use crate::durable::to_bytes;
use crate::graph::Graph;
use crate::journal::{Journal, MemoryStore, Outcome as Kept, scan};
use crate::{Durable, TaskError};

/// A thousand seconds ago a run began; this is what its journal says.
fn history(records: impl IntoIterator<Item = Record>) -> History {
    History::open(kept(records)).expect("a journal")
}

fn kept(records: impl IntoIterator<Item = Record>) -> MemoryStore {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let since_1970_ms = u64::try_from(since.as_millis()).expect("not so late") - 1_000_000;
    let (run, description) = ("r".to_owned(), Vec::new());
    let begun = Record::RunStarted { run, description, since_1970_ms };
    let store = MemoryStore::default();
    let mut journal = Journal::open(store.clone()).expect("memory opens").journal;
    [begun].into_iter().chain(records).for_each(|record| {
        journal.append(&record).expect("small");
    });
    journal.commit(Durability::ProcessCrash).expect("memory holds");
    store
}

fn task(id: &str) -> Task<Durable> {
    Task::durable(id, async |_| Ok::<_, TaskError>(()))
}

fn graph(tasks: impl IntoIterator<Item = Task<Durable>>) -> Graph {
    let mut graph = Graph::durable();
    tasks.into_iter().for_each(|task| graph.add(task).expect("it is new"));
    graph.erase()
}

fn prepared(mut graph: Graph, history: History) -> Result<Box<Keeper>, StartError> {
    let link = Arc::new(Link::new(HashMap::new(), None));
    Keeper::prepare(&mut graph, history, Durability::ProcessCrash, RunId(0), &link)
}

/// The record by which this task of a graph is known.
fn added(graph: &Graph, node: u32) -> Record {
    let id = Arc::clone(&graph.parts.tasks[node].id);
    let needs = graph.parts.run.needs(node).iter().map(|need| need.task).collect();
    Record::TaskAdded { task: node, id, needs, version: version_at(graph, node), live: false }
}

fn failed(task: u32, at_ms: u64) -> Record {
    Record::AttemptFailed { task, attempt: 1, error: "no".to_owned(), took_us: 1, at_ms }
}

fn ended(task: u32, outcome: Kept, at_ms: u64) -> Record {
    let output = to_bytes(&()).expect("nothing is easily kept");
    Record::Settled { task, attempt: 1, outcome, output, took_us: 1, at_ms }
}

#[test]
fn an_agents_failures_count_since_it_last_did_well_and_from_when_the_last_one_was() {
    let agents = ["bad", "well", "again"];
    let graph = graph(agents.map(|agent| task(agent).agent(agent)));
    let known: Vec<Record> = (0..3).map(|node| added(&graph, node)).collect();
    let attempts =
        (0..3).map(|task| Record::AttemptStarted { task, attempt: 1, once: false, at_ms: 1 });
    let past = [
        failed(0, 100_000),
        failed(0, 900_000),
        failed(1, 100_000),
        ended(1, Kept::Done, 200_000),
        failed(2, 100_000),
        ended(2, Kept::Done, 200_000),
        ended(2, Kept::TimedOut, 800_000),
    ];
    let known = known.into_iter().chain(attempts).chain(past);
    let keeper = prepared(graph, history(known)).expect("nothing has changed");
    let mut ill: Vec<(&str, u32, u64)> = keeper
        .ill
        .iter()
        .map(|(agent, failures, ago)| (&**agent, *failures, ago.as_secs() / 50))
        .collect();
    ill.sort_unstable();
    assert_eq!(ill, [("again", 1, 4), ("bad", 2, 2)], "two and four times fifty seconds ago");
}

#[test]
fn needs_that_are_named_in_another_order_are_the_same() {
    let of =
        |needs: &'static [&str]| graph([task("a"), task("b"), task("c").needs(needs.to_vec())]);
    let known = |graph: &Graph| (0..3).map(|node| added(graph, node)).collect::<Vec<_>>();
    let first = known(&of(&["a", "b"]));
    assert!(prepared(of(&["b", "a"]), history(first.clone())).is_ok());
    let Err(StartError::Changed { tasks }) = prepared(of(&["a"]), history(first)) else {
        panic!("it needs less")
    };
    assert_eq!(tasks, ["c"]);
}

#[test]
fn on_which_end_of_its_need_a_task_goes_on_is_a_part_of_it() {
    let of = |how: u32| {
        let after = match how {
            0 => task("b").needs(["a"]),
            1 => task("b").wants(["a"]),
            _ => task("b").on_failure(["a"]),
        };
        graph([task("a"), after])
    };
    for (before, now) in [(0, 1), (1, 2), (2, 0)] {
        let was = of(before);
        let known = [added(&was, 0), added(&was, 1)];
        let Err(StartError::Changed { tasks }) = prepared(of(now), history(known)) else {
            panic!("{before} {now}")
        };
        assert_eq!(tasks, ["b"]);
    }
}

#[test]
fn new_tasks_among_changed_ones_have_the_numbers_that_follow() {
    let was = graph([task("a"), task("b")]);
    let mut past = history([added(&was, 0), added(&was, 1)]);
    past.accept_changes();
    let now = graph([task("new"), task("b").version(7), task("newer"), task("a").version(7)]);
    let keeper = prepared(now, past).expect("the changes are accepted");
    assert_eq!(keeper.numbers, [2, 1, 3, 0]);
}

#[test]
fn each_attempt_asks_for_the_tasks_within_its_work_from_the_first_on() {
    let graph = || graph([task("a")]);
    let (item, at_ms) = ("item".to_owned(), 1);
    let done =
        Record::ItemDone { task: 0, item, nth: 0, version: 7, cost: 0, output: vec![1], at_ms };
    let ends: [fn(&mut Keeper); 3] = [
        |keeper| keeper.failed(0, 1, "no".to_owned(), Duration::ZERO, Duration::ZERO),
        |keeper| {
            let (cancelled, zero) = (Kept::Cancelled, Duration::ZERO);
            keeper.settled(0, 1, cancelled, Vec::new(), zero, zero).expect("small");
        },
        |keeper| keeper.reset(0),
    ];
    for end in ends {
        let past = history([added(&graph(), 0), done.clone()]);
        let mut keeper = prepared(graph(), past).expect("nothing has changed");
        keeper.started(0, 1, false, Duration::ZERO);
        let asks = |keeper: &mut Keeper, version| match keeper.item(0, &"item".into(), version) {
            Known::Done(output) => Err(output),
            Known::New(nth) => Ok(nth),
        };
        assert_eq!(asks(&mut keeper, 7), Err(vec![1]));
        assert_eq!(asks(&mut keeper, 7), Ok(1));
        end(&mut keeper);
        keeper.started(0, 2, false, Duration::ZERO);
        assert_eq!(asks(&mut keeper, 7), Ok(0), "what the last attempt had done is done anew");
    }
}

#[test]
fn what_is_submitted_again_is_over_if_it_is_the_same_and_has_put_nothing_in() {
    let new = |version| task("new").version(version).erase();
    let as_it_was = version(new(1).extras.as_deref(), [].into_iter());
    for (now, plan, is_known) in
        [(1, None, true), (2, None, false), (1, Some(b"plan".to_vec()), false)]
    {
        let graph = graph([task("by")]);
        let submitted = Record::TaskAdded {
            task: 1,
            id: "new".into(),
            needs: Vec::new(),
            version: as_it_was,
            live: true,
        };
        let planned = plan.map(|plan| Record::Planned { by: Some(1), plan });
        let records = [added(&graph, 0), submitted, ended(1, Kept::TimedOut, 5)];
        let store = kept(records.into_iter().chain(planned));
        let past = History::open(store.clone()).expect("a journal");
        let mut keeper = prepared(graph, past).expect("nothing has changed");
        let restored =
            keeper.submitted(1, Some(0), &new(now), [].into_iter(), &[]).expect("it is kept");
        assert_eq!(restored.outcome.is_some(), is_known, "{now}");
        keeper.flush().expect("memory holds");
        // What the next process finds is what this one goes by.
        let ledger = Ledger::of(scan(&store.bytes()).expect("a journal").records);
        let entry = &ledger.tasks[1];
        assert_eq!(entry.outcome.is_some(), is_known, "{now}");
        assert_eq!((entry.plan.as_ref(), entry.by), (None, (!is_known).then_some(0)));
        assert_eq!(entry.version, version(new(now).extras.as_deref(), [].into_iter()));
    }
}
