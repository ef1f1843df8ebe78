//! Random trees of groups, whose tasks yield, fail, panic, hang, spawn, cancel, and own groups of their own. Whatever the
//! tree, once the wait returned: none is alive, each task is accounted for exactly once, the failure that came first is the
//! cause, no limit was passed, every place is back.
//!
//! A tree follows from its seed alone; a failure names it. On one thread the run does, too.

use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tidegate_taskgroup::{Cause, Failure, FailureKind, GroupError, Policy, Spawner, TaskGroup};
use tokio::task::yield_now;

use crate::alive::Count;

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to draw trees with.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

#[derive(Debug, Clone)]
struct Group {
    policy: Policy,
    limit: Option<usize>,
    grace: Duration,
    /// After so many yields the owner cancels, if the group has not ended.
    patience: u64,
    /// One thread runs it all: what tasks tell is in the order in which they end.
    ordered: bool,
    tasks: Vec<Task>,
}

#[derive(Debug, Clone)]
struct Task {
    yields: u64,
    then: Then,
}

#[derive(Debug, Clone)]
enum Then {
    Value,
    Fail,
    Panic,
    Hang,
    /// Ends by itself when the group is cancelled.
    Obey,
    Cancel,
    Spawn(Vec<Task>),
    Own(Group),
    /// Owns a group and drops it instead of waiting for it.
    Leave(Group),
}

impl Random {
    fn group(&mut self, depth: u64, timed: bool) -> Group {
        let policies = [Policy::FailFast, Policy::FailFast, Policy::CollectAll, Policy::Supervise];
        let policy = policies[self.below(4) as usize];
        let limit = (self.below(2) == 0).then(|| 1 + self.below(3) as usize);
        let grace = Duration::from_millis(if timed { self.below(2) * 50 } else { 0 });
        let (patience, tasks) = (1 + self.below(20), self.tasks(depth, timed));
        Group { policy, limit, grace, patience, ordered: timed, tasks }
    }

    fn tasks(&mut self, depth: u64, timed: bool) -> Vec<Task> {
        (0..self.below(5)).map(|_| self.task(depth, timed)).collect()
    }

    fn task(&mut self, depth: u64, timed: bool) -> Task {
        let then = match self.below(if depth == 0 { 9 } else { 14 }) {
            0..=2 => Then::Value,
            3 => Then::Fail,
            4 => Then::Panic,
            5 | 6 => Then::Hang,
            7 => Then::Obey,
            8 => Then::Cancel,
            9 | 10 => Then::Spawn(self.tasks(depth - 1, timed)),
            11 | 12 => Then::Own(self.group(depth - 1, timed)),
            _ => Then::Leave(self.group(depth - 1, timed)),
        };
        Task { yields: self.below(4), then }
    }
}

/// What a run of one group did, told by its tasks.
#[derive(Debug, Default)]
struct Told {
    accepted: AtomicUsize,
    values: AtomicUsize,
    failures: Mutex<Vec<u32>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    tickets: AtomicUsize,
    alive: Count,
}

/// One who runs; gone, it does not.
struct Runs<'t>(&'t Told);

