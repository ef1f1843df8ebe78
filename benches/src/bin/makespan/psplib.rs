//! The projects of PSPLIB (Kolisch and Sprecher, 1997): durations, successors, and how much a job takes of each of several
//! renewable resources while it runs.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use crate::instance::{Instance, Node};

/// The projects of one size: the folder `size` beside `best_known.csv`, whose lines are `instance,makespan`.
pub(crate) fn psplib(folder: &Path, size: &str) -> Result<Vec<Instance>> {
    let bad = |path: &Path, what: &str| {
        Error::new(ErrorKind::InvalidData, format!("{}: {what}", path.display()))
    };
    let list = folder.join("best_known.csv");
    let mut instances = Vec::new();
    for line in std::fs::read_to_string(&list)?.lines().skip(1) {
        let fields = line.split_once(',');
        let known = fields.and_then(|(name, best)| Some((name, best.trim().parse::<f64>().ok()?)));
        let (name, best) =
            known.ok_or_else(|| bad(&list, &format!("no line `instance,makespan`: `{line}`")))?;
        let path = folder.join(size).join(format!("{name}.sm"));
        // The list is of all sizes, and a part of a set will do.
        if !(name.starts_with(size) && path.is_file()) {
            continue;
        }
        let project = project(&std::fs::read_to_string(&path)?).map_err(|why| bad(&path, &why))?;
        instances.push(Instance { bound: best, ..project });
    }
    if instances.is_empty() {
        return Err(bad(&folder.join(size), "no project that best_known.csv names"));
    }
    Ok(instances)
}

/// Reads one file; what is wrong with it, otherwise.
fn project(text: &str) -> std::result::Result<Instance, String> {
    let successors = section(text, "PRECEDENCE RELATIONS", 1)?;
    let requests = section(text, "REQUESTS/DURATIONS", 2)?;
    let capacities = section(text, "RESOURCEAVAILABILITIES", 1)?;
    let capacities = capacities.into_iter().next().ok_or("no resource availabilities")?;
    let jobs = successors.len();
    if requests.len() != jobs {
        return Err(format!("{jobs} jobs have successors, and {} have durations", requests.len()));
    }
    let mut needs = vec![Vec::new(); jobs];
    for (at, line) in successors.iter().enumerate() {
        for successor in line.get(3..).ok_or("a job without its number of successors")? {
            let place = usize::try_from(*successor).ok().and_then(|job| job.checked_sub(1));
            let of = place.and_then(|place| needs.get_mut(place));
            of.ok_or_else(|| format!("no job {successor}"))?.push(at);
        }
    }
    let tasks = requests.iter().zip(needs).map(|(line, needs)| {
        let [_, _, seconds, demands @ ..] = line.as_slice() else {
            return Err("a job without a duration".to_owned());
        };
        if demands.len() != capacities.len() {
            return Err(format!("a job asks {} of {} resources", demands.len(), capacities.len()));
        }
        let (kind, seconds, demands) = ("job".to_owned(), *seconds as f64, demands.to_vec());
        Ok(Node { kind, needs, seconds, demands })
    });
    let tasks = tasks.collect::<std::result::Result<_, _>>()?;
    Ok(Instance { processors: jobs, bound: 0.0, capacities, tasks })
}

/// The numbers of a section, line by line, after its title and `skip` lines of captions, up to a line of asterisks.
fn section(text: &str, title: &str, skip: usize) -> std::result::Result<Vec<Vec<u64>>, String> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(title));
    lines.next().ok_or_else(|| format!("no section `{title}`"))?;
    let rows = lines.skip(skip).take_while(|line| !line.starts_with('*'));
    rows.map(|line| {
        let numbers = line.split_whitespace().map(str::parse);
        numbers.collect::<std::result::Result<_, _>>().map_err(|_| format!("no numbers: `{line}`"))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: &str = "\
************
PRECEDENCE RELATIONS:
jobnr.    #modes  #successors   successors
   1        1          2           2   3
   2        1          1           3
   3        1          0
************
REQUESTS/DURATIONS:
jobnr. mode duration  R 1  R 2
------------
  1      1     0       0    0
  2      1     6       1    7
  3      1     5       2    0
************
RESOURCEAVAILABILITIES:
  R 1  R 2
   12   13
************
";

    #[test]
    fn a_project_is_read_with_its_needs_durations_demands_and_capacities() {
        let project = project(PROJECT).expect("it is a project");
        assert_eq!(project.capacities, [12, 13]);
        let needs: Vec<&[usize]> = project.tasks.iter().map(|task| &*task.needs).collect();
        assert_eq!(needs, [&[][..], &[0], &[0, 1]]);
        let last = &project.tasks[2];
        assert_eq!((last.seconds, last.demands.as_slice()), (5.0, [2, 0].as_slice()));
    }

    #[test]
    fn a_damaged_project_is_refused_with_the_reason() {
        let of = |from: &str, to: &str| project(&PROJECT.replace(from, to)).expect_err("damaged");
        assert_eq!(of("REQUESTS", "DEMANDS"), "no section `REQUESTS/DURATIONS`");
        assert_eq!(of("2   3", "2   9"), "no job 9");
        assert_eq!(of("12   13", "12"), "a job asks 2 of 1 resources");
        assert_eq!(
            of("  3      1     5", "  3      1     x"),
            "no numbers: `  3      1     x       2    0`"
        );
    }
}
