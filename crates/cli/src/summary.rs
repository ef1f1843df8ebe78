//! The summary of a run: outcome, times, attempts, critical path, speed-up.

use std::io::{self, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Status, label};
use crate::job::shown;
use crate::style::Style;

/// What a run came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) run: String,
    pub(crate) status: Status,
    /// From start to end, in seconds.
    pub(crate) seconds: f64,
    /// All attempts one after another, in seconds.
    pub(crate) work_seconds: f64,
    /// `work_seconds / seconds`: how much faster than one after another.
    pub(crate) speed_up: f64,
    /// Tasks of the longest chain, first to last, in the time they took.
    pub(crate) critical_path: Vec<String>,
    pub(crate) critical_path_seconds: f64,
    pub(crate) counts: Counts,
    pub(crate) tasks: Vec<Line>,
    pub(crate) dir: String,
}

/// Commands by outcome; each item of a `foreach` counts.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) ok: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    pub(crate) cancelled: usize,
    pub(crate) retries: usize,
}

/// One command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) task: String,
    pub(crate) item: Option<String>,
    #[serde(default)]
    pub(crate) index: Option<usize>,
    pub(crate) status: Status,
    pub(crate) attempts: u32,
    pub(crate) seconds: f64,
    pub(crate) error: Option<String>,
    pub(crate) stdout_file: Option<String>,
    pub(crate) stderr_file: Option<String>,
}

/// Most tasks of one kind that the summary names.
const NAMED: usize = 20;

impl Summary {
    /// Writes the summary for people.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub(crate) fn write(&self, out: &mut impl Write, style: Style) -> io::Result<()> {
        writeln!(out)?;
        self.write_table(out, style)?;
        self.write_failures(out, style)?;
        let Counts { ok, failed, skipped, cancelled, retries } = self.counts;
        let mut counts = vec![style.good(&format!("{ok} ok"))];
        for (count, word) in [(failed, "failed"), (skipped, "skipped"), (cancelled, "not done")] {
            if count > 0 {
                counts.push(style.bad(&format!("{count} {word}")));
            }
        }
        if retries > 0 {
            counts.push(format!("{retries} retried attempts"));
        }
        let time = |seconds: f64| shown(Duration::from_secs_f64(seconds));
        writeln!(out, "{}  in {}", counts.join(", "), time(self.seconds))?;
        if self.work_seconds > 0.0 {
            writeln!(
                out,
                "one after another {}, speed-up {:.2}x",
                time(self.work_seconds),
                self.speed_up
            )?;
        }
        if !self.critical_path.is_empty() {
            let path = &self.critical_path;
            let path = match path.len() {
                0..=8 => path.join(" -> "),
                n => format!("{} -> … -> {} ({n} tasks)", path[..5].join(" -> "), path[n - 1]),
            };
            writeln!(out, "critical path {}: {path}", time(self.critical_path_seconds))?;
        }
        writeln!(out, "{}", style.faint(&format!("output of each task: {}/tasks/", self.dir)))
    }

    /// One line for each task; the items of a `foreach` are one line together.
    fn write_table(&self, out: &mut impl Write, style: Style) -> io::Result<()> {
        let mut rows: Vec<(String, Status, String, String)> = Vec::new();
        let mut rest = &self.tasks[..];
        while let Some(first) = rest.first() {
            let length = rest.iter().take_while(|line| line.task == first.task).count();
            let (group, others) = rest.split_at(length);
            rest = others;
            let worst = group.iter().map(|line| line.status).max().unwrap_or(Status::Ok);
            let attempts: u32 = group.iter().map(|line| line.attempts).sum();
            let seconds: f64 = group.iter().map(|line| line.seconds).sum();
            let time = shown(Duration::from_secs_f64(seconds));
            let ran = group.iter().filter(|line| line.attempts > 0).count();
            let name = match (length, &first.item) {
                (1, None) => first.task.clone(),
                _ => format!("{} ({length} items)", first.task),
            };
            let attempts = match attempts as usize {
                0 => String::new(),
                n if n == ran => time,
                n => format!("{time}, {n} attempts"),
            };
            let why = group.iter().find(|line| line.status == worst && worst != Status::Ok);
            let why = why.filter(|_| length == 1).and_then(|line| line.error.clone());
            rows.push((name, worst, attempts, why.unwrap_or_default()));
        }
        let width = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or(0).min(48);
        for (name, status, time, why) in rows.iter().take(2 * NAMED) {
            let word = match status {
                Status::Ok => style.good(&format!("{:<9}", status.word())),
                _ => style.bad(&format!("{:<9}", status.word())),
            };
            let line = format!("  {word}  {name:<width$}  {time:>8}  {why}");
            writeln!(out, "{}", line.trim_end())?;
        }
        if rows.len() > 2 * NAMED {
            writeln!(out, "  … and {} more tasks", rows.len() - 2 * NAMED)?;
        }
        writeln!(out)
    }

    /// What failed and where its output is, then what was not done.
    fn write_failures(&self, out: &mut impl Write, style: Style) -> io::Result<()> {
        let bad = |line: &&Line| matches!(line.status, Status::Failed | Status::TimedOut);
        for line in self.tasks.iter().filter(bad).take(NAMED) {
            let name = label(&line.task, line.index, line.item.as_deref());
            let error = line.error.as_deref().unwrap_or("failed");
            writeln!(out, "{} {name}: {error}", style.bad("failed"))?;
            if let Some(file) = &line.stderr_file {
                writeln!(out, "  {}", style.faint(&format!("see {file}")))?;
            }
        }
        let undone: Vec<String> = self
            .tasks
            .iter()
            .filter(|line| matches!(line.status, Status::Cancelled | Status::Skipped))
            .map(|line| label(&line.task, line.index, line.item.as_deref()))
            .collect();
        if !undone.is_empty() {
            let more = undone.len().saturating_sub(NAMED);
            let shown = undone[..undone.len().min(NAMED)].join(", ");
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            writeln!(out, "{} {shown}{more}", style.bad("not done:"))?;
        }
        Ok(())
    }
}
