//! Planned runs: a plan, and what is put in for a failed step, is kept before anything of it starts.

mod again;

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tidegate_workflow::journal::{Durability, Journal, Ledger, MemoryStore, Record, scan};
use tidegate_workflow::planner::{
    Failure, NoPlan, Origin, Plan, Planner, Planning, Step, StepInputs, Workers,
};
use tidegate_workflow::{Finished, Outcome, Reach, StartError, TaskError};

use super::{LEVELS, history, ledger, orchestrator, settled};

type Log = Arc<Mutex<Vec<String>>>;

fn step(id: &str, agent: &str, instruction: &str, needs: &[&str]) -> Step {
    let needs = needs.iter().map(|need| (*need).to_owned()).collect();
    let [id, agent, instruction] = [id, agent, instruction].map(str::to_owned);
    Step { id, agent, instruction, needs, wants: Vec::new() }
}

fn plan(steps: impl IntoIterator<Item = Step>) -> Plan {
    Plan { steps: steps.into_iter().collect(), ..Plan::default() }
}

/// Plans a step that fails; in its place one that works and one that fails, too; in whose place one that works. Every plan
/// says something else in each process.
#[derive(Clone, Default)]
struct Moody {
    asked: Log,
    process: usize,
}

impl Planner for Moody {
    async fn plan(&self, goal: &str, _: &[String]) -> Result<Plan, NoPlan> {
        self.asked.lock().push(goal.to_owned());
        let mood = format!("plan of {}", self.process);
        let y = step("y", "says", &mood, &["x"]);
        Ok(plan([step("x", "fails", &mood, &[]), y, step("z", "says", &mood, &[])]))
    }

    async fn alternative(&self, failure: &Failure, _: &[String]) -> Result<Plan, NoPlan> {
        assert_eq!(failure.error, "out of order");
        self.asked.lock().push(failure.step.id.clone());
        let mood = format!("alternative of {}", self.process);
        let a = step("a", "says", &mood, &[]);
        let b = step("b", "fails", &mood, &["a"]);
        Ok(plan(if failure.depth == 0 { vec![a, b] } else { vec![a] }))
    }
}

/// `says` leaves its instruction behind and returns its id and inputs, `fails` fails.
fn workers(done: &Log) -> Workers {
    let done = Arc::clone(done);
    let says = move |step: Step, inputs: StepInputs| {
        done.lock().push(step.instruction);
        std::future::ready(Ok::<_, TaskError>(json!({ step.id: inputs })))
    };
    Workers::new()
        .with("says", says)
        .with("fails", async |_: Step, _: StepInputs| Err::<Value, _>("out of order"))
}

/// Runs the goal, or goes on with it: the planner of each process has its own mood.
async fn run(
    store: &MemoryStore,
    level: Durability,
    planner: Moody,
    workers: Workers,
) -> Result<(Finished, Origin), StartError> {
    let planning = Planning::new(planner, workers, "says", 2);
    let mut history = history(store);
    let outline = planning.outline_of(&mut history, "goal").await.expect("of this goal");
    let graph = planning.graph("goal", &outline.plan).expect("nothing is wrong with it");
    let finished = orchestrator().run(graph.journal(history, level)).await?;
    Ok((finished, outline.origin))
}

/// A journal that ends after so many of these records.
fn cut(records: &[Record]) -> MemoryStore {
    let store = MemoryStore::default();
    let mut journal = Journal::open(store.clone()).expect("memory opens").journal;
    records.iter().for_each(|record| journal.append(record).expect("small"));
    journal.commit(Durability::ProcessCrash).expect("memory holds");
    store
}

fn outcomes(finished: &Finished) -> Vec<(String, Outcome)> {
    let tasks = finished.report().tasks.iter();
    let mut outcomes: Vec<_> =
        tasks.map(|task| (task.id.to_string(), task.outcome.clone())).collect();
    outcomes.sort_by(|a, b| a.0.cmp(&b.0));
    outcomes
}

