//! Graphs for the runs that are killed, and what each of their tasks gives.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Ids, and who needs whom; needs come before those who need them.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Where it was read, if it was.
    pub(crate) path: Option<PathBuf>,
    pub(crate) needs: Vec<Vec<usize>>,
}

impl Shape {
    /// Eight layers of five, each needing all of the layer before, and a last task that needs the last layer.
    pub(crate) fn layered() -> Self {
        let layer = |at: usize| if at < 5 { 0..0 } else { (at / 5 - 1) * 5..at / 5 * 5 };
        Self { path: None, needs: (0..41).map(|at| layer(at).collect()).collect() }
    }

    /// A `WfCommons` instance, reduced to `{"tasks": [[name, [parents], …], …]}`; or a graph of the Standard Task Graph set:
    /// the number of tasks, then a line for each of its number, its duration, how many it needs, and which.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let bad = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let text = std::fs::read_to_string(path).map_err(|why| bad(&why))?;
        if path.extension().is_some_and(|end| end == "stg") {
            let numbers =
                |line: &str| line.split_whitespace().map(|word| word.parse().ok()).collect();
            let lines = text.lines().skip(1).take_while(|line| !line.starts_with('#'));
            let lines: Option<Vec<Vec<usize>>> =
                lines.filter(|line| !line.trim().is_empty()).map(numbers).collect();
            let needs = lines.into_iter().flatten().map(|line| line.get(3..).map(<[_]>::to_vec));
            let needs: Option<Vec<_>> = needs.collect();
            let needs = needs.filter(|needs| !needs.is_empty());
            let needs = needs.ok_or_else(|| bad(&"no lines of `number duration count needs…`"))?;
            return Ok(Self { path: Some(path.to_owned()), needs });
        }
        let value: Value = serde_json::from_str(&text).map_err(|why| bad(&why))?;
        let parents = |task: &Value| {
            let parents = task.get(1)?.as_array()?.iter();
            parents.map(|at| usize::try_from(at.as_u64()?).ok()).collect::<Option<Vec<usize>>>()
        };
        let tasks = value["tasks"].as_array().into_iter().flatten();
        let needs = tasks.map(parents).collect::<Option<Vec<_>>>();
        let needs = needs.filter(|needs| !needs.is_empty());
        let needs = needs.ok_or_else(|| bad(&"no list of `[name, [parents], …]`"))?;
        Ok(Self { path: Some(path.to_owned()), needs })
    }

    /// Every fifth must not be repeated, every fourth fails the first time.
    pub(crate) fn id(at: usize) -> String {
        match at {
            at if at.is_multiple_of(5) => format!("once-{at}"),
            at if at % 4 == 3 => format!("flaky-{at}"),
            at => format!("task-{at}"),
        }
    }

    /// What each gives: one more than the sum of what it needs. Needs may stand behind those who need them.
    pub(crate) fn values(&self) -> Vec<u64> {
        let mut values: Vec<Option<u64>> = vec![None; self.needs.len()];
        while values.contains(&None) {
            for at in 0..values.len() {
                let sum = self.needs[at].iter().map(|need| values[*need]).sum::<Option<u64>>();
                values[at] = sum.map(|sum| (sum + 1) & 0xffff_ffff);
            }
        }
        values.into_iter().flatten().collect()
    }
}
