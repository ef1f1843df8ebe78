//! `cargo xtask crash`: runs that are killed by SIGKILL, at every point at which a journal touches its store and at random
//! moments, and gone on with until they are done.
//!
//! Each run is a child process whose tasks append to a file outside, its effects. After each death the journal is compared
//! with what was acknowledged and with the effects:
//!
//! 1. What was acknowledged is in the journal.
//! 2. What is in the journal as done has no further effect.
//! 3. An attempt has one effect, and one more for each death that met it under way; the key is the same each time.
//! 4. A task that commits before it starts has one effect, since somebody looked before it was run again.
//! 5. The outcome is that of a run that nobody killed.
//!
//! With the feature `cache` two processes that share a cache on the disk are killed as often; see [`cache`].

#[cfg(feature = "cache")]
mod cache;
mod child;
mod shape;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use shape::Shape;
use store::POINTS;
use tidegate_workflow::journal::{Ledger, Outcome, scan};

/// At most so many deaths of one run; then it may end.
const DEATHS: u32 = 6;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["child", folder, level, shape, rest @ ..] => {
            let shape =
                if *shape == "-" { Ok(Shape::layered()) } else { Shape::read(Path::new(shape)) };
            shape.and_then(|shape| child::run(Path::new(folder), level, &shape, rest.first()))
        }
        #[cfg(feature = "cache")]
        ["cache-child", folder, seed] => cache::child(Path::new(folder), seed),
        ["--kills", kills, rest @ ..] => kills
            .parse()
            .map_err(|_| format!("`{kills}` is no number"))
            .and_then(|kills| all(kills, rest)),
        rest => all(200, rest),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&format!("crash: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn all(kills: u32, args: &[&str]) -> Result<(), String> {
    crash(kills, &shapes(args)?)?;
    #[cfg(feature = "cache")]
    cache::crash(kills)?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is a program: its output is what it is for")]
fn say(text: &str) {
    println!("{text}");
}

/// What was seen in all.
#[derive(Debug, Default)]
struct Count {
    runs: u32,
    kills: u32,
    at_points: BTreeMap<&'static str, u32>,
    acknowledged: usize,
    repeated: usize,
}

/// The layered graph, and those of a folder.
fn shapes(args: &[&str]) -> Result<Vec<Shape>, String> {
    let mut shapes = vec![Shape::layered()];
    for pair in args.chunks(2) {
        let (folder, kind) = match pair {
            ["--wfinstances", folder] => (folder, "json"),
            ["--stg", folder] => (folder, "stg"),
            other => return Err(format!("`{}` is not known", other.join(" "))),
        };
        let files = std::fs::read_dir(folder).map_err(|why| format!("{folder}: {why}"))?;
        let mut paths: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == kind)) {
            let shape = Shape::read(path)?;
            // Larger ones only take longer.
            shapes.extend(Some(shape).filter(|shape| shape.needs.len() <= 400));
        }
    }
    Ok(shapes)
}

fn crash(kills: u32, shapes: &[Shape]) -> Result<(), String> {
    let base = std::env::temp_dir().join(format!("tidegate-crash-{}", std::process::id()));
    let mut count = Count::default();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    // Each graph is run, whatever the number of kills.
    while count.kills < kills
        || count.at_points.len() < POINTS.len()
        || (count.runs as usize) < shapes.len()
    {
        let shape = &shapes[count.runs as usize % shapes.len()];
        let folder = base.join(count.runs.to_string());
        std::fs::create_dir_all(&folder).map_err(|why| why.to_string())?;
        let level = if chance.below(2) == 0 { "process-crash" } else { "power-loss" };
        one_run(&folder, level, shape, &mut chance, &mut count).map_err(|why| {
            format!("run {} ({level}, kept in {}): {why}", count.runs, folder.display())
        })?;
        count.runs += 1;
    }
    let _ = std::fs::remove_dir_all(&base);
    let Count { runs, kills, at_points, acknowledged, repeated } = &count;
    let points: Vec<String> = at_points.iter().map(|(point, n)| format!("{point} {n}")).collect();
    let random = kills - at_points.values().sum::<u32>();
    say(&format!(
        "{runs} runs of {} graphs, {kills} kills: {}, at random {random}",
        shapes.len(),
        points.join(", ")
    ));
    say(&format!(
        "{acknowledged} completions looked at after a kill: 0 lost, 0 run again; {repeated} attempts under way repeated"
    ));
    Ok(())
}

/// Kills a run again and again, and lets it end.
fn one_run(
    folder: &Path,
    level: &str,
    shape: &Shape,
    chance: &mut Chance,
    count: &mut Count,
) -> Result<(), String> {
    let mut before = Seen::default();
    let mut under_way: BTreeMap<String, u32> = BTreeMap::new();
    for death in 0.. {
        let how = if death == DEATHS { None } else { Some(chance.pick(count)) };
        let was_killed = live_once(folder, level, shape, how.as_ref())?;
        let now = Seen::read(folder)?;
        now.check(&before, &mut under_way)?;
        if !was_killed {
            break;
        }
        count.kills += 1;
        if let Some(Death::At(point, _)) = how {
            *count.at_points.entry(point).or_default() += 1;
        }
        count.acknowledged += now.acknowledged.len();
        before = now;
    }
    let end = Seen::read(folder)?;
    count.repeated += end.check_end(&under_way, shape)?;
    Ok(())
}

/// How a process dies.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// When it comes to this point for the how-manieth time.
    At(&'static str, u32),
    After(Duration),
}

