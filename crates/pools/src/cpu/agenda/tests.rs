use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use proptest::prelude::*;

use super::*;

const NORMAL: Priority = Priority::Normal;

/// Counts how often it is woken.
#[derive(Debug, Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // ORDERING: Relaxed; one thread.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bell {
    fn rings(&self) -> usize {
        // ORDERING: Relaxed; one thread.
        self.0.load(Ordering::Relaxed)
    }
}

fn bell() -> (Arc<Bell>, Waker) {
    let bell = Arc::new(Bell::default());
    (Arc::clone(&bell), Waker::from(bell))
}

fn noop() -> Waker {
    Waker::noop().clone()
}

/// The job; whoever was let in for it is woken.
fn take(agenda: &mut Agenda<u32>) -> Option<u32> {
    let Taken { job, entered, .. } = agenda.take()?;
    entered.into_iter().for_each(Waker::wake);
    Some(job)
}

#[test]
fn nobody_enters_past_those_who_wait_for_room() {
    let mut agenda = Agenda::new(1);
    assert!(agenda.push(NORMAL, 1).is_ok());
    assert_eq!(agenda.push(NORMAL, 2), Err(2));
    let second = agenda.wait(NORMAL, 2, noop());
    let third = agenda.wait(NORMAL, 3, noop());
    assert_eq!(take(&mut agenda), Some(1));
    // The room went to the first at the door at once.
    assert_eq!(agenda.push(NORMAL, 4), Err(4));
    assert_eq!(agenda.ask(second, noop()).0, Answer::Entered);
    assert_eq!(agenda.ask(third, noop()).0, Answer::Waits);
    assert_eq!((take(&mut agenda), take(&mut agenda), take(&mut agenda)), (Some(2), Some(3), None));
}

#[test]
fn a_caller_is_woken_by_the_waker_it_left_last() {
    let mut agenda = Agenda::new(1);
    assert!(agenda.push(NORMAL, 1).is_ok());
    let ((old, first), (new, second)) = (bell(), bell());
    let ticket = agenda.wait(NORMAL, 2, first);
    let (answer, former) = agenda.ask(ticket, second);
    assert_eq!(answer, Answer::Waits);
    assert!(
        former.will_wake(&Waker::from(Arc::clone(&old))),
        "the former one goes out to be dropped"
    );
    take(&mut agenda);
    assert_eq!((old.rings(), new.rings()), (0, 1));
}

#[test]
fn who_leaves_takes_job_and_waker_along_and_those_behind_move_up() {
    let mut agenda = Agenda::new(1);
    assert!(agenda.push(NORMAL, 1).is_ok());
    let (gone, waker) = bell();
    let second = agenda.wait(NORMAL, 2, waker);
    let third = agenda.wait(NORMAL, 3, noop());
    let (job, waker) = agenda.leave(second).expect("it stands at the door");
    assert_eq!(job, 2);
    assert_eq!(Arc::strong_count(&gone), 2, "the waker was not dropped in here");
    drop(waker);
    assert!(agenda.leave(second).is_none(), "it is gone");
    take(&mut agenda);
    assert_eq!(agenda.ask(third, noop()).0, Answer::Entered);
    assert!(agenda.leave(third).is_none(), "its job has entered and stays");
    assert_eq!((gone.rings(), agenda.waiting()), (0, 1));
}

#[test]
fn a_closed_agenda_runs_what_is_in_it_and_turns_away_who_stands_at_the_door() {
    let mut agenda = Agenda::new(1);
    assert!(agenda.push(NORMAL, 1).is_ok());
    let (told, waker) = bell();
    let ticket = agenda.wait(NORMAL, 2, waker);
    agenda.close().into_iter().for_each(Waker::wake);
    assert_eq!(told.rings(), 1);
    assert_eq!((take(&mut agenda), take(&mut agenda)), (Some(1), None), "nobody enters any more");
    assert_eq!(agenda.push(NORMAL, 3), Err(3), "though there is room");
    assert_eq!(agenda.ask(ticket, noop()).0, Answer::Closed);
    assert_eq!(agenda.leave(ticket).map(|(job, _)| job), Some(2));
}

#[test]
fn one_notice_is_out_at_a_time_and_none_while_somebody_searches() {
    let mut agenda = Agenda::new(8);
    assert_eq!(agenda.push(NORMAL, 0), Ok(false), "nobody sleeps");
    agenda.fall_asleep();
    agenda.fall_asleep();
    assert_eq!(agenda.push(NORMAL, 1), Ok(true));
    assert_eq!(agenda.push(NORMAL, 2), Ok(false), "one is on its way");
    agenda.wake_up();
    assert!(agenda.take().is_some_and(|taken| taken.wake), "it passes the notice on");
    agenda.wake_up();
    assert!(agenda.take().is_some());
    agenda.fall_asleep();
    assert!(agenda.take().is_some_and(|taken| !taken.wake), "nothing is left to come for");
    agenda.wake_up();
    assert!(agenda.start_search());
    assert!(!agenda.start_search(), "one searches already");
    agenda.fall_asleep();
    assert_eq!(agenda.push(NORMAL, 3), Ok(false), "the searcher finds it");
    agenda.end_search();
    assert_eq!(agenda.push(NORMAL, 4), Ok(true));
}

