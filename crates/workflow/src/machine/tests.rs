//! The machine under hand-written and random schedules, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::retry::Retry;

const SECOND: Duration = Duration::from_secs(1);

fn spec(agent: AgentId, needs: &[u32]) -> NodeSpec {
    NodeSpec {
        needs: needs.iter().map(|task| Need { task: *task, optional: false }).collect(),
        agent,
        priority: 0,
        estimate: SECOND,
        timeout: None,
        retry: Retry::NEVER,
    }
}

/// A machine with one agent, and its first run.
struct Bench {
    machine: Machine,
    out: Vec<Action>,
    now: Duration,
}

const RUN: RunId = RunId(7);

impl Bench {
    fn new(limit: usize, agent_limits: &[usize]) -> Self {
        let mut machine = Machine::new(limit);
        for limit in agent_limits {
            machine.add_agent(*limit);
        }
        Self { machine, out: Vec::new(), now: Duration::ZERO }
    }

    fn submit(&mut self, specs: Vec<NodeSpec>) {
        self.machine.submit(RUN, specs, false, self.now, &mut self.out);
    }

    fn end(&mut self, node: u32, ended: Attempt) {
        self.machine.ended(TaskRef { run: RUN, node }, ended, self.now, &mut self.out);
    }

    fn ok(&mut self, node: u32) {
        self.end(node, Attempt::Succeeded);
    }

    fn fail(&mut self, node: u32) {
        self.end(node, Attempt::Failed { retryable: true });
    }

    fn at(&mut self, now: Duration) {
        self.now = now;
        self.machine.tick(now, &mut self.out);
    }

    /// The tasks started since the last look.
    fn started(&mut self) -> Vec<u32> {
        let started = self.out.drain(..).filter_map(|action| match action {
            Action::Start { task, .. } => Some(task.node),
            _ => None,
        });
        started.collect()
    }

    fn ends(&mut self) -> Vec<(u32, End)> {
        let ends = self.out.drain(..).filter_map(|action| match action {
            Action::Settled { task, end } => Some((task.node, end)),
            _ => None,
        });
        ends.collect()
    }
}

const A: AgentId = AgentId(0);
const B: AgentId = AgentId(1);

#[test]
fn a_task_starts_when_all_it_needs_succeeded() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[1, 2]), spec(A, &[]), spec(A, &[])]);
    assert_eq!(bench.started(), [1, 2]);
    bench.ok(1);
    assert_eq!(bench.started(), []);
    bench.ok(2);
    assert_eq!(bench.started(), [0]);
}

#[test]
fn dependents_of_a_failure_are_skipped_with_its_root_and_others_go_on() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[0]), spec(A, &[1]), spec(A, &[])]);
    bench.fail(0);
    let because = End::Skipped { because: 0 };
    assert_eq!(bench.ends(), [(0, End::Failed), (1, because), (2, because)]);
    bench.ok(3);
    assert_eq!(bench.out.last(), Some(&Action::RunDone { run: RUN }));
}

#[test]
fn a_task_with_two_failed_needs_is_skipped_once() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[]), spec(A, &[0, 1])]);
    bench.fail(0);
    bench.fail(1);
    let skipped = bench.ends().into_iter().filter(|(node, _)| *node == 2).count();
    assert_eq!(skipped, 1);
}

#[test]
fn an_optional_need_may_fail() {
    let mut bench = Bench::new(9, &[9]);
    let mut wants = spec(A, &[]);
    wants.needs.push(Need { task: 0, optional: true });
    bench.submit(vec![spec(A, &[]), wants]);
    bench.fail(0);
    assert_eq!(bench.started(), [0, 1]);
}

#[test]
fn a_full_agent_blocks_only_itself() {
    let mut bench = Bench::new(9, &[1, 9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[]), spec(B, &[]), spec(B, &[])]);
    assert_eq!(bench.started(), [0, 2, 3]);
    assert_eq!(bench.machine.waiting(TaskRef { run: RUN, node: 1 }), Some(Waiting::AgentLimit));
}

#[test]
fn a_shrunk_limit_admits_nobody_until_use_is_below_it() {
    let mut bench = Bench::new(3, &[9]);
    bench.submit((0..6).map(|_| spec(A, &[])).collect());
    bench.machine.set_limit(1, bench.now, &mut bench.out);
    assert_eq!(bench.started(), [0, 1, 2]);
    bench.ok(0);
    bench.ok(1);
    assert_eq!(bench.started(), []);
    bench.ok(2);
    assert_eq!(bench.started(), [3]);
    bench.machine.set_limit(0, bench.now, &mut bench.out);
    bench.ok(3);
    assert_eq!(bench.started(), []);
}

