//! Goals become graphs, and failed steps are replaced while the run is live.

use std::future::Ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_workflow::planner::{
    Failure, NoPlan, Origin, Plan, Planner, Planning, Spent, Step, StepInputs, TablePlanner,
    Workers,
};
use tidegate_workflow::{Event, EventKind, Finished, Next, Orchestrator, Outcome, TaskError};

fn step(id: &str, agent: &str, needs: &[&str]) -> Step {
    let needs = needs.iter().map(|need| (*need).to_owned()).collect();
    let (id, agent) = (id.to_owned(), agent.to_owned());
    Step { id, agent, instruction: "{instruction}".to_owned(), needs, wants: Vec::new() }
}

fn plan(steps: impl IntoIterator<Item = Step>) -> Plan {
    Plan { steps: steps.into_iter().collect(), ..Plan::default() }
}

/// `says` returns its id and its inputs, `fails` fails.
fn workers() -> Workers {
    Workers::new()
        .with("says", async |step: Step, inputs: StepInputs| {
            Ok::<_, TaskError>(json!({ step.id: inputs.values().collect::<Vec<_>>() }))
        })
        .with("fails", async |_: Step, _: StepInputs| Err::<Value, _>("out of order"))
        .with("panics", async |step: Step, _: StepInputs| -> Result<Value, TaskError> {
            panic!("{} has lost its way", step.id)
        })
        .with("panics at once", |step: Step, _: StepInputs| -> Ready<Result<Value, TaskError>> {
            panic!("{} has lost its way", step.id)
        })
}

async fn run(planner: impl Planner, rounds: u32, plan: &Plan) -> Finished {
    let planning = Planning::new(planner, workers(), "says", rounds);
    let graph = planning.graph("the goal", plan).expect("nothing is wrong with it");
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    orchestrator.run(graph).await.expect("every need is there")
}