#[tokio::test]
async fn killed_at_any_record_a_planned_run_ends_as_one_that_nobody_killed() {
    let (store, asked, done) = (MemoryStore::default(), Log::default(), Log::default());
    let first = Moody { asked: Arc::clone(&asked), process: 1 };
    let (whole, origin) = run(&store, LEVELS[0], first, workers(&done)).await.expect("it runs");
    let result = json!({ "y": { "x": { "a": {} } } });
    assert_eq!(
        (&*whole.output::<Value>("y").expect("it was mended"), origin),
        (&result, Origin::Planner)
    );
    let questions = ["goal", "x", "b"];
    assert_eq!(*asked.lock(), questions);
    let records = scan(&store.bytes()).expect("a journal").records;
    let is_plan = |record: &&Record| matches!(record, Record::Planned { .. });
    assert_eq!(records.iter().filter(is_plan).count(), 3);
    for (at, level) in (0..=records.len()).zip(LEVELS.into_iter().cycle()) {
        let store = cut(&records[..at]);
        let (asked, done) = (Log::default(), Log::default());
        let next = Moody { asked: Arc::clone(&asked), process: 2 };
        let was_over: usize = ledger(&store).tasks.iter().filter(|task| task.is_final()).count();
        let resumed = run(&store, level, next, workers(&done)).await;
        let (resumed, origin) = resumed.unwrap_or_else(|why| panic!("after {at} records: {why}"));
        let known = records[..at].iter().filter(is_plan).count();
        assert_eq!(*asked.lock(), questions[known..], "after {at} records");
        assert_eq!(origin == Origin::Journal, known > 0);
        assert_eq!(outcomes(&resumed), outcomes(&whole), "after {at} records");
        assert_eq!(*resumed.output::<Value>("y").expect("it was mended"), result);
        // What the first process has planned is done as it has planned it.
        let moods = done.lock().clone();
        assert!(
            moods
                .iter()
                .all(|mood| !mood.starts_with("plan") || (known > 0) == mood.ends_with('1'))
        );
        let is_over = ledger(&store).tasks.iter().filter(|task| task.is_final()).count();
        assert_eq!(is_over, whole.report().tasks.len());
        assert!(moods.len() <= is_over - was_over, "nothing runs twice");
    }
}