#[test]
fn the_longest_way_to_the_end_starts_first_and_priority_overrides_it() {
    let mut bench = Bench::new(1, &[9]);
    let mut urgent = spec(A, &[]);
    urgent.priority = 1;
    bench.submit(vec![spec(A, &[]), spec(A, &[]), spec(A, &[1]), urgent]);
    for node in [3, 1] {
        assert_eq!(bench.started(), [node]);
        bench.ok(node);
    }
}

#[test]
fn a_task_behind_which_urgent_ones_keep_arriving_starts_within_the_stated_bound() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[])]);
    assert_eq!(bench.started(), [0]);
    let mut running = 0;
    for start in 1.. {
        let mut urgent = spec(A, &[]);
        urgent.priority = 5;
        bench.machine.insert(RUN, urgent, &[], bench.now, &mut bench.out);
        bench.ok(running);
        running = bench.started()[0];
        if running == 1 {
            assert!(start <= ready::AGEING, "started only after {start}");
            return;
        }
    }
}

#[test]
fn a_failed_attempt_is_repeated_after_its_delay_until_attempts_run_out() {
    let mut bench = Bench::new(1, &[9]);
    let mut flaky = spec(A, &[]);
    flaky.retry = Retry { attempts: 2, jitter: 0.0, ..Retry::default() };
    bench.submit(vec![flaky, spec(A, &[])]);
    bench.fail(0);
    assert_eq!(bench.started(), [0, 1], "waiting for a retry holds no slot");
    bench.ok(1);
    assert_eq!(bench.machine.next_due(), Some(SECOND));
    bench.at(SECOND - Duration::from_nanos(1));
    assert_eq!(bench.started(), []);
    bench.at(SECOND);
    assert_eq!(bench.started(), [0]);
    bench.fail(0);
    assert_eq!(bench.ends(), [(0, End::Failed)]);
}

#[test]
fn a_fatal_error_is_not_repeated() {
    let mut bench = Bench::new(1, &[9]);
    let mut flaky = spec(A, &[]);
    flaky.retry = Retry::attempts(5);
    bench.submit(vec![flaky]);
    bench.end(0, Attempt::Failed { retryable: false });
    assert_eq!(bench.ends(), [(0, End::Failed)]);
}

#[test]
fn an_attempt_past_its_timeout_is_stopped_and_counts_as_timed_out() {
    let mut bench = Bench::new(1, &[9]);
    let mut slow = spec(A, &[]);
    slow.timeout = Some(SECOND);
    bench.submit(vec![slow]);
    bench.at(SECOND);
    assert_eq!(bench.out.last(), Some(&Action::Stop { task: TaskRef { run: RUN, node: 0 } }));
    assert_eq!(bench.machine.load().0, 1, "its slot is taken until it has really ended");
    bench.fail(0);
    assert_eq!(bench.ends(), [(0, End::TimedOut)]);
}

#[test]
fn a_cancelled_run_stops_what_runs_and_ends_what_waits() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[]), spec(A, &[0])]);
    bench.machine.cancel_run(RUN, bench.now, &mut bench.out);
    bench.fail(0);
    let cancelled: BTreeSet<u32> = bench
        .ends()
        .into_iter()
        .filter(|(_, end)| *end == End::Cancelled)
        .map(|(node, _)| node)
        .collect();
    assert_eq!(cancelled, BTreeSet::from([0, 1, 2]));
    assert_eq!(bench.machine.load(), (0, 0));
}

#[test]
fn a_task_added_before_a_waiting_one_delays_it() {
    let mut bench = Bench::new(9, &[9]);
    bench.submit(vec![spec(A, &[]), spec(A, &[0])]);
    bench.machine.insert(RUN, spec(A, &[]), &[1], bench.now, &mut bench.out);
    assert!(bench.machine.reaches(RUN, 2, 1) && !bench.machine.reaches(RUN, 1, 2));
    bench.ok(0);
    assert_eq!(bench.started(), [0, 2]);
    bench.ok(2);
    assert_eq!(bench.started(), [1]);
}

#[test]
fn a_task_added_to_a_cancelled_run_never_starts() {
    let mut bench = Bench::new(1, &[9]);
    bench.submit(vec![spec(A, &[])]);
    bench.machine.cancel_run(RUN, bench.now, &mut bench.out);
    bench.machine.insert(RUN, spec(A, &[]), &[], bench.now, &mut bench.out);
    assert_eq!(bench.ends(), [(1, End::Cancelled)]);
}

