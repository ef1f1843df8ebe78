//! What everyone who talks to the engine holds.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Command, Engine};
use crate::offload::Pools;
use crate::run::TooMuch;
use crate::task::Task;

/// How many turns whoever tells something takes at most before it leaves the rest to the engine's own task.
const TURNS: usize = 8;

/// The way to the engine, its clock, its pools, and what there is of each resource.
///
/// 1. Whoever puts a command into the inbox then tries to take the engine. If it is taken, its holder sees the command:
///    it looks into the inbox once more after it has let go.
pub(crate) struct Link {
    inbox: Mutex<Inbox>,
    engine: Mutex<Option<Holding>>,
    /// Tells the engine's own task that there is something to do, or an earlier time to ring.
    wake: Notify,
    clock: Instant,
    pub(crate) pools: Pools,
    /// As the engine has it or is about to: by name.
    pub(crate) capacities: Mutex<HashMap<Arc<str>, u64>>,
}

#[derive(Default)]
struct Inbox {
    commands: Vec<Command>,
    is_closed: bool,
}

struct Holding {
    engine: Engine,
    /// What the engine works through; between turns its memory waits here.
    batch: Vec<Command>,
    /// When the engine's own task is going to ring.
    rings: Option<Duration>,
}

/// The engine is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Link {
    /// A link without an engine: what is sent waits until one is [put in](Self::attach).
    pub(crate) fn new(capacities: HashMap<Arc<str>, u64>) -> Self {
        Self {
            inbox: Mutex::default(),
            engine: Mutex::new(None),
            wake: Notify::new(),
            clock: Instant::now(),
            pools: Pools::default(),
            capacities: Mutex::new(capacities),
        }
    }

    pub(crate) fn attach(&self, engine: Engine) {
        *self.engine.lock() = Some(Holding { engine, batch: Vec::new(), rings: None });
    }

    /// Takes nothing more, and drops the engine with everything that it holds.
    pub(crate) fn close(&self) {
        let mut inbox = self.inbox.lock();
        inbox.is_closed = true;
        let commands = std::mem::take(&mut inbox.commands);
        drop(inbox);
        // Who has the engine now, which may be this very thread, drops it after its turn.
        let engine = self.engine.try_lock().and_then(|mut held| held.take());
        super::drop_contained((commands, engine));
    }

    /// Lets go of the engine; whether there may be more to do.
    fn let_go(&self, held: MutexGuard<'_, Option<Holding>>) -> bool {
        drop(held);
        let inbox = self.inbox.lock();
        if inbox.is_closed {
            drop(inbox);
            self.close();
            return false;
        }
        !inbox.commands.is_empty()
    }

    /// Tells the engine something. What follows from it has happened when this returns, or happens at once elsewhere.
    pub(crate) fn send(&self, command: Command) -> Result<(), Gone> {
        self.send_at(command, self.now())
    }

    /// The same, at a time that has just been read.
    pub(crate) fn send_at(&self, command: Command, now: Duration) -> Result<(), Gone> {
        let mut inbox = self.inbox.lock();
        if inbox.is_closed {
            return Err(Gone);
        }
        inbox.commands.push(command);
        drop(inbox);
        for _ in 0..TURNS {
            if !self.turn(now) {
                return Ok(());
            }
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Takes a turn of the engine, if something has come and nobody else has the engine. Whether there may be more to do.
    fn turn(&self, now: Duration) -> bool {
        let Some(mut held) = self.engine.try_lock() else { return false };
        let Some(holding) = held.as_mut() else { return false };
        std::mem::swap(&mut self.inbox.lock().commands, &mut holding.batch);
        if holding.turn(now) {
            self.wake.notify_one();
        }
        self.let_go(held)
    }

    /// The engine's own task: rings when something is due, and takes the turns that others leave over.
    pub(crate) async fn drive(self: Arc<Self>) -> Result<(), Infallible> {
        let mut rings = None;
        loop {
            let timer = async {
                match rings {
                    Some(at) => tokio::time::sleep_until(self.at(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = timer => {}
            }
            rings = self.turn_to_ring();
        }
    }

    /// A turn, whoever else may have the engine; when to ring next.
    fn turn_to_ring(&self) -> Option<Duration> {
        let mut held = self.engine.lock();
        let holding = held.as_mut()?;
        holding.rings = None;
        std::mem::swap(&mut self.inbox.lock().commands, &mut holding.batch);
        holding.turn(self.now());
        let rings = holding.rings;
        if self.let_go(held) {
            self.wake.notify_one();
        }
        rings
    }

    /// How long the engine has been there.
    pub(crate) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    pub(crate) fn at(&self, since_start: Duration) -> Instant {
        // What is further away than a clock can tell is far enough away.
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        self.clock + since_start.min(century)
    }

    /// Whether the task can ever have what it takes.
    pub(crate) fn check(&self, task: &Task) -> Result<(), TooMuch> {
        let Some(extras) = task.extras.as_deref() else { return Ok(()) };
        let capacities = self.capacities.lock();
        let too_much = |resource: &str, wanted: u64, capacity: Option<u64>| TooMuch {
            task: task.id.to_string(),
            resource: resource.to_owned(),
            wanted,
            capacity,
        };
        for (resource, wanted) in &extras.uses {
            match capacities.get(resource) {
                Some(capacity) if *wanted <= *capacity => {}
                capacity => return Err(too_much(resource, *wanted, capacity.copied())),
            }
        }
        let memory = memory_of(task.agent_name());
        match capacities.get(&*memory) {
            Some(capacity) if *capacity < extras.memory_mb => {
                Err(too_much(&memory, extras.memory_mb, Some(*capacity)))
            }
            _ => Ok(()),
        }
    }
}

impl Holding {
    /// A turn of the engine; whether its own task has to ring earlier than it is going to.
    fn turn(&mut self, now: Duration) -> bool {
        self.engine.turn(&mut self.batch, now);
        let due = self.engine.next_due();
        let earlier = due.filter(|due| self.rings.is_none_or(|rings| *due < rings));
        self.rings = earlier.or(self.rings);
        earlier.is_some()
    }
}

/// What an agent's memory is called among the resources.
pub(crate) fn memory_of(agent: &str) -> String {
    format!("memory of {agent}")
}
