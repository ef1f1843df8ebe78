//! Taking, giving back, and handing on: what keeps the invariants of the module above.

use std::task::Waker;
use std::time::Instant;

use crate::queue::{Left, Oversize, Place, Polled};
use crate::sync::{MutexGuard, Ordering};
use crate::word::{self, CLOSED, QUEUED, WATCHED, Word};

use super::permit::Taken;
use super::wakes::Wakes;
use super::{AcquireError, Semaphore, Shared, TryAcquireError};

impl Semaphore {
    pub(super) fn load(&self) -> Word {
        // ORDERING: Acquire; pairs with the Release of `close` and of `give`. With Relaxed this could fail:
        //   A: result = 7; semaphore.close()    B: if semaphore.is_closed() { assert_eq!(result, 7) }
        Word(self.word.load(Ordering::Acquire))
    }

    /// Takes `weight` if it fits and nobody waits; why not, otherwise.
    #[inline]
    pub(super) fn take(&self, weight: u32) -> Result<(), TryAcquireError> {
        self.take_at_once(weight).or_else(|word| self.refuse(word, weight))
    }

    /// Takes `weight` if it fits and nobody waits; the word that speaks against it, otherwise.
    #[inline]
    pub(super) fn take_at_once(&self, weight: u32) -> Result<(), Word> {
        // ORDERING: Relaxed; the CAS below confirms what was read, and a refusal promises nothing but Closed.
        let mut word = Word(self.word.load(Ordering::Relaxed));
        loop {
            if word.has(QUEUED | CLOSED) || !word.fits(weight) {
                return Err(word);
            }
            // ORDERING: Acquire; pairs with the Release of `give`. With Relaxed this could fail, at limit 1:
            //   A: data = 7; drop(permit)    B: let permit = acquire(); assert_eq!(data, 7)
            match self.word.compare_exchange_weak(
                word.0,
                word.taking(weight).0,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(actual) => word = Word(actual),
            }
        }
    }

    #[cold]
    fn refuse(&self, word: Word, weight: u32) -> Result<(), TryAcquireError> {
        if word.has(CLOSED) {
            // ORDERING: Acquire, as in `load`: the closer's writes are promised to whoever is told.
            self.word.load(Ordering::Acquire);
            Err(TryAcquireError::Closed)
        } else if weight == 0 {
            Ok(())
        } else {
            Err(TryAcquireError::NoPermits)
        }
    }

    /// Gives `weight` back, and to whom it may concern.
    #[inline]
    pub(super) fn give(&self, Taken { weight, waited }: Taken) {
        // ORDERING: Relaxed; a hint. If QUEUED is set meanwhile, the word that `fetch_sub` returns says so.
        if waited && Word(self.word.load(Ordering::Relaxed)).has(QUEUED) {
            return self.hand_over(weight);
        }
        // ORDERING: Release; pairs with the Acquire of `take` and of `settle` (see there). Acquire as well, because the one
        // who settles after this passes on what others gave back before.
        let before = Word(self.word.fetch_sub(Word::used(weight), Ordering::AcqRel));
        if before.has(QUEUED) || before.has(WATCHED) && before.in_use() == weight {
            self.settle_slowly();
        }
    }

    /// Gives back while somebody waits. If the head asks for as much as comes back, it takes the giver's place: the word
    /// does not change.
    #[cold]
    #[inline(never)]
    pub(super) fn hand_over(&self, weight: u32) {
        let mut shared = self.shared.lock();
        // ORDERING: Relaxed. QUEUED cannot go while we hold the lock; a resize that comes between this load and the grant
        // has not returned, for it needs the lock: the grant came before it. What the giver wrote reaches the one granted
        // through the frontier or the lock.
        let word = Word(self.word.load(Ordering::Relaxed));
        if word.in_use() <= word.limit()
            && let Some(waker) = shared.queue.grant_one_of_many(weight, self.now())
        {
            self.publish(&shared);
            // What was too little for the old head may be enough for the new one. If there was nothing left, there is
            // still: whoever changes that from now on finds QUEUED, and settles once we are done.
            if word.in_use() < word.limit() || shared.queue.has_litter() {
                return self.settle_and_wake(shared, Wakes::of(waker));
            }
            drop(shared);
            return waker.wake();
        }
        // ORDERING: AcqRel, as in `give`.
        self.word.fetch_sub(Word::used(weight), Ordering::AcqRel);
        self.settle_and_wake(shared, Wakes::new());
    }

    #[cold]
    #[inline(never)]
    pub(super) fn settle_slowly(&self) {
        self.settle_and_wake(self.shared.lock(), Wakes::new());
    }

    /// Restores the invariants after something became free, and collects who must be woken: the head is admitted as long
    /// as it fits; QUEUED is cleared with the last; those who watch for idleness are told.
    pub(super) fn settle(&self, shared: &mut Shared, wakes: &mut Wakes) {
        // The clock is read at most once, and only if somebody is admitted.
        let mut now = None;
        while let Some((weight, is_last)) = shared.queue.head() {
            // ORDERING: Acquire; pairs with the Release of `give`: the weight given back comes with its giver's writes. The
            // lock passes them on to the one admitted, who collects under it.
            let admitted = self.update(Ordering::Acquire, |word| {
                let taken = word.fits(weight).then(|| word.taking(weight))?;
                Some(if is_last { taken.without(QUEUED) } else { taken })
            });
            if admitted.is_none() {
                return;
            }
            now = now.or_else(|| self.now());
            wakes.push(shared.queue.grant_head(now));
            self.publish(shared);
        }
        // Nobody waits. ORDERING: Acquire, as above: the watchers see what the last holder wrote.
        let before = self.update(Ordering::Acquire, |word| {
            let idle = word.in_use() == 0;
            let stale = if idle { QUEUED | WATCHED } else { QUEUED };
            word.has(stale).then(|| word.without(stale))
        });
        if before.is_some_and(|word| word.has(WATCHED) && word.in_use() == 0) {
            shared.watchers.went_idle(wakes);
        }
    }

