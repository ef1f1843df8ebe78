//! Scenario files: what the backend can do, and what it is offered, over time.
//!
//! One statement a line; `#` begins a comment.
//!
//! ```text
//! name      exponential service, servers 40 → 10 → 40
//! duration  60                        # seconds
//! backend   fcfs                      # or: usl CONTENTION
//! service   exponential               # or: fixed | lognormal CV | pareto TAIL (above 1) | bimodal FAST SLOW (parts of the mean) SHARE_OF_SLOW
//! start     20                        # the limit to begin with; 20 if left out
//! limiters  1                         # how many limiters share the backend; 1 if left out
//! clients   40                        # a closed loop: so many who ask again as soon as they are answered, in place of arrivals
//! bursts    1                         # how many arrive together, on average (geometric); 1 if left out
//! refuses   2.5                       # the backend refuses at once what is beyond so many times its servers; never if left out
//! at 0      servers 40  mean_ms 20  load 1.5
//! at 20     servers 10
//! ramp 40 50  servers 40              # moves in a straight line from what it was at 40 to this at 50
//! ```
//!
//! `fcfs` serves `servers` at a time, first come, first served. `usl` serves all at once, each slowed down by
//! `1 + a(n−1) + b·n(n−1)`, with `a` the contention and `b = (1−a)/servers²`, so that it does most at `servers` in flight. In both,
//! `servers` is the best limit. `load` is the rate of arrivals (Poisson) as a multiple of what the backend could do at time 0; it
//! has no meaning where there are `clients`, who wait at their limiter, in equal numbers at each.

use std::fmt;

#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) duration: f64,
    pub(crate) backend: Backend,
    pub(crate) service: Service,
    pub(crate) start: usize,
    pub(crate) limiters: usize,
    pub(crate) clients: Option<usize>,
    pub(crate) burst: f64,
    pub(crate) refuses: Option<f64>,
    changes: Vec<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Backend {
    Fcfs,
    Usl { contention: f64 },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Service {
    Fixed,
    Exponential,
    Lognormal { cv: f64 },
    Pareto { tail: f64 },
    Bimodal { fast: f64, slow: f64, share: f64 },
}

/// What holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Now {
    pub(crate) servers: f64,
    /// Seconds.
    pub(crate) mean: f64,
    pub(crate) load: f64,
}

#[derive(Debug, Clone, Copy)]
struct Change {
    from: f64,
    to: f64,
    key: Key,
    value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Key {
    Servers,
    Mean,
    Load,
}

/// What is wrong with a scenario file, and in which line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ScenarioError {
    line: usize,
    what: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl Scenario {
    /// Reads a scenario file.
    pub(crate) fn parse(text: &str) -> Result<Self, ScenarioError> {
        let mut scenario = Self {
            name: String::new(),
            duration: 0.0,
            backend: Backend::Fcfs,
            service: Service::Exponential,
            start: 20,
            limiters: 1,
            clients: None,
            burst: 1.0,
            refuses: None,
            changes: Vec::new(),
        };
        let mut lines = 0;
        for (index, line) in text.lines().enumerate() {
            lines = index + 1;
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            scenario.take(&words).map_err(|what| ScenarioError { line: lines, what })?;
        }
        scenario.check().map_err(|what| ScenarioError { line: lines, what })?;
        Ok(scenario)
    }

    fn take(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            [] => {}
            ["name", rest @ ..] => self.name = rest.join(" "),
            ["duration", value] => self.duration = positive(value)?,
            ["backend", "fcfs"] => self.backend = Backend::Fcfs,
            ["backend", "usl", value] => {
                self.backend = Backend::Usl { contention: between_0_and_1(value)? };
            }
            ["service", "fixed"] => self.service = Service::Fixed,
            ["service", "exponential"] => self.service = Service::Exponential,
            ["service", "lognormal", cv] => self.service = Service::Lognormal { cv: positive(cv)? },
            ["service", "pareto", tail] => self.service = Service::Pareto { tail: above_1(tail)? },
            ["service", "bimodal", fast, slow, share] => {
                let (fast, slow) = (positive(fast)?, positive(slow)?);
                let share = between_0_and_1(share)?;
                self.service = Service::Bimodal { fast, slow, share };
            }
            ["start", value] => self.start = positive(value)? as usize,
            ["limiters", value] => self.limiters = positive(value)?.max(1.0) as usize,
            ["clients", value] => self.clients = Some(positive(value)?.max(1.0) as usize),
            ["bursts", value] => self.burst = positive(value)?.max(1.0),
            ["refuses", value] => self.refuses = Some(positive(value)?),
            ["at", at, pairs @ ..] => {
                let at = number(at)?;
                self.change(at, at, pairs)?;
            }
            ["ramp", from, to, pairs @ ..] => self.change(number(from)?, number(to)?, pairs)?,
            [word, ..] => {
                return Err(format!(
                    "`{word}` with {} words after it is no statement; there are: name, duration, backend, service, \
                     start, limiters, clients, bursts, refuses, at, ramp",
                    words.len() - 1
                ));
            }
        }
        Ok(())
    }