#[tokio::test]
async fn a_plan_is_in_the_journal_when_the_first_of_its_steps_starts() {
    for level in LEVELS {
        let store = MemoryStore::default();
        let seen = store.clone();
        let says = move |step: Step, _: StepInputs| {
            let bytes = if level == Durability::PowerLoss { seen.synced() } else { seen.bytes() };
            let ledger = Ledger::of(scan(&bytes).expect("a journal").records);
            let of = |id: &str| ledger.tasks.iter().find(|task| *task.id == *id);
            let kept = match &*step.id {
                "a" => of("x (repair)").is_some_and(|repair| repair.plan.is_some()),
                _ => ledger.plan.is_some(),
            };
            std::future::ready(Ok::<_, TaskError>(json!(kept)))
        };
        let workers = Workers::new().with("says", says);
        let workers =
            workers.with("fails", async |_: Step, _: StepInputs| Err::<Value, _>("out of order"));
        let (finished, _) = run(&store, level, Moody::default(), workers).await.expect("it runs");
        for id in ["z", "x~a", "x~b~a"] {
            assert_eq!(
                *finished.output::<Value>(id).expect("it ran"),
                json!(true),
                "{id} {level:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_plan_of_one_step_is_in_the_journal_when_that_starts() {
    for level in LEVELS {
        let store = MemoryStore::default();
        let seen = store.clone();
        let says = move |_: Step, _: StepInputs| {
            let bytes = if level == Durability::PowerLoss { seen.synced() } else { seen.bytes() };
            let ledger = Ledger::of(scan(&bytes).expect("a journal").records);
            std::future::ready(Ok::<_, TaskError>(json!(ledger.plan.is_some())))
        };
        let planning = Planning::new(One, Workers::new().with("says", says), "says", 0);
        let mut past = history(&store);
        let outline = planning.outline_of(&mut past, "goal").await.expect("of this goal");
        let graph = planning.graph("goal", &outline.plan).expect("nothing is wrong with it");
        let finished = orchestrator().run(graph.journal(past, level)).await.expect("it runs");
        assert_eq!(*finished.output::<Value>("a").expect("it ran"), json!(true), "{level:?}");
    }
}

/// Plans one step.
struct One;

impl Planner for One {
    async fn plan(&self, _: &str, _: &[String]) -> Result<Plan, NoPlan> {
        Ok(plan([step("a", "says", "", &[])]))
    }

    async fn alternative(&self, _: &Failure, _: &[String]) -> Result<Plan, NoPlan> {
        Err(NoPlan::because("one is enough"))
    }
}

#[tokio::test]
async fn a_plan_of_another_goal_or_for_others_is_refused() {
    let store = MemoryStore::default();
    run(&store, LEVELS[0], Moody::default(), workers(&Log::default())).await.expect("it runs");
    let nobody = Planning::new(Moody::default(), Workers::new(), "says", 2);
    let other = nobody.outline_of(&mut history(&store), "other").await.expect_err("another goal");
    assert_eq!(other.to_string(), "no plan: the run is for another goal: goal");
    let nobody =
        nobody.outline_of(&mut history(&store), "goal").await.expect_err("nobody is there");
    assert!(nobody.to_string().contains("names the agent `fails`"), "{nobody}");
    // An alternative that another version has kept.
    let mut records = scan(&store.bytes()).expect("a journal").records;
    for record in &mut records {
        if let Record::Planned { by: Some(_), plan } = record {
            *plan = br#"{"steps": [{"id": "a", "agent": "me", "instruction": ""}]}"#.to_vec();
        }
    }
    let refused = run(&cut(&records), LEVELS[0], Moody::default(), workers(&Log::default())).await;
    let Err(StartError::Plan { task, error }) = refused else { panic!("it is refused") };
    assert_eq!(task, "x (repair)");
    assert!(error.contains("names the agent `me`"), "{error}");
}

#[tokio::test]
async fn a_planned_run_that_is_over_goes_on_with_what_was_put_into_it() {
    let (asked, done) = (Log::default(), Log::default());
    let planner = Moody { asked: Arc::clone(&asked), process: 1 };
    let planning = Planning::new(planner, workers(&done), "says", 2);
    let outline = planning.outline("goal").await;
    let orchestrator = orchestrator();
    let make = || planning.graph("goal", &outline.plan).expect("nothing is wrong with it");
    let mut last = orchestrator.run(make()).await.expect("it runs");
    let (whole, result) = (outcomes(&last), json!({ "y": { "x": { "a": {} } } }));
    let (plan, alternative) = ("plan of 1", "alternative of 1");
    // What was put in is there, and can be run again; who had put something in and runs again asks again.
    for (again, questions, works) in [
        ("y (try)", vec![], vec![plan]),
        ("x~a (try)", vec!["b"], vec![alternative, alternative, plan]),
        ("x~b~a", vec![], vec![alternative, plan]),
        ("x (try)", vec!["x", "b"], vec![alternative, alternative, plan]),
    ] {
        asked.lock().clear();
        done.lock().clear();
        let graph = make().rerun(&last, &[again], Reach::Downstream).expect("it is there");
        last = orchestrator.run(graph).await.expect("it runs");
        assert_eq!(outcomes(&last), whole, "{again}");
        assert_eq!(*last.output::<Value>("y").expect("it was mended"), result, "{again}");
        assert_eq!(*asked.lock(), questions, "{again}");
        assert_eq!(*done.lock(), works, "{again}");
    }
    let others = Planning::new(Moody::default(), Workers::new().with("says", says), "says", 2);
    let graph = others.graph("goal", &Plan::single("goal", "says")).expect("nothing is wrong");
    assert!(graph.rerun(&last, &[], Reach::Task).is_ok(), "who had put something in is not there");
}

async fn says(step: Step, _: StepInputs) -> Result<Value, TaskError> {
    Ok(json!(step.id))
}