fn error(finished: &Finished, id: &str) -> String {
    let task = finished.report().tasks.iter().find(|task| *task.id == *id).expect("it is there");
    match &task.outcome {
        Outcome::Failed { error } => error.clone(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_failed_step_is_replaced_and_its_dependents_get_the_alternatives_result() {
    let table = TablePlanner::new()
        .if_fails("fails", plan([step("b", "says", &["a"]), step("a", "says", &[])]));
    let plan = plan([step("x", "fails", &[]), step("y", "says", &["x"])]);
    let finished = run(table, 1, &plan).await;
    let result = finished.output::<Value>("y").expect("it succeeded");
    assert_eq!(*result, json!({ "y": [{ "b": [{ "a": [] }] }] }));
    assert_eq!(error(&finished, "x (try)"), "out of order");
}

#[tokio::test]
async fn a_splice_is_told_after_all_of_it_is_in_the_run_and_before_any_of_it_starts() {
    struct Bills;
    const SPENT: Spent = Spent { requests: 2, prompt_tokens: 70, completion_tokens: 30, cost: 0.5 };
    impl Planner for Bills {
        async fn plan(&self, _: &str, _: &[String]) -> Result<Plan, NoPlan> {
            Err(NoPlan::because("no plans"))
        }
        async fn alternative(&self, _: &Failure, _: &[String]) -> Result<Plan, NoPlan> {
            tokio::time::advance(Duration::from_secs(3)).await;
            let steps = plan([step("b", "says", &["a"]), step("a", "says", &[])]);
            Ok(Plan { spent: SPENT, ..steps })
        }
    }
    tokio::time::pause();
    let planning = Planning::new(Bills, workers(), "says", 1);
    let graph = planning.graph("the goal", &plan([step("x", "fails", &[])]));
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    let mut events = orchestrator.events();
    let run = orchestrator.run(graph.expect("nothing is wrong with it"));
    assert!(run.await.expect("every need is there").output::<Value>("x").is_ok());
    let mut told = Vec::new();
    let splice = loop {
        match events.try_next().expect("it is told before the run is over") {
            Next::Event(Event { kind: EventKind::PlanSpliced { run: 0, splice }, .. }) => {
                break splice;
            }
            Next::Event(event) => told.push(event.kind),
            Next::Lost(lost) => panic!("{lost} events are lost"),
        }
    };
    let names = |kinds: &[EventKind], started: bool| -> Vec<String> {
        let name = |kind: &EventKind| match kind {
            EventKind::TaskAdded { task, .. } if !started => Some(task.to_string()),
            EventKind::TaskStarted { task, .. } if started => Some(task.to_string()),
            _ => None,
        };
        kinds.iter().filter_map(name).collect()
    };
    assert_eq!(names(&told, false), ["x~a", "x~b"]);
    assert_eq!(names(&told, true), ["x (try)", "x (repair)"]);
    assert_eq!(splice.added, [Arc::from("x~a"), Arc::from("x~b")]);
    assert_eq!(splice.ends, [Arc::from("x~b")]);
    assert_eq!((&*splice.task, &*splice.by), ("x", "x (repair)"));
    let step = step("x", "fails", &[]);
    let error = "out of order".to_owned();
    assert_eq!(splice.failure, Failure { goal: "the goal".to_owned(), step, error, depth: 0 });
    assert_eq!((splice.took, splice.spent), (Duration::from_secs(3), SPENT));

    let event = Event { at: Duration::ZERO, kind: EventKind::PlanSpliced { run: 0, splice } };
    let json = serde_json::to_string(&event).expect("plain");
    assert_eq!(serde_json::from_str::<Event>(&json).expect("as it was written"), event);
    assert!(json.contains(r#""event":"plan_spliced","run":0,"task":"x""#), "{json}");
}

#[tokio::test]
async fn a_step_that_panics_is_replaced_as_one_that_fails() {
    struct Told;
    impl Planner for Told {
        async fn plan(&self, _: &str, _: &[String]) -> Result<Plan, NoPlan> {
            Err(NoPlan::because("no plans"))
        }
        async fn alternative(&self, failure: &Failure, _: &[String]) -> Result<Plan, NoPlan> {
            assert_eq!(failure.error, "panicked: x has lost its way");
            Ok(plan([step("a", "says", &[])]))
        }
    }
    for agent in ["panics", "panics at once"] {
        let finished = run(Told, 1, &plan([step("x", agent, &[])])).await;
        assert_eq!(*finished.output::<Value>("x").expect("it was replaced"), json!({ "a": [] }));
    }
}

#[tokio::test]
async fn what_fails_in_an_alternative_is_replaced_as_deep_as_is_allowed() {
    struct Deeper(Arc<AtomicU32>);
    impl Planner for Deeper {
        async fn plan(&self, _: &str, _: &[String]) -> Result<Plan, NoPlan> {
            Err(NoPlan::because("no plans"))
        }
        async fn alternative(&self, failure: &Failure, _: &[String]) -> Result<Plan, NoPlan> {
            assert_eq!(failure.error, "out of order");
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(plan([step("x", if failure.depth < 2 { "fails" } else { "says" }, &[])]))
        }
    }
    for (rounds, works) in [(3, true), (2, false)] {
        let asked = Arc::new(AtomicU32::new(0));
        let finished =
            run(Deeper(Arc::clone(&asked)), rounds, &plan([step("x", "fails", &[])])).await;
        assert_eq!(finished.output::<Value>("x").is_ok(), works, "{}", finished.report());
        assert_eq!(asked.load(Ordering::Relaxed), rounds);
    }
}

#[tokio::test]
async fn without_a_sound_alternative_the_step_fails_with_both_reasons() {
    for (bad, why) in [
        (plan([step("a", "nobody", &[])]), "there are: fails, panics, panics at once, says"),
        (plan([step("a", "says", &["b"]), step("b", "says", &["a"])]), "a -> b -> a"),
    ] {
        let table = TablePlanner::new().if_fails("fails", bad);
        let plan = plan([step("x", "fails", &[]), step("y", "says", &["x"])]);
        let finished = run(table, 1, &plan).await;
        let error = error(&finished, "x");
        assert!(error.starts_with("out of order; no plan: ") && error.contains(why), "{error}");
        assert!(finished.output::<Value>("y").is_err());
        assert_eq!(finished.report().tasks.len(), 6, "nothing was put in");
    }
}

#[tokio::test]
async fn plans_are_remembered_and_a_goal_without_one_goes_to_the_fallback() {
    struct Once(AtomicU32);
    impl Planner for Once {
        async fn plan(&self, goal: &str, _: &[String]) -> Result<Plan, NoPlan> {
            match (goal, self.0.fetch_add(1, Ordering::Relaxed)) {
                ("panic", _) => panic!("has lost its way"),
                (_, 0) => Ok(plan([step("x", "says", &[])])),
                _ => Err(NoPlan::because("asked twice")),
            }
        }
    }
    let planning = Planning::new(Once(AtomicU32::new(0)), workers(), "says", 1);
    let first = planning.outline("goal").await;
    let again = planning.outline("goal").await;
    assert_eq!((first.origin, again.origin), (Origin::Planner, Origin::Remembered));
    assert_eq!(first.plan, again.plan);
    planning.forget("goal");
    let fallback = planning.outline("goal").await;
    assert_eq!(fallback.plan, Plan::single("goal", "says"));
    let because = NoPlan::because("asked twice");
    assert_eq!(fallback.origin, Origin::Fallback { because });
    let Origin::Fallback { because } = planning.outline("panic").await.origin else {
        panic!("there is no plan")
    };
    assert_eq!(because.to_string(), "no plan: the planner panicked: has lost its way");
}

#[cfg(feature = "http")]
mod by_a_model {
    use tidegate_workflow::chat::{ChatClient, Price};
    use tidegate_workflow::planner::ChatPlanner;

    use super::{Plan, Planner, Spent, Value, json};
    use crate::server::{Server, json as answer, refusal};

    async fn ask(answers: [Vec<u8>; 3]) -> (Result<Plan, String>, Vec<String>) {
        let server = Server::start(answers).await;
        let price = Price { prompt_per_million: 1e6, completion_per_million: 2e6 };
        let client = ChatClient::builder(server.url(), "m").price(price).build();
        let client = client.expect("the address is one");
        let planner = ChatPlanner::new(client);
        let plan = planner.plan("the goal", &["says".to_owned()]).await;
        (plan.map_err(|no| no.to_string()), server.requests())
    }

    fn steps(steps: Value) -> Vec<u8> {
        answer(&json!({ "steps": steps }).to_string())
    }

    #[tokio::test]
    async fn a_bad_answer_is_asked_for_again_with_all_that_is_wrong_with_it() {
        let cyclic = steps(json!([
            { "id": "a", "agent": "says", "instruction": "", "needs": ["b"] },
            { "id": "b", "agent": "nobody", "instruction": "", "needs": ["a"] },
        ]));
        let good = steps(json!([{ "id": "a", "agent": "says", "instruction": "go" }]));
        let (plan, requests) = ask([answer("Sure! Here it is."), cyclic, good]).await;
        let plan = plan.expect("the third is good");
        assert_eq!(plan.steps[0].instruction, "go");
        // What the bad answers took counts too.
        let spent = Spent { requests: 3, prompt_tokens: 21, completion_tokens: 6, cost: 33.0 };
        assert_eq!(plan.spent, spent);
        assert_eq!(requests.len(), 3);
        assert!(requests[0].contains("json-schema.org") && requests[0].contains("the goal"));
        assert!(requests[1].contains("expected value at line 1 column 1"));
        assert!(requests[2].contains("a -> b -> a") && requests[2].contains("`nobody`"));
    }

    #[tokio::test]
    async fn answers_that_stay_bad_end_with_the_reasons() {
        let nobody = || steps(json!([{ "id": "a", "agent": "me", "instruction": "" }]));
        let (plan, requests) = ask([nobody(), nobody(), nobody()]).await;
        let why = "no plan: step `a` names the agent `me`; there are: says";
        assert_eq!((plan.expect_err("it is bad").as_str(), requests.len()), (why, 3));
        let refused = || refusal("401 Unauthorized", "");
        let (plan, requests) = ask([refused(), refused(), refused()]).await;
        assert!(plan.expect_err("it is refused").contains("401"));
        assert_eq!(requests.len(), 1);
    }
}

#[tokio::test]
async fn the_table_knows_goals_in_any_case_and_agents_by_their_names() {
    let table = TablePlanner::new()
        .when("Weather", Plan::single("{goal}", "says"))
        .if_fails("panics", plan([step("b", "nobody", &[])]))
        .if_fails("fails", plan([step("a", "says", &[])]));
    let planned = table.plan("the WEATHER", &[]).await.expect("it is in the table");
    assert_eq!(planned.steps[0].instruction, "the WEATHER");
    table.plan("the news", &[]).await.expect_err("it is not");
    let finished = run(table, 1, &plan([step("x", "fails", &[])])).await;
    assert_eq!(*finished.output::<Value>("x").expect("it was replaced"), json!({ "a": [] }));
}

#[tokio::test]
async fn for_a_step_that_succeeds_nobody_looks_for_an_alternative() {
    struct Never;
    impl Planner for Never {
        async fn plan(&self, _: &str, _: &[String]) -> Result<Plan, NoPlan> {
            Err(NoPlan::because("no plans"))
        }
        async fn alternative(&self, failure: &Failure, _: &[String]) -> Result<Plan, NoPlan> {
            panic!("asked about {failure:?}")
        }
    }
    let finished = run(Never, 1, &plan([step("x", "says", &[])])).await;
    assert!(finished.is_success(), "{}", finished.report());
}

#[tokio::test]
async fn no_more_than_a_thousand_plans_are_remembered() {
    let planner = TablePlanner::new().otherwise(Plan::single("{goal}", "says"));
    let planning = Planning::new(planner, workers(), "says", 0);
    for goal in 0..1000 {
        planning.outline(&goal.to_string()).await;
    }
    assert_eq!(planning.outline("0").await.origin, Origin::Remembered);
    planning.outline("one more").await;
    assert_eq!(planning.outline("0").await.origin, Origin::Planner);
    assert_eq!(planning.outline("one more").await.origin, Origin::Remembered);
}

#[tokio::test]
async fn what_holds_for_all_other_goals_may_stand_first() {
    let table = TablePlanner::new()
        .otherwise(Plan::single("another", "says"))
        .when("weather", Plan::single("forecast", "says"));
    let plan = async |goal: &str| table.plan(goal, &[]).await.expect("it has one").steps[0].clone();
    assert_eq!(plan("the Weather in Kiel").await.instruction, "forecast");
    assert_eq!(plan("spiders").await.instruction, "another");
}

#[test]
fn an_id_is_as_long_as_it_has_characters() {
    let flaws = |id: &str| {
        let mut plan = Plan::single("goal", "says");
        plan.steps[0].id = id.to_owned();
        plan.check(&["says".to_owned()])
    };
    assert_eq!(flaws(&"ü".repeat(100)), []);
    assert_eq!(flaws(&"ü".repeat(101)).len(), 1);
}