    fn change(&mut self, from: f64, to: f64, pairs: &[&str]) -> Result<(), String> {
        if to < from || self.changes.last().is_some_and(|last| from < last.from) {
            return Err("times must not go back".to_owned());
        }
        if pairs.is_empty() || pairs.len() % 2 == 1 {
            return Err("pairs of a key and a value must follow the time".to_owned());
        }
        for pair in pairs.chunks(2) {
            let (key, value) = match pair[0] {
                "servers" => (Key::Servers, positive(pair[1])?),
                "mean_ms" => (Key::Mean, positive(pair[1])? / 1e3),
                "load" => (Key::Load, positive(pair[1])?),
                other => return Err(format!("`{other}` is none of servers, mean_ms, load")),
            };
            self.changes.push(Change { from, to, key, value });
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.duration <= 0.0 {
            return Err("`duration` is missing".to_owned());
        }
        let first = |key| self.changes.iter().any(|c| c.key == key && c.to == 0.0);
        if ![Key::Servers, Key::Mean].into_iter().all(first) {
            Err("`at 0` must set servers and mean_ms".to_owned())
        } else if self.clients.is_none() && !first(Key::Load) {
            Err("`at 0` must set load, or `clients` must".to_owned())
        } else if self.clients.is_some() && self.refuses.is_some() {
            Err("`clients` would ask again at once what `refuses` refuses".to_owned())
        } else {
            Ok(())
        }
    }

    fn value(&self, key: Key, at: f64) -> f64 {
        let mut value = 0.0;
        for change in self.changes.iter().filter(|c| c.key == key && c.from <= at) {
            if change.to <= at {
                value = change.value;
            } else {
                value += (change.value - value) * (at - change.from) / (change.to - change.from);
            }
        }
        value
    }

    pub(crate) fn now(&self, at: f64) -> Now {
        Now {
            servers: self.value(Key::Servers, at),
            mean: self.value(Key::Mean, at),
            load: self.value(Key::Load, at),
        }
    }

    /// Arrivals per second.
    pub(crate) fn arrivals(&self, at: f64) -> f64 {
        self.now(at).load * self.capacity(0.0)
    }

    /// Whether the backend refuses one more when it has `n` in hand.
    pub(crate) fn is_refused(&self, at: f64, n: usize) -> bool {
        self.refuses.is_some_and(|times| times * self.now(at).servers <= n as f64)
    }

    /// What could be done per second: by the backend, with what it is offered.
    pub(crate) fn possible(&self, at: f64) -> f64 {
        let offered = match self.clients {
            // None of them waits, and each has its answer as soon as the work takes.
            Some(clients) => {
                clients as f64 / (self.now(at).mean * self.slowdown(at, clients as f64))
            }
            None => self.arrivals(at),
        };
        self.capacity(at).min(offered)
    }

    /// How many times longer the work takes with `n` in flight, apart from waiting in line.
    pub(crate) fn slowdown(&self, at: f64, n: f64) -> f64 {
        match self.backend {
            Backend::Fcfs => 1.0,
            Backend::Usl { contention } => {
                let best = self.now(at).servers;
                let coherence = (1.0 - contention) / (best * best);
                1.0 + contention * (n - 1.0) + coherence * n * (n - 1.0)
            }
        }
    }

    /// The latency at the best limit.
    pub(crate) fn best_latency(&self, at: f64) -> f64 {
        let now = self.now(at);
        now.mean * self.slowdown(at, now.servers)
    }

    /// What the backend can do per second.
    pub(crate) fn capacity(&self, at: f64) -> f64 {
        self.now(at).servers / self.best_latency(at)
    }

    /// When the best limit changed at once, and whether it fell.
    pub(crate) fn steps(&self) -> Vec<(f64, bool)> {
        let steps = self.changes.iter().filter(|c| c.key == Key::Servers && 0.0 < c.from);
        let steps = steps.filter(|c| c.from == c.to);
        steps.map(|c| (c.from, c.value < self.value(Key::Servers, c.from - 1e-6))).collect()
    }
}

fn number(word: &str) -> Result<f64, String> {
    match word.parse::<f64>() {
        Ok(value) if value.is_finite() && 0.0 <= value => Ok(value),
        _ => Err(format!("`{word}` must be a number, 0 or more")),
    }
}

fn positive(word: &str) -> Result<f64, String> {
    number(word)
        .ok()
        .filter(|value| 0.0 < *value)
        .ok_or_else(|| format!("`{word}` must be a number above 0"))
}

fn above_1(word: &str) -> Result<f64, String> {
    number(word)
        .ok()
        .filter(|value| 1.0 < *value)
        .ok_or_else(|| format!("`{word}` must be a number above 1"))
}

fn between_0_and_1(word: &str) -> Result<f64, String> {
    number(word)
        .ok()
        .filter(|value| *value < 1.0)
        .ok_or_else(|| format!("`{word}` must be a number from 0 to below 1"))
}
