//! A `JoinSet` loop that does by hand what the orchestrator does: string ids, priorities, a limit over all and one an agent,
//! time-outs, retries, cancellation, outputs handed on by name, and events.

use std::any::Any;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::shapes::Shape;
use crate::timed;

const LIMIT: usize = 64;
const AGENTS: usize = 16;
const AGENT_LIMIT: usize = 16;
const ATTEMPTS: u32 = 3;

type Value = Arc<dyn Any + Send + Sync>;
type Inputs = HashMap<Arc<str>, Value>;
type Body = Arc<dyn Fn(Inputs) -> BoxFuture<'static, Result<Value, String>> + Send + Sync>;

struct Task {
    id: Arc<str>,
    needs: Vec<Arc<str>>,
    dependents: Vec<usize>,
    missing: usize,
    priority: i32,
    agent: usize,
    body: Body,
    output: Option<Value>,
}

/// Its task, and what became of it.
type Event = (Arc<str>, Step);

enum Step {
    Ready,
    Started { attempt: u32 },
    Ended { is_well: bool },
}

pub(crate) async fn by_hand_run(shape: Shape) -> Duration {
    timed(async move {
        let (events, mut reader) = mpsc::unbounded_channel();
        let reader = tokio::spawn(async move {
            let mut well = 0;
            while let Some((id, step)) = reader.recv().await {
                match step {
                    Step::Ready | Step::Started { attempt: 1 } => {}
                    Step::Started { attempt } => panic!("{id} is tried again: {attempt}"),
                    Step::Ended { is_well } => well += usize::from(is_well),
                }
            }
            well
        });
        let mut tasks = tasks(&shape);
        run(&mut tasks, events).await;
        assert!(tasks.iter().all(|task| task.output.is_some()));
        assert_eq!(reader.await.expect("it ends with the events"), tasks.len());
    })
    .await
}

fn tasks(shape: &Shape) -> Vec<Task> {
    let ids: Vec<Arc<str>> =
        (0..shape.needs.len()).map(|at| Arc::from(format!("task-{at}"))).collect();
    let mut places = HashMap::new();
    let mut tasks: Vec<Task> = Vec::new();
    for (at, needs) in shape.needs.iter().enumerate() {
        let needs: Vec<Arc<str>> =
            needs.iter().map(|need| Arc::clone(&ids[*need as usize])).collect();
        let names = needs.clone();
        let body: Body = Arc::new(move |inputs| {
            let value = |name| inputs.get(name).and_then(|value| value.downcast_ref::<u64>());
            let sum: Option<u64> = names.iter().map(value).map(Option::<&u64>::copied).sum();
            let sum = sum.map(|sum| Arc::new((sum + 1) & 0xffff) as Value);
            Box::pin(std::future::ready(sum.ok_or_else(|| "an input is missing".to_owned())))
        });
        for need in &needs {
            let need: &usize = places.get(need).expect("what it needs stands before it");
            tasks[*need].dependents.push(at);
        }
        assert!(places.insert(Arc::clone(&ids[at]), at).is_none(), "ids differ");
        tasks.push(Task {
            id: Arc::clone(&ids[at]),
            missing: needs.len(),
            needs,
            dependents: Vec::new(),
            priority: i32::try_from(at % 3).expect("small"),
            agent: at % AGENTS,
            body,
            output: None,
        });
    }
    tasks
}

async fn run(tasks: &mut [Task], events: mpsc::UnboundedSender<Event>) {
    let places: HashMap<Arc<str>, usize> =
        tasks.iter().enumerate().map(|(at, task)| (Arc::clone(&task.id), at)).collect();
    let cancel = CancellationToken::new();
    let mut set = JoinSet::new();
    let mut ready: [BinaryHeap<(i32, std::cmp::Reverse<usize>)>; AGENTS] = Default::default();
    let mut running = [0; AGENTS];
    let get_ready = |at: usize, task: &Task, ready: &mut [BinaryHeap<_>; AGENTS]| {
        let _ = events.send((Arc::clone(&task.id), Step::Ready));
        ready[task.agent].push((task.priority, std::cmp::Reverse(at)));
    };
    for (at, task) in tasks.iter().enumerate().filter(|(_, task)| task.missing == 0) {
        get_ready(at, task, &mut ready);
    }
    loop {
        while set.len() < LIMIT {
            let may = (0..AGENTS).filter(|agent| running[*agent] < AGENT_LIMIT);
            let Some(agent) = may.max_by_key(|agent| ready[*agent].peek().copied()) else { break };
            let Some((_, std::cmp::Reverse(at))) = ready[agent].pop() else { break };
            running[agent] += 1;
            let task = &tasks[at];
            let input = |need: &Arc<str>| {
                let output = tasks[places[need]].output.clone();
                (Arc::clone(need), output.expect("it is over"))
            };
            let inputs: Inputs = task.needs.iter().map(input).collect();
            let (id, body) = (Arc::clone(&task.id), Arc::clone(&task.body));
            let (events, cancel) = (events.clone(), cancel.child_token());
            set.spawn(async move {
                for attempt in 1..=ATTEMPTS {
                    let _ = events.send((Arc::clone(&id), Step::Started { attempt }));
                    let work = timeout(Duration::from_secs(60), body(inputs.clone()));
                    tokio::select! {
                        biased;
                        () = cancel.cancelled() => break,
                        ended = work => if let Ok(Ok(value)) = ended {
                            return (at, Some(value));
                        },
                    }
                }
                (at, None)
            });
        }
        let Some(done) = set.join_next().await else { break };
        let (at, output) = done.expect("no panic");
        running[tasks[at].agent] -= 1;
        let _ = events.send((Arc::clone(&tasks[at].id), Step::Ended { is_well: output.is_some() }));
        tasks[at].output = output;
        for dependent in std::mem::take(&mut tasks[at].dependents) {
            let task = &mut tasks[dependent];
            task.missing -= 1;
            if task.missing == 0 {
                get_ready(dependent, task, &mut ready);
            }
        }
    }
}
