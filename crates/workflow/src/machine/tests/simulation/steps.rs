//! What may happen next in a random schedule.

use super::*;

impl Simulation {
    pub(super) fn step(&mut self, next_run: &mut u64) {
        // In so short a schedule it would never come to that.
        if self.numbers.chance(20) {
            self.machine.admission.make_it_the_turn_of_the_oldest();
        }
        match self.numbers.below(20) {
            0 => {
                self.submit_run(*next_run);
                *next_run += 1;
            }
            1 => self.insert(),
            2 => {
                self.limit = self.numbers.below(7) as usize;
                let limit = self.limit;
                self.act(|machine, _, _| machine.set_limit(limit));
                let (of, capacity) = (self.numbers.below(2), 3 + self.numbers.below(4));
                self.capacity[of as usize] = capacity;
                self.act(|machine, _, _| machine.set_capacity(ResourceId(of as u32), capacity));
            }
            3 => {
                let agent = self.numbers.below(self.agents.len() as u64) as usize;
                let limit = self.numbers.below(5) as usize;
                self.agents[agent] = limit;
                self.act(|machine, _, _| machine.set_agent_limit(AgentId(agent as u32), limit));
            }
            4 if self.numbers.chance(20) => {
                if let Some(run) = self.open_runs.last().copied() {
                    self.act(|machine, _, out| machine.cancel_run(run, out));
                }
            }
            5 => {
                let known = self.class_of.len() as u64;
                if known > 0 {
                    let at = self.numbers.below(known) as usize;
                    let task = *self.class_of.keys().nth(at).expect("it is below the count");
                    self.act(|machine, _, out| machine.cancel_task(task, out));
                }
            }
            6 => {
                let known = self.class_of.len() as u64;
                if known > 0 {
                    let at = self.numbers.below(known) as usize;
                    let task = *self.class_of.keys().nth(at).expect("it is below the count");
                    let priority = self.numbers.below(5) as i32;
                    self.act(|machine, _, out| machine.set_priority(task, priority, out));
                }
            }
            7 => self.rerun(),
            8 if self.numbers.chance(50) => self.park(),
            8 | 9 => {
                self.now += SECOND * self.numbers.below(4) as u32;
                self.act(|machine, now, out| machine.tick(now, out));
            }
            _ => self.end_one(60),
        }
    }

    fn submit_run(&mut self, id: u64) {
        let run = RunId(id);
        let count = self.numbers.below(12);
        let specs: Vec<NodeSpec> = (0..count).map(|at| self.random_spec(at)).collect();
        for (node, spec) in (0..).zip(&specs) {
            self.remember(TaskRef { run, node }, spec);
        }
        let budget = self.numbers.chance(20).then(|| self.numbers.below(12));
        let timeout = self.numbers.chance(20).then(|| SECOND * self.numbers.below(30) as u32);
        let mut state = Run::new(self.numbers.chance(20), budget);
        specs.into_iter().for_each(|spec| state.push(spec));
        self.open_runs.insert(run);
        self.act(|machine, now, out| machine.submit(run, state, timeout, now, out));
    }

