//! `tidegate what-if`: a run that ended, replayed under other limits, agents or priorities.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write as _};
use std::sync::Arc;

use serde_json::json;
use tidegate_workflow::whatif::{Comparison, Recorded, Replayed, Settings};

use crate::args;
use crate::diagnostic::nearest;
use crate::engine::ITEMS;
use crate::history::{self, State};
use crate::meta::Meta;
use crate::recording::{Kept, NOBODY};
use crate::runs::{Failure, Result, say};

/// Prints the run as it was, the same replayed, and what it would have been, side by side.
///
/// # Errors
///
/// There is no such run, it has no recording, or a flag names what it does not have.
pub(crate) fn what_if(args: &args::WhatIf) -> Result<()> {
    let run = history::find(&args.state.state_dir, args.run.as_deref()).map_err(Failure::usage)?;
    let kept = Kept::read(&run.path).map_err(|error| {
        let why = match (&run.state, error.kind()) {
            (State::Running, _) => "is still going on".to_owned(),
            (State::Killed, _) => "was killed: go on with it by `tidegate resume`".to_owned(),
            (_, ErrorKind::NotFound) => "has no recording: run the file again".to_owned(),
            _ => format!("has a recording that cannot be read: {error}"),
        };
        Failure::usage(format!("run {} {why}", run.id))
    })?;
    if kept.recording.actual.busy.is_zero() {
        let why = "there is nothing to replay: no command ran when it was last gone on with";
        return Err(Failure::usage(format!("run {}: {why}", run.id)));
    }
    check(args, &kept).map_err(Failure::usage)?;

    let mut comparison = Comparison::new(&kept.recording);
    comparison.add("replayed", kept.settings());
    for (name, settings) in columns(args, &kept) {
        comparison.add(name, settings);
    }
    say(|out, _| {
        if args.json {
            let columns: Vec<_> =
                comparison.columns().map(|(name, run)| column(name, run)).collect();
            return writeln!(out, "{}", json!({"run": run.id, "columns": columns}));
        }
        let file = Meta::read(&run.path).map(|meta| format!(": {}", meta.file.display()));
        let commands = commands(&kept);
        writeln!(out, "run {}, {commands} commands{}\n", run.id, file.unwrap_or_default())?;
        write!(out, "{comparison}")?;
        let (actual, replayed) = (&kept.recording.actual, comparison.columns().nth(1));
        let lost = replayed.map(|(_, run)| actual.makespan.saturating_sub(run.makespan));
        match lost.filter(|lost| 20 * *lost > actual.makespan) {
            Some(lost) => writeln!(
                out,
                "\n{lost:.1?} of the run no replay knows: pauses between attempts, starting commands, another process before it"
            ),
            None => Ok(()),
        }
    })
}

/// The task of the file that a recorded one is of.
fn task_of(id: &str) -> &str {
    let id = id.strip_suffix(ITEMS).unwrap_or(id);
    id.split('[').next().unwrap_or(id)
}

/// Whether it is a command: what only lists or gathers items goes before all of them.
fn is_command(task: &Recorded) -> bool {
    task.priority != i32::MAX
}

fn commands(kept: &Kept) -> usize {
    kept.recording.tasks.iter().filter(|task| is_command(task)).count()
}

/// Whether what the flags name is there.
fn check(args: &args::WhatIf, kept: &Kept) -> std::result::Result<(), String> {
    let recorded = &kept.recording.tasks;
    let tasks: BTreeSet<&str> = recorded.iter().map(|task| task_of(&task.id)).collect();
    let mut agents: BTreeSet<&str> = recorded.iter().map(|task| &*task.agent).collect();
    agents.extend(args.assigned.iter().map(|(_, agent)| agent.as_str()));
    agents.extend(kept.agents.keys().map(String::as_str));
    agents.remove(NOBODY);
    let priorities = args.priorities.iter().map(|(name, _)| name);
    let assigned = args.assigned.iter().map(|(name, _)| name);
    let limits = args.agents.iter().map(|(name, _)| name);
    let speeds = args.speeds.iter().map(|(name, _)| name);
    for (what, name, known) in priorities
        .chain(assigned)
        .map(|name| ("task", name, &tasks))
        .chain(limits.chain(speeds).map(|name| ("agent", name, &agents)))
    {
        if known.contains(name.as_str()) {
            continue;
        }
        let all = || known.iter().copied();
        let hint = match nearest(name, all()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => format!("it has no {what}s"),
            None => format!("it has {}", all().take(20).collect::<Vec<_>>().join(", ")),
        };
        return Err(format!("the run has no {what} `{name}`: {hint}"));
    }
    Ok(())
}

/// The settings to replay under, each with the name of its column.
fn columns(args: &args::WhatIf, kept: &Kept) -> Vec<(String, Settings)> {
    let has_others = !(args.agents.is_empty()
        && args.speeds.is_empty()
        && args.priorities.is_empty()
        && args.assigned.is_empty());
    let mut limits: Vec<usize> = args.jobs.iter().map(|jobs| *jobs as usize).collect();
    if limits.is_empty() {
        limits = match has_others {
            true => vec![kept.limit],
            // What there is to gain, and what could be spared.
            false => vec![1, kept.limit.div_ceil(2), 2 * kept.limit, commands(kept)],
        };
        limits.sort_unstable();
        limits.dedup();
        limits.retain(|limit| has_others || *limit != kept.limit);
    }
    let name = |limit: usize| match (args.jobs.is_empty(), has_others) {
        (true, true) => "as asked".to_owned(),
        _ => format!("-j {limit}"),
    };
    limits.into_iter().map(|limit| (name(limit), settings(args, kept, limit))).collect()
}

fn settings(args: &args::WhatIf, kept: &Kept, limit: usize) -> Settings {
    let mut agents = kept.agents.clone();
    for (agent, limit) in &args.agents {
        match limit {
            Some(limit) => drop(agents.insert(agent.clone(), *limit)),
            None => drop(agents.remove(agent)),
        }
    }
    let mut settings = Settings::limit(limit);
    for (agent, limit) in agents {
        settings = settings.agent(agent, limit);
    }
    for (agent, factor) in &args.speeds {
        settings = settings.speed(agent.as_str(), *factor);
    }
    if !args.priorities.is_empty() {
        let priorities: BTreeMap<String, i32> = args.priorities.iter().cloned().collect();
        let of = move |task: &Recorded| match priorities.get(task_of(&task.id)) {
            Some(priority) if is_command(task) => *priority,
            _ => task.priority,
        };
        settings = settings.priority(of);
    }
    if !args.assigned.is_empty() {
        let assigned = args.assigned.iter().map(|(task, to)| (task.clone(), Arc::from(&**to)));
        let assigned: BTreeMap<String, Arc<str>> = assigned.collect();
        let to = move |task: &Recorded| match assigned.get(task_of(&task.id)) {
            Some(agent) if is_command(task) => Arc::clone(agent),
            _ => Arc::clone(&task.agent),
        };
        settings = settings.assign(to);
    }
    settings
}

fn column(name: &str, run: &Replayed) -> serde_json::Value {
    let agents = run.agents.iter().map(|(agent, used)| {
        let of = json!({
            "limit": used.limit, "busy_seconds": used.busy.as_secs_f64(), "utilisation": run.utilisation_of(agent),
        });
        (agent.to_string(), of)
    });
    json!({
        "name": name, "makespan_seconds": run.makespan.as_secs_f64(), "utilisation": run.utilisation(),
        "at_once": run.peak, "limit": run.slots, "waited_seconds": run.waited.as_secs_f64(),
        "agents": agents.collect::<serde_json::Map<_, _>>(),
    })
}