/// Lets a child live; whether it was killed.
fn live_once(
    folder: &Path,
    level: &str,
    shape: &Shape,
    how: Option<&Death>,
) -> Result<bool, String> {
    let program = std::env::current_exe().map_err(|why| why.to_string())?;
    let mut command = Command::new(program);
    let path = shape.path.as_ref().map(|path| path.to_string_lossy());
    let path = path.as_deref().unwrap_or("-");
    command.args(["child", &folder.to_string_lossy(), level, path]).stdin(Stdio::null());
    if let Some(Death::At(point, nth)) = how {
        command.arg(format!("{point}:{nth}"));
    }
    let mut child = command.spawn().map_err(|why| why.to_string())?;
    if let Some(Death::After(time)) = how {
        std::thread::sleep(*time);
        let _ = child.kill();
    }
    let status = child.wait().map_err(|why| why.to_string())?;
    if status.success() {
        return Ok(false);
    }
    use std::os::unix::process::ExitStatusExt as _;
    if status.signal() == Some(9) {
        Ok(true)
    } else {
        Err(format!("a child ended by itself: {status}"))
    }
}

/// What a death has left.
#[derive(Debug, Default)]
struct Seen {
    done: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
    /// How often each attempt had its effect: `key attempt`.
    effects: BTreeMap<String, u32>,
    outputs: BTreeMap<String, u64>,
}

impl Seen {
    fn read(folder: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(folder.join("journal")).unwrap_or_default();
        let ledger = scan(&bytes).map(|scan| Ledger::of(scan.records)).unwrap_or_default();
        let is_done =
            |task: &&tidegate_workflow::journal::Entry| task.outcome == Some(Outcome::Done);
        let done = ledger.tasks.iter().filter(is_done);
        let outputs = done.map(|task| Some((task.id.to_string(), task.returned()?)));
        let outputs = outputs.collect::<Option<_>>().ok_or("an output cannot be read")?;
        let mut effects = BTreeMap::new();
        lines(&folder.join("effects"), |line| *effects.entry(line.to_owned()).or_default() += 1);
        let mut acknowledged = BTreeSet::new();
        lines(&folder.join("acknowledged"), |line| {
            acknowledged.insert(line.to_owned());
        });
        Ok(Self {
            done: ledger.tasks.iter().filter(is_done).map(|task| task.id.to_string()).collect(),
            acknowledged,
            effects,
            outputs,
        })
    }

    /// Rules 1 and 2 since an earlier death, and what this one met under way.
    fn check(&self, before: &Self, under_way: &mut BTreeMap<String, u32>) -> Result<(), String> {
        if let Some(lost) = self.acknowledged.difference(&self.done).next() {
            return Err(format!("`{lost}` was acknowledged and is lost"));
        }
        if let Some(lost) = before.done.difference(&self.done).next() {
            return Err(format!("`{lost}` was done and is not any more"));
        }
        for (attempt, times) in &self.effects {
            let earlier = before.effects.get(attempt).copied().unwrap_or_default();
            let task = task_of(attempt);
            if earlier < *times && before.done.contains(task) {
                return Err(format!("`{attempt}` ran again after it was done"));
            }
            if !self.done.contains(task) {
                *under_way.entry(attempt.clone()).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Rules 3 to 5; how many attempts were repeated.
    fn check_end(&self, under_way: &BTreeMap<String, u32>, shape: &Shape) -> Result<usize, String> {
        for (attempt, times) in &self.effects {
            let may = 1 + under_way.get(attempt).copied().unwrap_or_default();
            if may < *times {
                return Err(format!(
                    "`{attempt}` had {times} effects, and {} deaths met it",
                    may - 1
                ));
            }
            if attempt.contains("once") && *times > 1 {
                return Err(format!("`{attempt}` was to have one effect, and had {times}"));
            }
        }
        let keys: BTreeSet<&str> = self.effects.keys().map(|attempt| task_of(attempt)).collect();
        let tasks = shape.needs.len();
        if keys.len() != tasks || self.done.len() != tasks {
            let (had, done) = (keys.len(), self.done.len());
            return Err(format!("of {tasks} tasks {had} had effects, {done} are done"));
        }
        let expected = shape.values().into_iter().enumerate();
        let expected: BTreeMap<String, u64> =
            expected.map(|(at, value)| (Shape::id(at), value)).collect();
        if self.outputs != expected {
            return Err("the outputs are others than those of a run that nobody killed".to_owned());
        }
        Ok(self.effects.values().filter(|times| **times > 1).count())
    }
}

/// `crash/task-7 1` is of `task-7`.
fn task_of(attempt: &str) -> &str {
    let key = attempt.split(' ').next().unwrap_or_default();
    key.split('/').nth(1).unwrap_or_default()
}

fn lines(path: &PathBuf, mut each: impl FnMut(&str)) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).for_each(&mut each);
}

/// Knuth's MMIX generator: the same deaths each time, as far as the machine's moods allow.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % n
    }

    /// Points that nobody has died at come first.
    fn pick(&mut self, count: &Count) -> Death {
        let fresh = POINTS.iter().find(|point| !count.at_points.contains_key(*point));
        match fresh {
            Some(point) if self.below(2) == 0 => {
                let nth = 1 + self.below(3) as u32;
                Death::At(point, if point.ends_with("truncate") { 1 } else { nth })
            }
            _ if self.below(2) == 0 => {
                let point = POINTS[self.below(POINTS.len() as u64) as usize];
                Death::At(point, 1 + self.below(40) as u32)
            }
            _ => Death::After(Duration::from_micros(self.below(60_000))),
        }
    }
}