    fn insert(&mut self) {
        let Some(run) = self.open_runs.first().copied() else { return };
        let count = self.class_of.keys().filter(|task| task.run == run).count() as u32;
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
            needs.push(Need { task: count, on: On::Success });
        }
        self.act(|machine, now, out| {
            let _ = now;
            assert_eq!(machine.insert(run, spec, before, out), task);
        });
    }

    fn park(&mut self) {
        let count = self.running.len() as u64;
        if count > 0 {
            let at = self.numbers.below(count) as usize;
            let task = *self.running.keys().nth(at).expect("it is below the count");
            let is_new = self.parked.insert(task);
            self.act(|machine, _, _| assert_eq!(machine.park(task), is_new));
        }
    }

    /// Whatever is to run again has not kept what it came to.
    fn rerun(&mut self) {
        let tasks: Vec<TaskRef> = self.class_of.keys().copied().collect();
        if tasks.is_empty() {
            return;
        }
        let task = tasks[self.numbers.below(tasks.len() as u64) as usize];
        let downstream = self.numbers.chance(50);
        let reached: Vec<TaskRef> = tasks
            .into_iter()
            .filter(|of| of.run == task.run && *of != task && downstream)
            .filter(|of| self.machine.reaches(task.run, task.node, of.node))
            .chain([task])
            .collect();
        let had: Vec<TaskRef> =
            reached.iter().copied().filter(|of| self.ends.contains_key(of)).collect();
        let running: Vec<TaskRef> =
            reached.into_iter().filter(|of| self.running.contains_key(of)).collect();
        let mut begun = None;
        let mut again = BTreeSet::new();
        self.act(|machine, _, out| {
            begun = machine.rerun(task, downstream, out);
            let tasks = out.iter().filter_map(|action| match action {
                Action::Again { task, .. } => Some(*task),
                _ => None,
            });
            again.extend(tasks);
        });
        let Some(begun) = begun else { return };
        assert!(had.iter().all(|of| again.contains(of)), "{task:?}: {had:?}, but only {again:?}");
        for (at, node) in begun.iter().enumerate() {
            let later = &begun[at + 1..];
            let reaches = |of: &u32| self.machine.reaches(task.run, *node, *of);
            assert!(!later.iter().any(reaches), "{node} comes before what needs it");
        }
        self.discarded.extend(running);
    }

    fn end_one(&mut self, success_percent: u64) {
        let running = self.running.len() as u64;
        if running == 0 {
            return;
        }
        let at = self.numbers.below(running) as usize;
        let task = *self.running.keys().nth(at).expect("it is below the count");
        self.running.remove(&task);
        self.parked.remove(&task);
        let ended = if self.numbers.chance(success_percent) {
            Attempt::Succeeded
        } else {
            match self.numbers.below(10) {
                0 => Attempt::Declined,
                1 => Attempt::TimedOut,
                _ => Attempt::Failed { retryable: self.numbers.chance(80) },
            }
        };
        let took = SECOND * self.numbers.below(3) as u32;
        self.act(|machine, now, out| machine.ended(task, ended, took, now, out));
    }

    /// Lets everything come to its end.
    pub(super) fn drain(&mut self) {
        self.limit = 3;
        self.act(|machine, _, _| machine.set_limit(3));
        for of in 0..2 {
            self.capacity[of as usize] = 4;
            self.act(|machine, _, _| machine.set_capacity(ResourceId(of), 4));
        }
        for agent in 0..self.agents.len() {
            self.agents[agent] = self.agents[agent].max(1);
            let limit = self.agents[agent];
            self.act(|machine, _, _| machine.set_agent_limit(AgentId(agent as u32), limit));
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

    fn random_spec(&mut self, count: u64) -> NodeSpec {
        let mut needs: Vec<Need> = Vec::new();
        for _ in 0..self.numbers.below(4).min(count) {
            let task = self.numbers.below(count) as u32;
            if needs.iter().all(|need| need.task != task) {
                let on = match self.numbers.below(10) {
                    0 | 1 => On::End,
                    2 => On::Failure,
                    _ => On::Success,
                };
                needs.push(Need { task, on });
            }
        }
        let retry = Retry { attempts: 1 + self.numbers.below(3) as u32, ..Retry::default() };
        let timeout = self.numbers.chance(30).then(|| SECOND * (1 + self.numbers.below(5) as u32));
        NodeSpec {
            needs: needs.into_boxed_slice(),
            class: ClassId(self.numbers.below(self.classes.len() as u64) as u32),
            priority: self.numbers.below(3) as i32,
            estimate: self.numbers.below(9) as f32,
            complexity: 1.0,
            cost: self.numbers.below(3) as u32,
            policy: Policy { timeout, retry },
            past: None,
        }
    }
}
