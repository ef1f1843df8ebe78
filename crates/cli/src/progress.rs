//! Shows a run as it goes: bars on a terminal, lines in a pipe, JSON for programs, or nothing.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::event::{Event, Status, label};
use crate::job::shown;
use crate::style::Style;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Bars, when stderr is a terminal; else lines.
    Auto,
    Lines,
    Json,
    Quiet,
}

/// Shows events as they come.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    style: Style,
    show: Show,
    /// Whether standard output could not be written, though somebody reads it.
    is_broken: bool,
}

#[derive(Debug)]
enum Show {
    Bars(Bars),
    Lines,
    Json,
    Quiet,
}

impl Progress {
    /// Chooses the way to show by `mode` and by what stderr is.
    pub(crate) fn new(mode: Mode) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let show = match mode {
            Mode::Auto if terminal && !dumb => Show::Bars(Bars::new()),
            Mode::Auto | Mode::Lines => Show::Lines,
            Mode::Json => Show::Json,
            Mode::Quiet => Show::Quiet,
        };
        let style = Style::for_terminal(terminal);
        Self { started: Instant::now(), style, show, is_broken: false }
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, event: &Event) {
        let at = self.started.elapsed();
        match &mut self.show {
            Show::Bars(bars) => bars.show(event, at, self.style),
            Show::Lines => {
                if let Some(line) = line(event, at, self.style) {
                    let _ = writeln!(std::io::stderr().lock(), "{line}");
                }
            }
            Show::Json => {
                let written = writeln!(std::io::stdout().lock(), "{}", json(event, at));
                self.is_broken |= is_trouble(&written);
            }
            // A failure is worth a line even so.
            Show::Quiet => {
                if let Event::TaskFinished { status: Status::Failed | Status::TimedOut, .. } = event
                    && let Some(line) = line(event, at, self.style)
                {
                    let _ = writeln!(std::io::stderr().lock(), "{line}");
                }
            }
        }
    }

    /// Takes the bars away; whether all that was to be on standard output is there.
    pub(crate) fn finish(&mut self) -> bool {
        if let Show::Bars(bars) = &mut self.show {
            let _ = bars.all.clear();
        }
        !self.is_broken
    }
}

/// Whether something could not be written. That its reader has seen enough (`| head`) is no trouble.
pub(crate) fn is_trouble(written: &std::io::Result<()>) -> bool {
    written.as_ref().is_err_and(|error| error.kind() != std::io::ErrorKind::BrokenPipe)
}

/// An event as one JSON object, with `at`, the seconds since the start.
pub(crate) fn json(event: &Event, at: Duration) -> String {
    let mut value = serde_json::to_value(event).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        let at = (at.as_secs_f64() * 1e6).round() / 1e6;
        object.insert("at".to_owned(), at.into());
    }
    value.to_string()
}

/// An event as a line, when it is worth one.
fn line(event: &Event, at: Duration, style: Style) -> Option<String> {
    let text = match event {
        Event::RunStarted { run, tasks, file, .. } => {
            format!("run {run}: {tasks} tasks of {file}")
        }
        Event::TaskExpanded { task, items } => format!("{task}: {items} items"),
        Event::TaskStarted { task, item, index, attempt } => {
            let attempt =
                if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
            style.faint(&format!("start   {}{attempt}", label(task, *index, item.as_deref())))
        }
        Event::TaskRetrying { task, item, index, attempt, error, retry_in_seconds, stderr } => {
            let wait = shown(Duration::from_secs_f64(*retry_in_seconds));
            let name = label(task, *index, item.as_deref());
            let stderr = indented(stderr);
            format!("retry   {name}: attempt {attempt}: {error}; again in {wait}{stderr}")
        }
        Event::TaskFinished { task, item, index, status, seconds, error, stderr, .. } => {
            let name = label(task, *index, item.as_deref());
            let time = shown(Duration::from_secs_f64(*seconds));
            let word = format!("{:<7}", status.word());
            match (status, error) {
                (Status::Ok, _) => format!("{} {name}  {time}", style.good(&word)),
                (Status::Skipped | Status::Cancelled, error) => {
                    let error = error.as_deref().unwrap_or_default();
                    format!("{} {name}: {error}", style.bad(&word))
                }
                (_, error) => {
                    let error = error.as_deref().unwrap_or("failed");
                    let stderr = indented(stderr.as_deref().unwrap_or_default());
                    format!("{} {name}: {error}  {time}{stderr}", style.bad(&word))
                }
            }
        }
        Event::Interrupted { second: false, signal } => {
            format!("{signal}: ending what runs; once more to kill it")
        }
        Event::Interrupted { second: true, signal } => format!("{signal} again: killing"),
        Event::RunFinished(_) => return None,
    };
    Some(format!("{:>8}  {text}", format!("{:.1}s", at.as_secs_f64())))
}

fn indented(stderr: &str) -> String {
    stderr.lines().map(|line| format!("\n            | {line}")).collect()
}

/// Most running tasks that have a line of their own.
const LINES: usize = 8;

/// One bar over all, and a line for each running task while there is room.
#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    running: BTreeMap<String, Option<ProgressBar>>,
    failed: usize,
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(0));
        let template = "{elapsed_precise} {bar:32.green/dim} {pos}/{len} {msg}";
        total.set_style(style_of(template).progress_chars("━━─"));
        total.enable_steady_tick(Duration::from_millis(120));
        Self { all, total, running: BTreeMap::new(), failed: 0 }
    }

    fn show(&mut self, event: &Event, at: Duration, style: Style) {
        match event {
            Event::RunStarted { tasks, .. } => self.total.inc_length(*tasks as u64),
            // The task itself was counted as one.
            Event::TaskExpanded { items, .. } => {
                self.total
                    .set_length((self.total.length().unwrap_or(1) + *items as u64).max(1) - 1);
            }
            Event::TaskStarted { task, item, index, attempt } => {
                let name = label(task, *index, item.as_deref());
                let lines = self.running.values().filter(|bar| bar.is_some()).count();
                let bar = (lines < LINES).then(|| {
                    let bar = self.all.add(ProgressBar::new_spinner());
                    bar.set_style(style_of("  {spinner} {wide_msg} {elapsed}"));
                    bar.enable_steady_tick(Duration::from_millis(120));
                    let again =
                        if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                    bar.set_message(format!("{name}{again}"));
                    bar
                });
                self.running.insert(name, bar);
            }
            Event::TaskRetrying { task, item, index, .. } => {
                self.end(&label(task, *index, item.as_deref()))
            }
            Event::TaskFinished { task, item, index, status, .. } => {
                self.end(&label(task, *index, item.as_deref()));
                self.total.inc(1);
                self.failed += usize::from(matches!(status, Status::Failed | Status::TimedOut));
            }
            Event::Interrupted { .. } | Event::RunFinished(_) => {}
        }
        let quiet = matches!(
            event,
            Event::TaskStarted { .. } | Event::TaskFinished { status: Status::Ok, .. }
        );
        if !quiet && let Some(line) = line(event, at, style) {
            let _ = self.all.println(line);
        }
        let failed =
            if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        self.total.set_message(format!("{} running{failed}", self.running.len()));
    }

    fn end(&mut self, name: &str) {
        if let Some(Some(bar)) = self.running.remove(name) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }
}

fn style_of(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is valid")
}