/// A reproducible stream of numbers: xorshift64* (Vigna, 2016).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Drives one random schedule to its end and checks every invariant on the way.
struct Simulation {
    numbers: Numbers,
    machine: Machine,
    now: Duration,
    agents: Vec<usize>,
    limit: usize,
    running: BTreeMap<TaskRef, (AgentId, u32)>,
    agent_of: BTreeMap<TaskRef, AgentId>,
    needs_of: BTreeMap<TaskRef, Vec<Need>>,
    ends: BTreeMap<TaskRef, End>,
    attempts: BTreeMap<TaskRef, u32>,
    open_runs: BTreeSet<RunId>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let limit = 1 + numbers.below(6) as usize;
        let agents: Vec<usize> =
            (0..=numbers.below(3)).map(|_| 1 + numbers.below(4) as usize).collect();
        let mut machine = Machine::new(limit);
        for limit in &agents {
            machine.add_agent(*limit);
        }
        Self {
            numbers,
            machine,
            now: Duration::ZERO,
            agents,
            limit,
            running: BTreeMap::new(),
            agent_of: BTreeMap::new(),
            needs_of: BTreeMap::new(),
            ends: BTreeMap::new(),
            attempts: BTreeMap::new(),
            open_runs: BTreeSet::new(),
        }
    }

    fn random_spec(&mut self, count: u64) -> NodeSpec {
        let mut needs: Vec<Need> = Vec::new();
        for _ in 0..self.numbers.below(4).min(count) {
            let task = self.numbers.below(count) as u32;
            if needs.iter().all(|need| need.task != task) {
                needs.push(Need { task, optional: self.numbers.chance(20) });
            }
        }
        let retry = Retry { attempts: 1 + self.numbers.below(3) as u32, ..Retry::default() };
        NodeSpec {
            needs,
            agent: AgentId(self.numbers.below(self.agents.len() as u64) as u32),
            priority: self.numbers.below(3) as i32,
            estimate: SECOND * self.numbers.below(9) as u32,
            timeout: self.numbers.chance(30).then(|| SECOND * (1 + self.numbers.below(5) as u32)),
            retry,
        }
    }

    fn remember(&mut self, task: TaskRef, spec: &NodeSpec) {
        self.agent_of.insert(task, spec.agent);
        self.needs_of.insert(task, spec.needs.clone());
    }

    fn act(&mut self, step: impl FnOnce(&mut Machine, Duration, &mut Vec<Action>)) {
        let mut out = Vec::new();
        step(&mut self.machine, self.now, &mut out);
        for action in out {
            match action {
                Action::Start { task, attempt } => {
                    let agent = self.agent_of[&task];
                    assert!(
                        self.running.insert(task, (agent, attempt)).is_none(),
                        "{task:?} runs twice"
                    );
                    assert!(!self.ends.contains_key(&task), "{task:?} starts after its end");
                    assert_eq!(attempt, self.attempts.get(&task).copied().unwrap_or(0) + 1);
                    self.attempts.insert(task, attempt);
                    for need in &self.needs_of[&task] {
                        let end = self.ends.get(&TaskRef { run: task.run, node: need.task });
                        assert!(
                            end.is_some_and(|end| need.optional || *end == End::Succeeded),
                            "{task:?} starts too early"
                        );
                    }
                    // Limits only shrink between steps, so that a start is never over the limit in force.
                    assert!(self.running.len() <= self.limit, "the overall limit is exceeded");
                    let of_agent = self.running.values().filter(|(of, _)| *of == agent).count();
                    assert!(
                        of_agent <= self.agents[agent.0 as usize],
                        "the limit of {agent:?} is exceeded"
                    );
                }
                Action::Settled { task, end } => {
                    assert!(self.ends.insert(task, end).is_none(), "{task:?} ends twice");
                    assert!(!self.running.contains_key(&task), "{task:?} is over and runs");
                }
                Action::RunDone { run } => {
                    assert!(self.open_runs.remove(&run), "{run:?} is done twice")
                }
                Action::Ready { .. } | Action::Stop { .. } | Action::Retry { .. } => {}
            }
        }
    }

    fn submit_run(&mut self, id: u64) {
        let run = RunId(id);
        let count = self.numbers.below(12);
        let specs: Vec<NodeSpec> = (0..count).map(|at| self.random_spec(at)).collect();
        for (node, spec) in (0..).zip(&specs) {
            self.remember(TaskRef { run, node }, spec);
        }
        let fail_fast = self.numbers.chance(20);
        self.open_runs.insert(run);
        self.act(|machine, now, out| machine.submit(run, specs, fail_fast, now, out));
    }

    fn insert(&mut self) {
        let Some(run) = self.open_runs.first().copied() else { return };
        let count = self.agent_of.keys().filter(|task| task.run == run).count() as u32;
        let spec = self.random_spec(u64::from(count));
        let follower = self.numbers.below(u64::from(count.max(1))) as u32;
        let fits = self.machine.is_pending(TaskRef { run, node: follower })
            && !spec.needs.iter().any(|need| self.machine.reaches(run, follower, need.task));
        let before: &[u32] = if fits { &[follower] } else { &[] };
        let task = TaskRef { run, node: count };
        self.remember(task, &spec);
        if let [follower] = before {
            let needs =
                self.needs_of.get_mut(&TaskRef { run, node: *follower }).expect("it is pending");
            needs.push(Need { task: count, optional: false });
        }
        self.act(|machine, now, out| {
            assert_eq!(machine.insert(run, spec, before, now, out), Some(task))
        });
    }

    fn step(&mut self, next_run: &mut u64) {
        match self.numbers.below(20) {
            0 => {
                self.submit_run(*next_run);
                *next_run += 1;
            }
            1 => self.insert(),
            2 => {
                self.limit = self.numbers.below(7) as usize;
                let limit = self.limit;
                self.act(|machine, now, out| machine.set_limit(limit, now, out));
            }
            3 => {
                let agent = self.numbers.below(self.agents.len() as u64) as usize;
                let limit = self.numbers.below(5) as usize;
                self.agents[agent] = limit;
                self.act(|machine, now, out| {
                    machine.set_agent_limit(AgentId(agent as u32), limit, now, out)
                });
            }
            4 if self.numbers.chance(20) => {
                if let Some(run) = self.open_runs.last().copied() {
                    self.act(|machine, now, out| machine.cancel_run(run, now, out));
                }
            }
            5 => {
                let known = self.agent_of.len() as u64;
                if known > 0 {
                    let at = self.numbers.below(known) as usize;
                    let task = *self.agent_of.keys().nth(at).expect("it is below the count");
                    self.act(|machine, now, out| machine.cancel_task(task, now, out));
                }
            }
            6..=9 => {
                self.now += SECOND * self.numbers.below(4) as u32;
                self.act(|machine, now, out| machine.tick(now, out));
            }
            _ => self.end_one(60),
        }
    }

    fn end_one(&mut self, success_percent: u64) {
        let running = self.running.len() as u64;
        if running == 0 {
            return;
        }
        let at = self.numbers.below(running) as usize;
        let task = *self.running.keys().nth(at).expect("it is below the count");
        self.running.remove(&task);
        let ended = if self.numbers.chance(success_percent) {
            Attempt::Succeeded
        } else {
            Attempt::Failed { retryable: self.numbers.chance(80) }
        };
        self.act(|machine, now, out| machine.ended(task, ended, now, out));
    }

    /// Lets everything come to its end.
    fn drain(&mut self) {
        self.limit = 3;
        self.act(|machine, now, out| machine.set_limit(3, now, out));
        for agent in 0..self.agents.len() {
            self.agents[agent] = self.agents[agent].max(1);
            let limit = self.agents[agent];
            self.act(|machine, now, out| {
                machine.set_agent_limit(AgentId(agent as u32), limit, now, out)
            });
        }
        for _ in 0..100_000 {
            if self.open_runs.is_empty() {
                return;
            }
            if self.running.is_empty() {
                let due = self
                    .machine
                    .next_due()
                    .expect("a live run has a task that runs or waits for time");
                self.now = self.now.max(due);
                self.act(|machine, now, out| machine.tick(now, out));
            }
            self.end_one(90);
        }
        panic!("the schedule does not end: {:?}", self.machine);
    }
}

fn simulate(seed: u64) {
    let mut simulation = Simulation::new(seed);
    let mut next_run = 0;
    for _ in 0..120 {
        simulation.step(&mut next_run);
    }
    simulation.drain();
    for task in simulation.agent_of.keys() {
        assert!(simulation.ends.contains_key(task), "{task:?} was lost");
    }
    assert_eq!(simulation.machine.load(), (0, 0));
    assert!(simulation.machine.runs.is_empty(), "memory grows with finished runs");
    assert_eq!(simulation.machine.next_due(), None);
}

#[test]
fn no_random_schedule_exceeds_a_limit_or_loses_repeats_or_blocks_a_task() {
    let nightly = std::env::var_os("TIDEGATE_NIGHTLY").is_some();
    let seeds = if nightly { 1_000_000 } else { 10_000 };
    for seed in 0..seeds {
        if std::panic::catch_unwind(|| simulate(seed)).is_err() {
            panic!("seed {seed} fails; repeat it with TIDEGATE_SEED={seed}");
        }
    }
}

#[test]
fn the_seed_of_the_environment_is_repeated() {
    if let Some(seed) = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        simulate(seed);
    }
}
