//! What everyone who talks to the engine holds.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::attempt::{Ended, Job};
use super::combine::{After, Broken, Combine};
use super::runners::Taker;
use super::{Command, Engine, Waste};
use crate::executor::Executor;
use crate::offload::Pools;
use crate::run::TooMuch;
use crate::task::{DEFAULT_AGENT, Extras, panicked};

/// How many turns whoever tells something takes at most before it leaves the rest to the engine's own task.
const TURNS: usize = 8;

/// The way to the engine, its clock, its pools, and what there is of each resource.
pub(crate) struct Link {
    engine: Combine<Driven, Command>,
    /// Tells the engine's own task that there is something to do, or an earlier time to ring.
    wake: Notify,
    clock: Instant,
    pub(crate) pools: Pools,
    /// Who runs what is known by its name.
    pub(crate) executor: Option<Arc<dyn Executor>>,
    /// A number that no other engine of any process has.
    pub(crate) instance: u64,
    /// As the engine has it or is about to: by name.
    pub(crate) capacities: Mutex<HashMap<Arc<str>, u64>>,
}

struct Driven {
    engine: Engine,
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
    pub(crate) fn new(
        capacities: HashMap<Arc<str>, u64>,
        executor: Option<Arc<dyn Executor>>,
    ) -> Self {
        Self {
            engine: Combine::default(),
            wake: Notify::new(),
            clock: Instant::now(),
            pools: Pools::default(),
            executor,
            // The seed of a hasher is random.
            instance: foldhash::quality::RandomState::default().hash_one(SystemTime::now()),
            capacities: Mutex::new(capacities),
        }
    }

    pub(crate) fn attach(&self, engine: Engine) {
        self.engine.attach(Driven { engine, rings: None });
    }

    /// Takes nothing more, and drops the engine with everything that it holds; if it is in use, its user does so after the
    /// turn.
    pub(crate) fn close(&self) {
        let (commands, driven) = self.engine.close();
        if let Some(driven) = driven {
            driven.engine.discard();
        }
        commands.into_iter().for_each(Command::discard);
    }

    /// Tells the engine something. What follows from it has happened when this returns, or happens at once elsewhere.
    pub(crate) fn send(&self, command: Command) -> Result<(), Gone> {
        self.send_all([command], self.now())
    }

    /// The same with several commands, at a time that has just been read.
    pub(crate) fn send_all(
        &self,
        commands: impl IntoIterator<Item = Command>,
        now: Duration,
    ) -> Result<(), Gone> {
        self.take_turns(commands, now, &mut Taker::default())
    }

    /// Tells the engine that an attempt is over which was a task of the runtime; what that one goes on with.
    pub(super) fn end(&self, ended: Ended) -> Option<Job> {
        let (mut by, now) = (Taker::that_goes_on(), ended.ended);
        // The engine may have gone, and with it whoever would want to know.
        self.take_turns([Command::Ended(ended)], now, &mut by).ok()?;
        by.next()
    }

    fn take_turns(
        &self,
        commands: impl IntoIterator<Item = Command>,
        now: Duration,
        by: &mut Taker,
    ) -> Result<(), Gone> {
        self.engine.put(commands).map_err(refused)?;
        for _ in 0..TURNS {
            let mut waste = Vec::new();
            let after = self.engine.try_turn(|driven, commands| {
                driven.engine.turn(commands, now, by);
                if driven.rings_earlier() {
                    self.wake.notify_one();
                    by.has_woken();
                }
                waste = driven.engine.take_waste();
            });
            by.share();
            waste.into_iter().for_each(Waste::discard);
            if !is_more(after)? {
                return Ok(());
            }
            if by.is_wanted() {
                break;
            }
        }
        self.wake.notify_one();
        by.has_woken();
        by.share();
        Ok(())
    }

    /// Tells the engine something that its own task will see to, with whatever else has come by then.
    pub(crate) fn leave(&self, command: Command) -> Result<(), Gone> {
        self.engine.put([command]).map_err(refused)?;
        self.wake.notify_one();
        Ok(())
    }

    /// Wakes the engine's own task.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
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
        let (mut rings, mut waste) = (None, Vec::new());
        let after = self.engine.turn(|driven, commands| {
            // What it spawns runs next on this worker, or on another.
            driven.engine.turn(commands, self.now(), &mut Taker::default());
            driven.rings = driven.engine.next_due();
            rings = driven.rings;
            waste = driven.engine.take_waste();
        });
        waste.into_iter().for_each(Waste::discard);
        if let Ok(true) = is_more(after) {
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
    pub(crate) fn check(
        &self,
        id: &str,
        agent: Option<&str>,
        extras: Option<&Extras>,
    ) -> Result<(), TooMuch> {
        let Some(extras) = extras else { return Ok(()) };
        let capacities = self.capacities.lock();
        let too_much = |resource: &str, wanted: u64, capacity: Option<u64>| TooMuch {
            task: id.to_owned(),
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
        let others = extras.any_of.iter().map(|name| &**name);
        for agent in others.chain([agent.unwrap_or(DEFAULT_AGENT)]) {
            let memory = memory_of(agent);
            match capacities.get(&*memory) {
                Some(capacity) if *capacity < extras.memory_mb => {
                    return Err(too_much(&memory, extras.memory_mb, Some(*capacity)));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Drops what nobody takes any more.
fn refused(commands: impl IntoIterator<Item = Command>) -> Gone {
    commands.into_iter().for_each(Command::discard);
    Gone
}

/// Whether there is more to do after a turn. An engine that was closed meanwhile is dropped, and so is one whose turn has
/// panicked: whoever waits for something of it hears that there is no answer.
fn is_more(after: After<Driven, Command>) -> Result<bool, Gone> {
    match after {
        After::Nothing => Ok(false),
        After::More => Ok(true),
        After::Closed(driven) => {
            driven.engine.discard();
            Ok(false)
        }
        After::Broken(broken) => {
            let Broken { state, messages, panic } = *broken;
            state.engine.broke(panicked(panic).message());
            state.engine.discard();
            Err(refused(messages))
        }
    }
}

impl Driven {
    /// Whether the engine's own task has to ring earlier than it is going to.
    fn rings_earlier(&mut self) -> bool {
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
