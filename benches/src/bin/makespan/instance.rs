//! Graphs with known durations, read from files.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

/// A graph to be scheduled on so many processors.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) processors: usize,
    /// The optimum, or what no schedule can beat; in seconds.
    pub(crate) bound: f64,
    /// How much there is of each resource.
    pub(crate) capacities: Vec<u64>,
    pub(crate) tasks: Arc<[Node]>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: String,
    pub(crate) needs: Vec<usize>,
    pub(crate) seconds: f64,
    /// How much it takes of each resource.
    pub(crate) demands: Vec<u64>,
}

fn bad(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("{}: {what}", path.display()))
}

/// The Standard Task Graph set: a line a task with id, duration, number of predecessors, their ids.
pub(crate) fn stg(folder: &Path) -> Result<Vec<Instance>> {
    let list = folder.join("optimal.csv");
    let mut graphs: HashMap<String, Arc<[Node]>> = HashMap::new();
    let mut instances = Vec::new();
    for line in std::fs::read_to_string(&list)?.lines().skip(1) {
        let mut fields = line.split(',');
        let (Some(graph), Some(processors), Some(bound)) =
            (fields.next(), fields.next(), fields.next())
        else {
            return Err(bad(&list, &format!("no line `graph,processors,makespan`: `{line}`")));
        };
        let path = folder.join(graph);
        if !graphs.contains_key(graph) {
            let tasks = stg_graph(&std::fs::read_to_string(&path)?);
            graphs.insert(graph.to_owned(), tasks.ok_or_else(|| bad(&path, "no task graph"))?);
        }
        instances.push(Instance {
            processors: processors.parse().map_err(|_| bad(&list, "processors is no number"))?,
            bound: bound.trim().parse().map_err(|_| bad(&list, "makespan is no number"))?,
            capacities: Vec::new(),
            tasks: Arc::clone(&graphs[graph]),
        });
    }
    Ok(instances)
}

fn stg_graph(text: &str) -> Option<Arc<[Node]>> {
    let lines = text.lines().skip(1).take_while(|line| !line.trim_start().starts_with('#'));
    lines
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let mut fields = line.split_whitespace().map(|field| field.parse::<usize>().ok());
            let (_, seconds, _) = (fields.next()??, fields.next()??, fields.next()??);
            let needs = fields.collect::<Option<Vec<usize>>>()?;
            let (kind, seconds) = ("task".to_owned(), seconds as f64);
            Some(Node { kind, needs, seconds, demands: Vec::new() })
        })
        .collect()
}

/// Real executions: on 4, 16 and 64 processors, against max(critical path, work / processors).
pub(crate) fn wfinstances(folder: &Path) -> Result<Vec<Instance>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let mut instances = Vec::new();
    for path in paths {
        let value: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        let tasks = value["tasks"].as_array().ok_or_else(|| bad(&path, "no `tasks`"))?;
        let tasks: Option<Arc<[Node]>> = tasks.iter().map(wf_task).collect();
        let tasks =
            tasks.ok_or_else(|| bad(&path, "a task is not `[name, [parents], seconds, …]`"))?;
        let work: f64 = tasks.iter().map(|task| task.seconds).sum();
        let longest = critical_path(&tasks).ok_or_else(|| bad(&path, "a cycle"))?;
        for processors in [4, 16, 64] {
            let bound = longest.max(work / processors as f64);
            let (capacities, tasks) = (Vec::new(), Arc::clone(&tasks));
            instances.push(Instance { processors, bound, capacities, tasks });
        }
    }
    Ok(instances)
}

fn wf_task(task: &serde_json::Value) -> Option<Node> {
    let name = task.get(0)?.as_str()?;
    let kind = name.split("_ID").next().unwrap_or(name).to_owned();
    let parents = task.get(1)?.as_array()?.iter();
    let needs = parents.map(|at| usize::try_from(at.as_u64()?).ok()).collect::<Option<Vec<_>>>()?;
    let seconds = task.get(2)?.as_f64()?.max(0.001);
    Some(Node { kind, needs, seconds, demands: Vec::new() })
}

fn critical_path(tasks: &[Node]) -> Option<f64> {
    let mut ends: Vec<Option<f64>> = vec![None; tasks.len()];
    let mut left = tasks.len();
    while left > 0 {
        let before = left;
        for (at, task) in tasks.iter().enumerate() {
            if ends[at].is_some() {
                continue;
            }
            let needs = task.needs.iter().map(|need| ends.get(*need).copied().flatten());
            if let Some(needs) = needs.collect::<Option<Vec<f64>>>() {
                ends[at] = Some(needs.into_iter().fold(0.0, f64::max) + task.seconds);
                left -= 1;
            }
        }
        if left == before {
            return None;
        }
    }
    Some(ends.into_iter().flatten().fold(0.0, f64::max))
}