#[test]
fn threads_woken_by_the_end_leave_no_notice_behind() {
    let mut agenda = Agenda::<u32>::new(1);
    agenda.fall_asleep();
    agenda.close();
    agenda.wake_up();
    assert_eq!((agenda.sleeping, agenda.notices), (0, 0));
}

/// Threads and callers around an agenda, as the crew moves them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thread {
    Awake,
    Searching,
    Sleeping,
}

struct World {
    agenda: Agenda<u32>,
    threads: Vec<Thread>,
    notified: usize,
    /// What was accepted, by priority and in its order; what stands at the door.
    lanes: [VecDeque<u32>; 4],
    door: VecDeque<(u64, Priority, u32)>,
    jobs: u32,
}

impl World {
    fn new(capacity: usize, threads: usize) -> Self {
        Self {
            agenda: Agenda::new(capacity),
            threads: vec![Thread::Awake; threads],
            notified: 0,
            lanes: Default::default(),
            door: VecDeque::new(),
            jobs: 0,
        }
    }

    fn submit(&mut self, priority: Priority) {
        let job = self.jobs;
        self.jobs += 1;
        let room = self.lanes.iter().map(VecDeque::len).sum::<usize>() < self.agenda.capacity;
        match self.agenda.push(priority, job) {
            Ok(wake) => {
                assert!(
                    room && self.door.is_empty(),
                    "it entered past others or past the capacity"
                );
                self.lanes[priority as usize].push_back(job);
                self.notified += usize::from(wake);
            }
            Err(job) => {
                assert!(!room || !self.door.is_empty(), "there was room");
                let ticket = self.agenda.wait(priority, job, noop());
                self.door.push_back((ticket, priority, job));
            }
        }
    }

    fn leave(&mut self, at: usize) {
        if let Some((ticket, _, job)) = self.door.remove(at) {
            assert_eq!(self.agenda.leave(ticket).map(|(job, _)| job), Some(job));
        }
    }

    /// A thread that looks for a job; whether it got one. Without, it goes to search or to sleep.
    fn step(&mut self, at: usize) -> bool {
        match self.threads[at] {
            Thread::Awake => {}
            Thread::Searching => {
                self.agenda.end_search();
                if self.agenda.waiting() == 0 {
                    self.agenda.fall_asleep();
                    self.threads[at] = Thread::Sleeping;
                    return false;
                }
            }
            Thread::Sleeping if self.notified == 0 => return false,
            Thread::Sleeping => {
                self.notified -= 1;
                self.agenda.wake_up();
            }
        }
        self.threads[at] = Thread::Awake;
        let Some(taken) = self.agenda.take() else {
            let searches = self.agenda.start_search();
            self.threads[at] = if searches { Thread::Searching } else { Thread::Sleeping };
            if !searches {
                self.agenda.fall_asleep();
            }
            return false;
        };
        self.notified += usize::from(taken.wake);
        let first = self.lanes[taken.priority as usize].pop_front();
        assert_eq!(first, Some(taken.job), "equals come in their order");
        assert_eq!(taken.entered.is_some(), !self.door.is_empty(), "each take lets one in");
        if let Some((_, priority, job)) = self.door.pop_front() {
            self.lanes[priority as usize].push_back(job);
        }
        true
    }

    fn check(&self) {
        let sleeping = self.threads.iter().filter(|&&thread| thread == Thread::Sleeping).count();
        let searching = self.threads.contains(&Thread::Searching);
        assert_eq!((self.agenda.sleeping, self.agenda.notices), (sleeping, self.notified));
        assert!(self.agenda.waiting() <= self.agenda.capacity);
        if self.agenda.waiting() > 0 && sleeping > 0 {
            assert!(self.notified > 0 || searching, "a job waits, a thread sleeps, nobody comes");
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_invariants_hold_and_nothing_is_left_lying(
        capacity in 1..4_usize,
        threads in 1..4_usize,
        steps in prop::collection::vec((0..7_u8, 0..4_usize), 1..200),
    ) {
        let mut world = World::new(capacity, threads);
        for (what, which) in steps {
            match what {
                0..=2 => world.submit(Priority::ALL[which]),
                3 => world.leave(which),
                _ => drop(world.step(which % threads)),
            }
            world.check();
        }
        // Each thread goes on while it finds something; then all that was accepted is done.
        while (0..threads).any(|at| world.step(at))
            || world.threads.contains(&Thread::Searching)
        {
            world.check();
        }
        prop_assert_eq!((world.agenda.waiting(), world.door.len()), (0, 0));
    }
}
