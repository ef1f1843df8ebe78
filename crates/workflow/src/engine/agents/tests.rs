//! Names come and go.

use super::*;
use crate::machine::{NodeSpec, Policy, Run, RunId};
use crate::retry::Retry;
use crate::task::Task;

fn agents(machine: &mut Machine) -> Agents {
    let settings = Settings {
        agent_default: 3,
        agent_default_rate: None,
        agents: HashMap::from([(Arc::from("set"), Agent::new(7))]),
        resources: HashMap::from([(Arc::from("disk"), 100)]),
        tenants: HashMap::from([(Arc::from("set"), 2.0)]),
        tenant_budgets: HashMap::new(),
        score: None,
        durations: Durations::default(),
    };
    Agents::new(settings, machine)
}

fn task(at: u64) -> Task {
    let work = async |_| Ok::<(), crate::TaskError>(());
    Task::new("task", work).agent(format!("agent {at}")).uses("disk", at % 100)
}

/// Names of a task, in the order in which the engine does it.
fn intern(agents: &mut Agents, machine: &mut Machine, at: u64) -> (AgentId, ClassId) {
    agents.forget_unused(machine, std::iter::empty(), |_| {});
    let tenant = agents.tenant(Some(&Arc::from(format!("tenant {at}"))), machine);
    let task = task(at);
    let agent = agents.id_of(task.agent.as_ref(), machine);
    (agent, agents.class(task.extras.as_deref(), agent, tenant, machine))
}

#[test]
fn a_hundred_thousand_names_leave_a_bounded_number_of_places() {
    let mut machine = Machine::new(1);
    let mut agents = agents(&mut machine);
    for at in 0..100_000 {
        intern(&mut agents, &mut machine, at);
    }
    assert!(agents.states.len() < 2000, "{} places for agents", agents.states.len());
    assert!(agents.count() < 4 * UNUSED, "{} names", agents.count());
    let set = agents.by_name["set"];
    assert_eq!((machine.use_of(set).1, &**agents.name(set)), (7, "set"));
    assert!(agents.tenants.contains_key("set"));
}

#[test]
fn what_a_live_task_is_of_is_kept() {
    let mut machine = Machine::new(0);
    let mut agents = agents(&mut machine);
    let (agent, class) = intern(&mut agents, &mut machine, 0);
    let mut run = Run::new(false, None);
    run.push(NodeSpec {
        needs: Box::default(),
        class,
        priority: 0,
        estimate: 1.0,
        complexity: 1.0,
        cost: 0,
        policy: Policy { timeout: None, retry: Retry::NEVER },
        past: None,
    });
    machine.submit(RunId(0), run, None, Duration::ZERO, &mut Vec::new());
    for at in 1..10_000 {
        let (other, of) = intern(&mut agents, &mut machine, at);
        assert!(other != agent && of != class, "the number of a live name is given again");
    }
    assert_eq!(&**agents.name(agent), "agent 0");
    assert_eq!(agents.by_name["agent 0"], agent);
    assert_eq!(machine.waiting_of(agent), 1);
}

#[test]
fn who_wants_nothing_now_is_not_forgotten_before_that_is_over() {
    let mut machine = Machine::new(0);
    let mut agents = agents(&mut machine);
    let (agent, _) = intern(&mut agents, &mut machine, 0);
    machine.pause_agent(agent, Duration::from_secs(60));
    for at in 1..10_000 {
        intern(&mut agents, &mut machine, at);
    }
    assert_eq!(agents.by_name.get("agent 0"), Some(&agent));
    machine.resume_agent(agent);
    for at in 10_000..20_000 {
        intern(&mut agents, &mut machine, at);
    }
    assert_eq!(agents.by_name.get("agent 0"), None);
}