impl<'t> Runs<'t> {
    fn new(told: &'t Told) -> Self {
        told.most_running
            .fetch_max(told.running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Self(told)
    }
}

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

type Boxed = Pin<Box<dyn Future<Output = Result<(), u32>> + Send>>;

fn spawn(group: &Spawner<(), u32>, told: &Arc<Told>, whole: &Count, task: Task) {
    // Alive from before it is taken until its future is dropped, whether it was started or not.
    let alive = (told.alive.one(), whole.one());
    let (told_inside, whole) = (Arc::clone(told), whole.clone());
    let work: Boxed = {
        let group = group.clone();
        Box::pin(async move {
            let _alive = alive;
            run(group, told_inside, whole, task).await
        })
    };
    if group.spawn(work).is_ok() {
        told.accepted.fetch_add(1, Ordering::SeqCst);
    }
}

async fn run(
    group: Spawner<(), u32>,
    told: Arc<Told>,
    whole: Count,
    task: Task,
) -> Result<(), u32> {
    let _runs = Runs::new(&told);
    for _ in 0..task.yields {
        yield_now().await;
    }
    let ticket = told.tickets.fetch_add(1, Ordering::SeqCst) as u32;
    match task.then {
        Then::Value => {}
        Then::Fail => {
            told.failures.lock().expect("nobody panics under it").push(ticket);
            return Err(ticket);
        }
        // Past the panic hook, which would print a hundred thousand of them.
        Then::Panic => {
            told.failures.lock().expect("nobody panics under it").push(ticket);
            resume_unwind(Box::new(ticket.to_string()))
        }
        Then::Hang => pending().await,
        Then::Obey => group.cancelled().await,
        Then::Cancel => group.cancel(),
        Then::Spawn(more) => more.into_iter().for_each(|task| spawn(&group, &told, &whole, task)),
        Then::Own(below) => own(Some(&group), below, &whole, true).await,
        Then::Leave(below) => own(Some(&group), below, &whole, false).await,
    }
    told.values.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// Owns a group: fills it, waits for it, checks it.
fn own<'w>(
    parent: Option<&Spawner<(), u32>>,
    plan: Group,
    whole: &'w Count,
    wait: bool,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'w>> {
    let mut settings = TaskGroup::builder().policy(plan.policy).grace(plan.grace);
    if let Some(limit) = plan.limit {
        settings = settings.limit(limit);
    }
    let group = match parent {
        Some(parent) => parent.child_with(settings),
        None => settings.build(),
    };
    Box::pin(async move {
        let (told, spawner) = (Arc::new(Told::default()), group.spawner());
        plan.tasks.iter().for_each(|task| spawn(&group, &told, whole, task.clone()));
        if !wait {
            yield_now().await;
            return drop(group);
        }
        let mut wait = group.wait();
        let mut yields = 0;
        let verdict = loop {
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut wait).poll(cx))).await;
            if let Poll::Ready(verdict) = polled {
                break verdict;
            }
            if yields == plan.patience {
                spawner.cancel();
                break wait.await;
            }
            yields += 1;
            yield_now().await;
        };
        check(&plan, &told, &spawner, verdict);
    })
}

fn check(
    plan: &Group,
    told: &Told,
    spawner: &Spawner<(), u32>,
    verdict: Result<Vec<()>, GroupError<u32>>,
) {
    assert_eq!(told.alive.now(), 0, "a task is alive after the wait");
    assert_eq!(told.running.load(Ordering::SeqCst), 0, "a task runs after the wait");
    assert_eq!(
        (spawner.live(), spawner.running(), spawner.waiting()),
        (0, 0, 0),
        "places are back"
    );
    let most = told.most_running.load(Ordering::SeqCst);
    assert!(plan.limit.is_none_or(|limit| most <= limit), "{most} ran at a time");
    let accepted = told.accepted.load(Ordering::SeqCst);
    let values = told.values.load(Ordering::SeqCst);
    let failures = std::mem::take(&mut *told.failures.lock().expect("nobody panics under it"));
    match verdict {
        Ok(given) => {
            assert_eq!(given.len(), values, "every value is given");
            let recorded = if plan.policy == Policy::Supervise { failures.len() } else { 0 };
            assert_eq!(accepted, values + recorded, "Ok, and a task gave no value");
        }
        Err(error) => {
            let after = error.aftermath;
            let failed = matches!(error.cause, Cause::Task(_));
            let mut told_of: Vec<u32> = after.followers.iter().map(ticket).collect();
            if let Cause::Task(failure) = &error.cause {
                let first = ticket(failure);
                assert!(failures.contains(&first), "the cause failed");
                assert!(!told_of.contains(&first), "the cause is no follower");
                assert!(!plan.ordered || first == failures[0], "the first failure is the cause");
                told_of.push(first);
            }
            assert!(failed || after.cancelled + after.aborted_count + told_of.len() != 0);
            assert_eq!(told_of.len() + after.omitted, failures.len(), "each failure once");
            let cut_short = after.cancelled + after.aborted_count;
            assert_eq!(accepted, values + failures.len() + cut_short, "each task once");
            assert!(plan.grace != Duration::ZERO || after.aborted_count == 0);
        }
    }
}

fn ticket(failure: &Failure<u32>) -> u32 {
    match &failure.kind {
        FailureKind::Failed(ticket) => *ticket,
        FailureKind::Panicked(panic) => panic.message().parse().expect("a ticket"),
    }
}

/// Says which tree it was, when a check of it panics.
struct Naming(u64);

impl Drop for Naming {
    #[expect(clippy::print_stdout, reason = "shown with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the tree of seed {}", self.0);
        }
    }
}

/// Draws the tree of a seed, runs it, and checks it.
pub(crate) async fn tree(seed: u64, timed: bool) {
    let _naming = Naming(seed);
    let plan = Random(seed).group(3, timed);
    let whole = Count::default();
    own(None, plan, &whole, true).await;
    assert_eq!(whole.now(), 0, "a task of a group below is alive after the wait of the root");
}
