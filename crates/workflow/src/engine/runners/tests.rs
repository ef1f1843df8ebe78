//! The runners' book, in random orders of their steps.

use super::book::{BATCH, Book, Left, More, Next, Rest};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Runner {
    Looking,
    Inside,
    Sleeping,
}

/// Runners and a driver in a random order of their steps; jobs are numbers of jobs.
struct Model {
    book: Book<u32, ()>,
    runners: Vec<Runner>,
    taken: u32,
    ended: usize,
    told: usize,
    seed: u64,
}

impl Model {
    fn below(&mut self, n: usize) -> usize {
        // Knuth's MMIX generator.
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.seed >> 33) as usize % n
    }

    fn act(&mut self, more: More) {
        match more {
            More::None => {}
            More::Spawn => self.runners.push(Runner::Looking),
            More::Wake => {
                let asleep = self.runners.iter().position(|of| *of == Runner::Sleeping);
                self.runners[asleep.expect("only a sleeping one is woken")] = Runner::Looking;
            }
        }
    }

    fn step(&mut self, jobs: &mut u32) {
        let count = self.runners.len();
        let at = self.below(count + 1);
        if at == count {
            let new = (self.below(3) as u32).min(*jobs);
            *jobs -= new;
            self.book.queue.extend(0..new);
            let more = self.book.needs_a_looker();
            self.act(more);
            return;
        }
        match self.runners[at] {
            Runner::Sleeping => {}
            Runner::Inside => {
                let ended = (self.below(4) > 0).then_some(());
                self.ended += usize::from(ended.is_some());
                let is_long = self.below(8) == 0;
                self.book.leave(Some(Left { ended, is_long }));
                self.runners[at] = Runner::Looking;
            }
            Runner::Looking => {
                let mut ends = Vec::new();
                match self.book.next(None, &mut ends) {
                    Next::Job { more, .. } => {
                        self.taken += 1;
                        self.runners[at] = Runner::Inside;
                        self.act(more);
                    }
                    Next::Tell => self.told += ends.len(),
                    Next::Nothing => match self.book.rest(2) {
                        Rest::Work => panic!("it has just found nothing"),
                        Rest::Sleep => self.runners[at] = Runner::Sleeping,
                        Rest::End => drop(self.runners.swap_remove(at)),
                    },
                }
            }
        }
    }
}

#[test]
fn while_a_job_is_queued_or_an_end_untold_somebody_who_sees_to_it_is_awake() {
    for seed in 0..500 {
        let (book, runners) = (Book::default(), Vec::new());
        let mut model = Model { book, runners, taken: 0, ended: 0, told: 0, seed };
        let mut jobs = 100;
        for _ in 0..2_000 {
            model.step(&mut jobs);
            let looking = model.runners.iter().filter(|of| **of == Runner::Looking).count();
            assert_eq!(looking, model.book.looking, "seed {seed}");
            assert!(!model.book.has_work() || looking > 0, "seed {seed}: nobody looks");
            assert!(model.book.ended.len() < BATCH + model.runners.len(), "seed {seed}");
            assert_eq!(model.runners.len(), model.book.all);
        }
        assert_eq!((model.taken, jobs), (100, 0), "seed {seed}");
        assert_eq!(model.told, model.ended, "seed {seed}: an end was not told");
        let awake = model.runners.iter().filter(|of| **of != Runner::Sleeping).count();
        assert!(model.runners.len() - awake <= 2, "seed {seed}: more sleep than are enough");
    }
}