    /// Lets those who were granted know without the lock.
    #[inline]
    fn publish(&self, shared: &Shared) {
        if let Some(frontier) = shared.queue.frontier() {
            // ORDERING: Release; pairs with the Acquire of `collect_passed`: what was written before the release that the grant
            // comes from is known to whoever holds the lock, and is passed on. Stores do not race: the lock is held.
            self.frontier.store(frontier, Ordering::Release);
        }
    }

    /// CAS until `change` is done or declines; the word as it was before.
    pub(super) fn update(
        &self,
        success: Ordering,
        mut change: impl FnMut(Word) -> Option<Word>,
    ) -> Option<Word> {
        // ORDERING: Relaxed; only a value that the CAS confirms has consequences.
        let mut word = Word(self.word.load(Ordering::Relaxed));
        loop {
            let next = change(word)?;
            let swapped =
                self.word.compare_exchange_weak(word.0, next.0, success, Ordering::Relaxed);
            match swapped {
                Ok(_) => return Some(word),
                Err(actual) => word = Word(actual),
            }
        }
    }

    /// Joins the queue, or takes at once what became free on the way to the lock.
    #[inline]
    pub(super) fn join(
        &self,
        weight: u32,
        oversize: Oversize,
        waker: Waker,
    ) -> Result<Option<Place>, AcquireError> {
        let mut shared = self.shared.lock();
        let full = self.queue_bound <= shared.queue.waiting();
        // ORDERING: Relaxed here, Acquire on success of the CAS, as in `take`; a refusal is about the limit alone.
        let mut word = Word(self.word.load(Ordering::Relaxed));
        loop {
            if word.has(CLOSED) {
                return Err(AcquireError::Closed);
            }
            let exceeds = oversize == Oversize::Refuse && word.is_exceeded_by(weight);
            if exceeds || word::MAX < weight {
                let (requested, limit) = (weight as usize, word.limit() as usize);
                return Err(AcquireError::ExceedsLimit { requested, limit });
            }
            let takes = !word.has(QUEUED) && word.fits(weight);
            if !takes && full {
                return Err(AcquireError::QueueFull { bound: self.queue_bound });
            }
            if word.has(QUEUED) {
                break; // Only who holds the lock clears it, and that is us.
            }
            let next = if takes { word.taking(weight) } else { word.with(QUEUED) };
            match self.word.compare_exchange_weak(
                word.0,
                next.0,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) if takes => return Ok(None),
                Ok(_) => break,
                Err(actual) => word = Word(actual),
            }
        }
        let now = self.now();
        Ok(Some(shared.queue.push(weight, oversize, waker, now)))
    }

    /// Whether the one with this place was granted, as far as that can be told without the lock; if so, that is collected.
    #[inline]
    pub(super) fn collect_passed(&self, place: Place) -> bool {
        // ORDERING: Acquire; pairs with the Release of `publish`. With Relaxed this could fail, at limit 1:
        //   A: data = 7; drop(permit)    B, who waited: let permit = acquire.await; assert_eq!(data, 7)
        let passed = place.number() < self.frontier.load(Ordering::Acquire);
        if passed {
            // ORDERING: Relaxed; it is counted, and nothing depends on it. Whoever counts under the lock knows of all the
            // grants that can have been seen here.
            self.collected.0.fetch_add(1, Ordering::Relaxed);
        }
        passed
    }

    /// Asks what was decided about the one with this place.
    pub(super) fn collect(&self, place: Place, current: &Waker) -> Polled {
        let mut spare = None;
        loop {
            let mut shared = self.shared.lock();
            let polled = shared.queue.poll(place, current, &mut spare);
            Shared::unlock(shared);
            match polled {
                Polled::WrongWaker => spare = Some(current.clone()),
                decided => return decided,
            }
        }
    }

    /// Leaves the queue; what was granted, and the place at the head, is passed on.
    #[inline(never)]
    pub(super) fn leave(&self, place: Place, weight: u32) {
        let mut shared = self.shared.lock();
        if shared.queue.leave_behind(place) {
            Shared::unlock(shared);
        } else {
            self.leave_slowly(place, weight, shared);
        }
    }

    #[inline(never)]
    fn leave_slowly(&self, place: Place, weight: u32, mut shared: MutexGuard<'_, Shared>) {
        let (left, waker) = shared.queue.cancel(place);
        match left {
            Left::Nothing => Shared::unlock(shared),
            Left::Head => self.settle_and_wake(shared, Wakes::new()),
            Left::Granted => {
                // ORDERING: AcqRel, as in `give`.
                self.word.fetch_sub(Word::used(weight), Ordering::AcqRel);
                self.settle_and_wake(shared, Wakes::new());
            }
        }
        drop(waker);
    }

    #[cold]
    #[inline(never)]
    fn settle_and_wake(&self, mut shared: MutexGuard<'_, Shared>, mut wakes: Wakes) {
        self.settle(&mut shared, &mut wakes);
        Shared::unlock(shared);
        wakes.wake();
    }

    pub(super) fn now(&self) -> Option<Instant> {
        self.times.then(Instant::now)
    }
}
